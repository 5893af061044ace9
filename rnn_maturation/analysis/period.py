"""Activity of selective units in a period of the trial, compared between stages of maturation."""

import warnings

import numpy as np
import pandas as pd
from statsmodels.formula.api import ols
from statsmodels.stats.anova import anova_lm

from rnn_maturation import figures
from rnn_maturation.analysis.psth import epoch_unit_means
from rnn_maturation.analysis.selectivity import DEFAULT_TYPES, check_types
from rnn_maturation.model_directory import figure_dir
from rnn_maturation.task import rule_name


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
        Take each stage's last checkpoint only, else all (then a unit counts once a checkpoint).
    bin_wid : float
        Width of the histogram's bins.

    Returns
    -------
    dict
        'F', 'p' (nan with a single stage), 'df': [between, residual], 'activity': {stage: unit means}.

    Raises
    ------
    ValueError
        An unknown rule, epoch or type of units, or a damaged file; names it.
    FileNotFoundError
        None of the checkpoints is on disk. Some missing: one warning.
    """
    stages, unit_means = epoch_unit_means(
        hp, log, trial_list, model_dir, rule, seltive_epoch, analy_epoch, n_types, norm, PSTH_log
    )
    activity = {}
    for stage, trials in stages.items():
        activity[stage] = np.concatenate([unit_means[trial] for trial in (trials[-1:] if last_step else trials)])
    empty = [stage for stage, values in activity.items() if not len(values)]
    if empty:
        warnings.warn(f"{rule}: no unit of these types in stage {', '.join(empty)}; it is left out.", stacklevel=2)
    result = {**stage_anova(activity), "activity": activity}
    period = analy_epoch if isinstance(analy_epoch, str) else "{}_{}".format(*analy_epoch)
    title = f"{rule_name[rule]}, units selective in {seltive_epoch}: activity in {period.replace('_', '–')}"
    title += "" if isinstance(analy_epoch, str) else " ms"
    text = f"one-way ANOVA: F({result['df'][0]:.0f}, {result['df'][1]:.0f}) = {result['F']:.2f}, p = {result['p']:.2g}"
    figure = figures.period_activity(activity, bin_wid, text, norm, title)
    folder = figure_dir(model_dir, rule, seltive_epoch) / "_".join(check_types(n_types))
    figures.save_figure(figure, folder / f"{rule}_{period}_activity_oneway_anova_analysis")
    return result


def stage_anova(activity):
    """One-way ANOVA (type II) of values by stage: {'F', 'p', 'df': [between, residual]}, nan with a single stage."""
    table = pd.concat([pd.DataFrame({"stage": s, "rate": values}) for s, values in activity.items()])
    n_stages, n_units = table["stage"].nunique(), len(table)
    if n_stages < 2 or n_units <= n_stages:
        return {"F": np.nan, "p": np.nan, "df": [float(max(n_stages - 1, 0)), float(max(n_units - n_stages, 0))]}
    anova = anova_lm(ols("rate ~ C(stage)", table).fit(), typ=2)
    f, p = (float(anova.loc["C(stage)", column]) for column in ("F", "PR(>F)"))
    return {"F": f, "p": p, "df": [float(anova.loc["C(stage)", "df"]), float(anova.loc["Residual", "df"])]}
