"""Compare the activity of selective units in a period of the trial between stages of maturation."""

import warnings

import numpy as np
import pandas as pd
from scipy.stats import f_oneway

from rnn_maturation import figures
from rnn_maturation.analysis.psth import epoch_psths, epoch_unit_means, selection_title
from rnn_maturation.analysis.results import MappingResult, labelled
from rnn_maturation.analysis.selectivity import DEFAULT_TYPES, check_types
from rnn_maturation.checks import checks_run_arguments
from rnn_maturation.model_directory import figure_dir
from rnn_maturation.stages import stage_by_trial


@labelled
class PeriodActivity(MappingResult):
    """Mean activity of each unit in a period of the trial, by stage of maturation, and its one-way ANOVA.

    Attributes
    ----------
    data : dict
        'F' and 'p' of the ANOVA (nan if fewer than two stages have units), 'df': degrees of freedom [between stages,
        residual], 'activity': ``{stage: (n_units,) array}``, the mean activity of each unit.
    bin_width : float
        Width of the histogram's bins, in the units of the activity.
    norm : bool
        Whether the activity is rate / fixation rate − 1 (True) or the rate (False).
    title : str
        Title of the figure.
    """

    data: dict
    bin_width: float = 0.5
    norm: bool = True
    title: str = ""

    def to_frame(self):
        """Return a table with one row for each stage and unit.

        Returns
        -------
        pandas.DataFrame
            Columns stage, activity (mean over the period).
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


@checks_run_arguments
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
    """Compare the units' mean activity in an epoch or window between stages with a one-way ANOVA, type II (Fig. S1).

    Parameters
    ----------
    hp, log : dict
    trial_list : range, list, tuple, array or stage dict
    model_dir, rule : str
    seltive_epoch : str
        Epoch in which the units are selective.
    analy_epoch : str or (start, end) in ms
        Epoch, or time window from the start of the trial, in which the activity is averaged. A window must start before
        the last time at which an epoch starts or ends.
    n_types, norm, PSTH_log
        As in `plot_PSTH`.
    last_step : bool
        Whether to use only the last checkpoint of each stage (True) or all of them (False). With all of them, each unit
        is counted once per checkpoint.
    bin_wid : float
        Width of the histogram's bins, in the units of the activity.
    save : bool
        Whether to write the figure, and the neuron_info files that checkpoints lack.

    Returns
    -------
    PeriodActivity
        Can be used as ``{'F', 'p', 'df': [between, residual], 'activity': {stage: unit means}}``; F and p are nan if
        fewer than two stages have units.

    Raises
    ------
    ValueError
        If the rule, an epoch or a type of units is unknown, if the window is empty or out of range, if a
        file is damaged, or if PSTH_log lacks checkpoints.
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
    """Compute the units' mean activity over some time steps in each stage, and its one-way ANOVA between stages.

    Parameters
    ----------
    psths : PSTHLog or dict
        ``{trial number: (n_units, n_time) array}``.
    steps : slice
        Time steps of the period.
    stages : dict
        ``{stage: trial numbers}``; the units of all checkpoints of a stage are pooled.
    bin_width : float
        Width of the histogram's bins, in the units of the activity.
    norm : bool
        Whether `psths` contains rate / fixation rate − 1 (True) or the rate (False).
    title : str
        Title of the figure.

    Returns
    -------
    PeriodActivity
        Stages without units are left out of the ANOVA; one warning names them.
    """
    means = epoch_unit_means(psths, steps)
    activity = {stage: np.concatenate([means[trial] for trial in trials]) for stage, trials in stages.items()}
    empty = [stage for stage, values in activity.items() if not len(values)]
    if empty:
        where = title.split("\n")[0] or "period"
        warnings.warn(f"{where}: no unit of these types in stage {', '.join(empty)}; the ANOVA omits it.", stacklevel=3)
    return PeriodActivity({**stage_anova(activity), "activity": activity}, bin_width, norm, title)


def stage_anova(activity):
    """Return the one-way ANOVA of values by stage.

    With one factor, the sums of squares of type I, II and III are the same.

    Parameters
    ----------
    activity : dict
        ``{stage: (n,) array}``; stages with an empty array are left out.

    Returns
    -------
    dict
        'F', 'p', 'df': degrees of freedom [between stages, residual]; F and p are nan if there are fewer than two
        stages, or no more values than stages.
    """
    samples = [np.asarray(values, dtype=float) for values in activity.values() if len(values)]
    n_stages, n_units = len(samples), sum(map(len, samples))
    df = [float(max(n_stages - 1, 0)), float(max(n_units - n_stages, 0))]
    if not all(df):
        return {"F": np.nan, "p": np.nan, "df": df}
    test = f_oneway(*samples)
    return {"F": float(test.statistic), "p": float(test.pvalue), "df": df}
