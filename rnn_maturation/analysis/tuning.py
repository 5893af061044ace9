"""Tuning curves of selective units over stages of maturation."""

import warnings
from itertools import combinations

import numpy as np
from scipy.optimize import curve_fit
from scipy.stats import ttest_ind

from rnn_maturation import figures
from rnn_maturation.analysis.conditions import check_epochs, task_info
from rnn_maturation.analysis.parallel import in_order
from rnn_maturation.analysis.selectivity import (
    DEFAULT_TYPES,
    check_types,
    complete_neuron_info,
    load_neuron_info,
    select_units,
    warn_of_zero_fixation,
)
from rnn_maturation.model_directory import figure_dir
from rnn_maturation.stages import mean_performance, present_stages, range_name, stage_by_trial
from rnn_maturation.task import rule_name


def tunning_analysis(
    hp, log, model_dir, rule, epoch, trial_list, n_types=DEFAULT_TYPES, gaussion_fit=True, height_ttest=True
):
    """Mean tuning curve of each stage, Gaussian fits, and t-tests of the curves' heights (Fig. S3B).

    Parameters
    ----------
    hp, log : dict
    model_dir, rule, epoch : str
    trial_list : range, list, tuple, array or stage dict
    n_types : tuple of str
    gaussion_fit, height_ttest : bool
        Heights (largest - smallest location mean of a unit) are pooled over the checkpoints of a stage, as published:
        a unit counts once a checkpoint, so that the p-values are smaller than independent samples would give.

    Returns
    -------
    dict
        'stages': {stage: {'curve': location means with the preferred location at index R // 2 (in an even ring R + 1
        values, the first repeated at the end), 'fit': (a, u, s) or None, 'width': 2 s or nan, 'n_units': mean number,
        'growth': mean performance}}; 'height_ttest': {(stage, stage): p}, in the order early, mid, mature.

    Raises
    ------
    ValueError
        An unknown rule, epoch or type of units, or a damaged file; names it.
    FileNotFoundError
        None of the checkpoints is on disk. Some missing: one warning.
    """
    check_types(n_types)
    check_epochs(task_info(hp, model_dir, rule), rule, epoch)
    stages = present_stages(hp, log, model_dir, rule, trial_list)
    trials = list(stage_by_trial(stages))
    complete_neuron_info(hp, model_dir, trials, rule, epoch)

    def of_checkpoint(trial):
        neuron_info = load_neuron_info(model_dir, trial, rule, epoch)
        return neuron_info["firerate_loc_order"][select_units(neuron_info, n_types)[0]]

    rates = dict(zip(trials, in_order(of_checkpoint, trials, f"tuning {rule} {epoch}"), strict=True))
    warn_of_zero_fixation(sum(int(np.isnan(of_units).any(axis=1).sum()) for of_units in rates.values()))
    results, heights = {}, {}
    for stage, its_trials in stages.items():
        curve = stage_curve([rates[trial] for trial in its_trials])
        fit = fit_gaussian(curve) if gaussion_fit else None
        n_units = float(np.mean([len(rates[trial]) for trial in its_trials]))
        results[stage] = {"curve": curve, "fit": fit, "width": 2 * abs(fit[2]) if fit else np.nan, "n_units": n_units}
        results[stage]["growth"] = mean_performance(log, rule, its_trials)
        heights[stage] = np.concatenate([np.ptp(rates[trial], axis=1) for trial in its_trials])
    _warn_of_gaps(rule, results, gaussion_fit)
    tests = compare_heights(heights) if height_ttest else {}
    span, step = range_name(trial_list, rule)
    title = f"{rule_name[rule]}, units selective in {epoch}"
    n_locations = len(task_info(hp, model_dir, rule)["in_loc_set"])
    figure = figures.tuning(results, tests, n_locations, title, gaussian)
    folder = figure_dir(model_dir, rule, epoch) / "_".join(check_types(n_types))
    figures.save_figure(figure, folder / f"{rule}_{epoch}_{span}_step_{step}_tuning_analysis")
    return {"stages": results, "height_ttest": tests}


def _warn_of_gaps(rule, results, fitted):
    empty = [stage for stage, result in results.items() if np.isnan(result["curve"]).all()]
    if empty:
        warnings.warn(f"{rule}: no unit of these types in stage {', '.join(empty)}; its curve is nan.", stacklevel=3)
    failed = [stage for stage, result in results.items() if fitted and result["fit"] is None and stage not in empty]
    if failed:
        warnings.warn(
            f"{rule}: no Gaussian fits the tuning in stage {', '.join(failed)}; its width is nan.", stacklevel=3
        )


def centred_tuning(rates):
    """Location means of units, rotated so that the preferred location comes to index R // 2.

    Parameters
    ----------
    rates : (n_units, R) array

    Returns
    -------
    (n_units, R + 1) array, or (n_units, R) for an odd ring; units with nan are left out
    """
    rates = rates[~np.isnan(rates).any(axis=1)]
    n_locations = rates.shape[1]
    shifted = np.arange(n_locations) - n_locations // 2 + rates.argmax(axis=1)[:, None]
    centred = np.take_along_axis(rates, shifted % n_locations, axis=1)
    return centred if n_locations % 2 else np.concatenate([centred, centred[:, :1]], axis=1)


def stage_curve(rates_of_checkpoints):
    """Mean centred tuning curve over units, then over the checkpoints that have units."""
    curves = [centred_tuning(rates) for rates in rates_of_checkpoints]
    means = [curve.mean(axis=0) for curve in curves if len(curve)]
    return np.mean(means, axis=0) if means else np.full(curves[0].shape[1], np.nan)


def gaussian(x, a, u, s):
    """a times the density of a normal distribution of mean u and deviation s."""
    return a * np.exp(-((x - u) ** 2) / (2 * s**2)) / (s * np.sqrt(2 * np.pi))


def fit_gaussian(curve):
    """(a, u, s) of `gaussian` fitted to a curve above its minimum, or None when the fit does not converge."""
    above = curve - curve.min()
    if not np.isfinite(above).all():
        return None
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")  # a covariance that cannot be estimated is not needed
            start = [above.max() + 1, len(curve) // 2, 1]
            fit = curve_fit(gaussian, np.arange(len(curve)), above, p0=start)[0]
    except (RuntimeError, TypeError):  # no convergence; or fewer locations than parameters
        return None
    return tuple(float(value) for value in fit) if np.isfinite(fit).all() else None


def compare_heights(heights):
    """p of the independent t-test between every two stages; nan with less than two units."""
    tests = {}
    for first, second in combinations(heights, 2):
        samples = [values[np.isfinite(values)] for values in (heights[first], heights[second])]
        enough = min(map(len, samples)) > 1
        tests[first, second] = float(ttest_ind(*samples).pvalue) if enough else np.nan
    return tests
