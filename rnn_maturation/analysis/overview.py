"""What a run is, and how its performance grew."""

import numpy as np

from rnn_maturation import figures
from rnn_maturation.model_directory import figure_dir
from rnn_maturation.stages import range_auto_select, smooth
from rnn_maturation.task import rule_name


def print_basic_info(
    hp,
    log,
    model_dir,
    smooth_growth=True,
    smooth_window=5,
    auto_range_select=False,
    avr_window=9,
    perf_margin=0.05,
    max_trial_num_limit=30,
):
    """Print what a run is and draw the growth of performance of each rule (Fig. S7).

    Parameters
    ----------
    hp, log : dict
    model_dir : str
    smooth_growth : bool
        Draw the curves smoothed with `smooth_window`.
    auto_range_select : bool
        Choose the checkpoints of each stage, shade and return them.
    avr_window, perf_margin, max_trial_num_limit
        As in `maturation.range_auto_select`.

    Returns
    -------
    {rule: {stage: trial numbers}} or None
    """
    trials = log["trials"]
    rules = [rule for rule in rule_name if "perf_" + rule in log]
    print(f"rules trained: {', '.join(hp.get('rule_trains', rules))}")
    step = trials[1] - trials[0] if len(trials) > 1 else None
    print(f"last trial number: {trials[-1]}, step: {step}, count: {len(trials)}")
    curves = {rule: np.asarray(log["perf_" + rule]) for rule in rules}
    ranges = None
    if auto_range_select:
        limits = {"avr_window": avr_window, "perf_margin": perf_margin, "max_trial_num_limit": max_trial_num_limit}
        ranges = {rule: range_auto_select(hp, log, curve, **limits) for rule, curve in curves.items()}
    shown = {rule: smooth(curve, smooth_window) if smooth_growth else curve for rule, curve in curves.items()}
    figure = figures.growth_of_performance(trials, shown, rule_name, ranges)
    figures.save_figure(figure, figure_dir(model_dir) / "growth_of_performance")
    return ranges
