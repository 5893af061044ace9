"""Activity of selective units in a period of the trial, compared between stages of maturation."""

import warnings

import numpy as np
import pandas as pd
from scipy.stats import f_oneway

from rnn_maturation import figures
from rnn_maturation.analysis.psth import epoch_psths, epoch_unit_means, selection_title
from rnn_maturation.analysis.results import MappingResult, labelled
from rnn_maturation.analysis.selectivity import DEFAULT_TYPES, check_types
from rnn_maturation.model_directory import figure_dir
from rnn_maturation.stages import stage_by_trial


@labelled
class PeriodActivity(MappingResult):
    """Mean activity of units in a period, by stage of maturation, and its one-way ANOVA.

    Attributes
    ----------
    data : dict
        'F', 'p' (nan with a single stage), 'df': [between, residual], 'activity': ``{stage: (n_units,) unit means}``.
    bin_width : float
        Width of the histogram's bins, in the units of activity.
    norm : bool
        Whether the activity is rate / fixation rate − 1, else the rate.
    title : str
    """

    data: dict
    bin_width: float = 0.5
    norm: bool = True
    title: str = ""

    def to_frame(self):
        """Return a table with a row for each unit mean.

        Returns
        -------
        pandas.DataFrame
            Columns stage, activity.
        """
        tables = [pd.DataFrame({"stage": stage, "activity": a}) for stage, a in self["activity"].items()]
        return pd.concat(tables, ignore_index=True)

    def plot(self):
        """Draw densities and box plots of the stages (Fig. S1).

        Returns
        -------
        matplotlib.figure.Figure
        """
        return figures.period_activity(self)


def neuron_period_activity_analysis(
    hp,
    log,
    trial_list,
    model_dir,
    rule,
    seltive_epoch,
    analy_epoch,
    n_types=DEFAULT_TYPES,
    norm=True,
    PSTH_log=None,
    last_step=True,
    bin_wid=0.5,
    save=True,
):
    """Compare the units' mean activity in an epoch or window between stages: one-way ANOVA, type II (Fig. S1).

    Parameters
    ----------
    hp, log : dict
    trial_list : range, list, tuple, array or stage dict
    model_dir, rule : str
    seltive_epoch : str
        Epoch in which the units are selective.
    analy_epoch : str or (start, end) in ms
        Epoch or window in which activity is averaged.
    n_types, norm, PSTH_log
        As in `plot_PSTH`.
    last_step : bool
        Take only the last checkpoint of each stage, else all of them (then a unit counts once per checkpoint).
    bin_wid : float
        Width of the histogram's bins.
    save : bool
        Write the figure.

    Returns
    -------
    PeriodActivity
        Can be used as ``{'F', 'p', 'df': [between, residual], 'activity': {stage: unit means}}``; F and p are nan with
        a single stage.

    Raises
    ------
    ValueError
        For an unknown rule, epoch or type of units, a damaged file, or a PSTH_log of other checkpoints.
    FileNotFoundError
        If none of the checkpoints is on disk. If some are missing, one warning names them.
    """
    stages, steps, psths = epoch_psths(
        hp, log, trial_list, model_dir, rule, seltive_epoch, analy_epoch, n_types, norm, PSTH_log, save
    )
    stages = {stage: trials[-1:] if last_step else trials for stage, trials in stages.items()}
    is_epoch = isinstance(analy_epoch, str)
    period = analy_epoch if is_epoch else "{}–{} ms".format(*analy_epoch)
    title = selection_title(rule, seltive_epoch, n_types, stage_by_trial(stages)) + f", activity in {period}"
    result = compute_period_activity(psths, steps, stages, bin_wid, norm, title)
    if save:
        name = analy_epoch if is_epoch else "{}_{}".format(*analy_epoch)
        folder = figure_dir(model_dir, rule, seltive_epoch) / "_".join(check_types(n_types))
        figures.save_figure(result.plot(), folder / f"{rule}_{name}_activity_oneway_anova_analysis")
    return result


# -------------------------------------------------------------------------------------------------- arrays in and out


def compute_period_activity(psths, steps, stages, bin_width=0.5, norm=True, title=""):
    """Compute the units' mean activity over some steps in each stage, and its one-way ANOVA between stages.

    Parameters
    ----------
    psths : PSTHLog or dict
        ``{trial number: (n_units, n_time) array}``.
    steps : slice
    stages : dict
        ``{stage: trial numbers}``; the units of all of them are pooled.
    bin_width : float
        Width of the histogram's bins.
    norm : bool
        Whether `psths` are divided by the fixation rate.
    title : str

    Returns
    -------
    PeriodActivity
        A stage without units is left out of the test, with one warning.
    """
    means = epoch_unit_means(psths, steps)
    activity = {stage: np.concatenate([means[trial] for trial in trials]) for stage, trials in stages.items()}
    empty = [stage for stage, values in activity.items() if not len(values)]
    if empty:
        where = title.split("\n")[0] or "period"
        warnings.warn(f"{where}: no unit of these types in stage {', '.join(empty)}; it is left out.", stacklevel=3)
    return PeriodActivity({**stage_anova(activity), "activity": activity}, bin_width, norm, title)


def stage_anova(activity):
    """Return the one-way ANOVA of values by stage.

    With one factor, the sums of squares of type I, II and III are the same.

    Parameters
    ----------
    activity : dict
        ``{stage: (n,) array}``; empty ones are left out.

    Returns
    -------
    dict
        'F', 'p', 'df': [between, residual]; F and p are nan with a single stage or no more values than stages.
    """
    samples = [np.asarray(values, dtype=float) for values in activity.values() if len(values)]
    n_stages, n_units = len(samples), sum(map(len, samples))
    df = [float(max(n_stages - 1, 0)), float(max(n_units - n_stages, 0))]
    if not all(df):
        return {"F": np.nan, "p": np.nan, "df": df}
    test = f_oneway(*samples)
    return {"F": float(test.statistic), "p": float(test.pvalue), "df": df}
