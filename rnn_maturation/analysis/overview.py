"""Summarize a run, and show how its performance grew over training."""

import numpy as np
import pandas as pd

from rnn_maturation import figures
from rnn_maturation.analysis.results import MappingResult, labelled
from rnn_maturation.checks import checks_run_arguments
from rnn_maturation.model_directory import figure_dir
from rnn_maturation.stages import (
    GROWTH_WINDOW,
    MAX_STAGE_CHECKPOINTS,
    STAGE_MARGIN,
    STAGE_WINDOW,
    STAGES,
    range_auto_select,
    smooth,
)
from rnn_maturation.task import rule_name


@labelled
class GrowthOfPerformance(MappingResult):
    """Performance of each rule over training, and the checkpoints of each stage of maturation.

    Attributes
    ----------
    data : dict
        ``{rule: {stage: trial numbers}}``, the selected checkpoints; empty if none were selected.
    trials : (n_evaluations,) array
        Number of training trials at each evaluation.
    curves : dict
        ``{rule: (n_evaluations,) array}``, performance (fraction of correct trials, 0 to 1), smoothed if requested.
    names : dict
        ``{rule: name shown in the figure}``.
    """

    data: dict
    trials: np.ndarray
    curves: dict
    names: dict

    def to_frame(self):
        """Return a table with one row for each rule and evaluation.

        Returns
        -------
        pandas.DataFrame
            Columns rule, trial (number of training trials), performance (0 to 1), and early, mid, mature (whether the
            checkpoint was selected for that stage).
        """
        tables = []
        for rule, curve in self.curves.items():
            table = pd.DataFrame({"rule": rule, "trial": self.trials, "performance": curve})
            for stage in STAGES:
                table[stage] = np.isin(self.trials, self.data.get(rule, {}).get(stage, ()))
            tables.append(table)
        return pd.concat(tables, ignore_index=True)

    def plot(self):
        """Draw performance against training trials, with the selected checkpoints shaded (Fig. S7).

        Returns
        -------
        matplotlib.figure.Figure
        """
        return figures.growth_of_performance(self)


@checks_run_arguments
def print_basic_info(
    hp,
    log,
    model_dir,
    smooth_growth=True,
    smooth_window=GROWTH_WINDOW,
    auto_range_select=False,
    avr_window=STAGE_WINDOW,
    perf_margin=STAGE_MARGIN,
    max_trial_num_limit=MAX_STAGE_CHECKPOINTS,
    save=True,
):
    """Print a summary of a run, and draw the growth of performance for each rule (Fig. S7).

    Parameters
    ----------
    hp, log : dict
    model_dir : str
    smooth_growth : bool
        Whether to smooth the curves with `smooth_window`.
    smooth_window : int
        Width of the smoothing window in evaluations, see `stages.smooth`.
    auto_range_select : bool
        Whether to select the checkpoints of each stage, shade them in the figure, and return them.
    avr_window, perf_margin, max_trial_num_limit
        As in `stages.range_auto_select`.
    save : bool
        Whether to write the figure.

    Returns
    -------
    GrowthOfPerformance or None
        Can be used as ``{rule: {stage: trial numbers}}``, the stage dict that other analyses accept as `trial_list`.
        None if `auto_range_select` is False.
    """
    trials = log["trials"]
    rules = [rule for rule in rule_name if "perf_" + rule in log]
    print(f"rules trained: {', '.join(hp.get('rule_trains', rules))}")
    step = trials[1] - trials[0] if len(trials) > 1 else None
    print(f"last trial number: {trials[-1]}, trials between evaluations: {step}, evaluations: {len(trials)}")
    curves = {rule: log["perf_" + rule] for rule in rules}
    ranges = {}
    if auto_range_select:
        limits = {"avr_window": avr_window, "perf_margin": perf_margin, "max_trial_num_limit": max_trial_num_limit}
        ranges = {rule: range_auto_select(hp, log, curve, **limits) for rule, curve in curves.items()}
    result = compute_growth_of_performance(trials, curves, smooth_window if smooth_growth else None, ranges)
    if save:
        figures.save_figure(result.plot(), figure_dir(model_dir) / "growth_of_performance")
    return result if auto_range_select else None


def compute_growth_of_performance(trials, curves, smooth_window=None, ranges=None):
    """Compute the performance of each rule over training, smoothed if requested.

    Parameters
    ----------
    trials : (n_evaluations,) array
        Number of training trials at each evaluation.
    curves : dict
        ``{rule: (n_evaluations,) array}``, performance (0 to 1).
    smooth_window : int, optional
        Width of the smoothing window in evaluations, see `stages.smooth`. Default: the curves are not smoothed.
    ranges : dict, optional
        ``{rule: {stage: trial numbers}}``, the selected checkpoints.

    Returns
    -------
    GrowthOfPerformance
    """
    curves = {rule: np.asarray(curve, dtype=float) for rule, curve in curves.items()}
    if smooth_window is not None:
        curves = {rule: smooth(curve, smooth_window) for rule, curve in curves.items()}
    return GrowthOfPerformance(ranges or {}, np.asarray(trials), curves, {r: rule_name.get(r, r) for r in curves})
