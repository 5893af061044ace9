"""Summarize runs in figures: growth of performance of all seeds, and trials to criterion of each variant."""

import warnings

import numpy as np

from rnn_maturation import figures
from rnn_maturation.model_directory import figure_dir, load_log
from rnn_maturation.stages import GROWTH_WINDOW, smooth
from rnn_maturation.sweep.table import CRITERIA, earlier_outcomes, is_trained, reached, sweep_table
from rnn_maturation.sweep.variants import choose_runs, find_runs
from rnn_maturation.task import rule_name


def plot_sweep_summary(root="data", patterns=()):
    """Draw the growth of performance of all seeds, and the trials to criterion of each variant.

    The figure figure/figure_sweep/growth_<variant> shows the smoothed performance of each seed as a thin line, and the
    median over seeds. The figure figure/figure_sweep/trials_to_criterion shows all variants.

    Parameters
    ----------
    root : str
        Folder of the runs.
    patterns : sequence of str
        As for `choose_runs`. Without patterns, all runs on disk are shown.

    Returns
    -------
    pandas.DataFrame
        `sweep_table` of the runs shown.

    Raises
    ------
    FileNotFoundError
        If no run of these variants is on disk.
    """
    wanted = {run.variant for run in choose_runs(patterns or ["*"])}
    runs = [run for run in find_runs(root) if run.variant in wanted and _can_be_shown(run)]
    if not runs:
        raise FileNotFoundError(
            f"the folder {root} has no run of these variants: train one, or name the folder of your runs with --root"
        )
    folder = figure_dir("sweep")
    for variant in dict.fromkeys(run.variant for run in runs):
        of_variant = [run for run in runs if run.variant == variant]
        curves = growth_curves(of_variant)
        medians = {rule: median_growth(rule_curves) for rule, rule_curves in curves.items()}
        which = f"{len(of_variant)} seeds" if len(of_variant) > 1 else f"seed {of_variant[0].seed}"
        figure = figures.growth_over_seeds(curves, medians, rule_name, f"{variant}, {which}")
        figures.save_figure(figure, folder / f"growth_{variant}")
    table = sweep_table(runs, earlier_outcomes(root))
    figures.save_figure(figures.trials_to_criterion(table, CRITERIA, rule_name), folder / "trials_to_criterion")
    return table


def _can_be_shown(run):
    """Return whether a run has begun and its files can be read; give a warning if they cannot be read."""
    try:
        is_trained(run)
        return bool(reached(run))
    except FileNotFoundError:
        return False
    except (OSError, ValueError) as error:
        warnings.warn(f"A run is left out: {error}", stacklevel=3)
        return False


def growth_curves(runs):
    """Return the smoothed performance of each rule in each run.

    Parameters
    ----------
    runs : list of TrainingRun

    Returns
    -------
    {rule: [(trials, performance, whether the run reached its target)]}
        In the order of the runs; trials and performance are (n_evaluations,) arrays.
    """
    curves = {}
    for run in runs:
        log = load_log(run.model_dir)
        for rule in [rule for rule in rule_name if f"perf_{rule}" in log]:
            smoothed = smooth(log[f"perf_{rule}"], GROWTH_WINDOW)
            curves.setdefault(rule, []).append((np.array(log["trials"]), smoothed, is_trained(run)))
    return curves


def median_growth(curves):
    """Return the median performance over runs at each trial number at which a run was evaluated.

    A run that reached its target counts with its last performance from then on. Where a run has ended without reaching
    its target, the median ends.

    Parameters
    ----------
    curves : list of (trials, performance, whether the run reached its target)
        As `growth_curves` returns it for a rule.

    Returns
    -------
    trials, median : (n,) arrays
    """
    trials = np.unique(np.concatenate([its for its, _, _ in curves]))
    ends = [its[-1] for its, _, has_reached_target in curves if not has_reached_target]
    trials = trials[trials <= min(ends, default=trials[-1])]
    return trials, np.median([np.interp(trials, its, performance) for its, performance, _ in curves], axis=0)
