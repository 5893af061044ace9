"""Tuning curves of selective units in each stage of maturation."""

import warnings
from itertools import combinations

import numpy as np
import pandas as pd
from scipy.optimize import curve_fit
from scipy.stats import ttest_ind

from rnn_maturation import figures
from rnn_maturation.analysis.conditions import check_epochs, task_info
from rnn_maturation.analysis.psth import selection_title
from rnn_maturation.analysis.results import MappingResult, labelled
from rnn_maturation.analysis.selectivity import (
    DEFAULT_TYPES,
    check_types,
    neuron_infos,
    select_units,
    warn_of_zero_fixation,
)
from rnn_maturation.model_directory import figure_dir
from rnn_maturation.stages import performance_of, present_stages, range_name, stage_by_trial


@labelled
class TuningResult(MappingResult):
    """Mean tuning curve of each stage, Gaussian fits, and t-tests of the heights.

    Attributes
    ----------
    data : dict
        'stages': ``{stage: {'curve': location means with the preferred location at index R // 2 (in an even ring
        R + 1 values, the first repeated at the end), 'fit': (a, u, s) of `gaussian` or None, 'width': 2 s in locations
        or nan, 'n_units': mean number of units, 'growth': mean performance}}``; 'height_ttest': ``{(stage, stage):
        p}``, in the order early, mid, mature.
    n_locations : int
        R.
    title : str
    """

    data: dict
    n_locations: int
    title: str = ""

    def to_frame(self):
        """Return a table with a row for each stage and location.

        Returns
        -------
        pandas.DataFrame
            Columns stage, location_deg (relative to the preferred location), activity, performance, n_units,
            width_locations.
        """
        tables = []
        for stage, of_stage in self["stages"].items():
            steps = np.arange(len(of_stage["curve"])) - self.n_locations // 2
            columns = {"stage": stage, "location_deg": steps * 360 / self.n_locations, "activity": of_stage["curve"]}
            columns |= {"performance": of_stage["growth"], "n_units": of_stage["n_units"]}
            tables.append(pd.DataFrame({**columns, "width_locations": of_stage["width"]}))
        return pd.concat(tables, ignore_index=True)

    def gaussian(self, x, a, u, s):
        """Return the curve that was fitted; see `gaussian`."""
        return gaussian(x, a, u, s)

    def plot(self):
        """Draw the curves of the stages (Fig. S3B).

        Returns
        -------
        matplotlib.figure.Figure
        """
        return figures.tuning(self)


def tunning_analysis(
    hp,
    log,
    model_dir,
    rule,
    epoch,
    trial_list,
    n_types=DEFAULT_TYPES,
    gaussion_fit=True,
    height_ttest=True,
    save=True,
):
    """Compute and draw the mean tuning curve of each stage, Gaussian fits, and t-tests of the heights (Fig. S3B).

    Parameters
    ----------
    hp, log : dict
    model_dir, rule, epoch : str
    trial_list : range, list, tuple, array or stage dict
    n_types : tuple of str
        Types of units, see `generate_neuron_info`; a unit of several types counts once.
    gaussion_fit, height_ttest : bool
        Heights (largest − smallest location mean of a unit) are pooled over the checkpoints of a stage, as published:
        a unit counts once per checkpoint, so that the p-values are smaller than independent samples would give.
    save : bool
        Write the figure.

    Returns
    -------
    TuningResult
        Can be used as ``{'stages': {stage: {'curve', 'fit', 'width', 'n_units', 'growth'}}, 'height_ttest': {(stage,
        stage): p}}``.

    Raises
    ------
    ValueError
        For an unknown rule, epoch or type of units, or a damaged file; the message names it.
    FileNotFoundError
        If none of the checkpoints is on disk. If some are missing, one warning names them.
    """
    check_types(n_types)
    check_epochs(task_info(hp, model_dir, rule), rule, epoch)
    stages = present_stages(hp, log, model_dir, rule, trial_list)
    trials = list(stage_by_trial(stages))
    infos = neuron_infos(hp, model_dir, trials, rule, epoch, save)
    rates = {t: info["firerate_loc_order"][select_units(info, n_types)[0]] for t, info in infos.items()}
    warn_of_zero_fixation(sum(int(np.isnan(of_units).any(axis=1).sum()) for of_units in rates.values()))
    title = selection_title(rule, epoch, n_types, trials)
    result = compute_tuning(rates, stages, performance_of(log, rule, trials), gaussion_fit, height_ttest, title)
    if save:
        span, step = range_name(trial_list, rule)
        folder = figure_dir(model_dir, rule, epoch) / "_".join(check_types(n_types))
        figures.save_figure(result.plot(), folder / f"{rule}_{epoch}_{span}_step_{step}_tuning_analysis")
    return result


# -------------------------------------------------------------------------------------------------- arrays in and out


def compute_tuning(rates, stages, performance, fit=True, height_ttest=True, title=""):
    """Compute the mean tuning curve of each stage: over units, then over the stage's checkpoints.

    Parameters
    ----------
    rates : dict
        ``{trial number: (n_units, n_locations) array}``, location means of the selected units in the epoch, for
        example rows of ``compute_neuron_info(…)['firerate_loc_order']``.
    stages : dict
        ``{stage: trial numbers}``.
    performance : dict
        ``{trial number: performance}``.
    fit : bool
        Fit a Gaussian to each stage's curve.
    height_ttest : bool
        Compare the units' heights, pooled over the checkpoints of a stage, between every two stages.
    title : str

    Returns
    -------
    TuningResult
        The curve of a stage without units is nan, with one warning; another warning names fits that failed.
    """
    results, heights = {}, {}
    for stage, trials in stages.items():
        curve = stage_curve([rates[trial] for trial in trials])
        fitted = fit_gaussian(curve) if fit else None
        results[stage] = {"curve": curve, "fit": fitted, "width": 2 * abs(fitted[2]) if fitted else np.nan}
        results[stage]["n_units"] = float(np.mean([len(rates[trial]) for trial in trials]))
        results[stage]["growth"] = float(np.mean([performance[trial] for trial in trials]))
        heights[stage] = np.concatenate([np.ptp(rates[trial], axis=1) for trial in trials])
    empty = [stage for stage, result in results.items() if np.isnan(result["curve"]).all()]
    failed = [stage for stage, result in results.items() if fit and result["fit"] is None and stage not in empty]
    where = title.split("\n")[0] or "tuning"
    if empty:
        warnings.warn(f"{where}: no unit of these types in stage {', '.join(empty)}; its curve is nan.", stacklevel=3)
    if failed:
        text = f"{where}: no Gaussian fits the tuning in stage {', '.join(failed)}; its width is nan."
        warnings.warn(text, stacklevel=3)
    tests = compare_heights(heights) if height_ttest else {}
    n_locations = next(iter(rates.values())).shape[1]
    return TuningResult({"stages": results, "height_ttest": tests}, n_locations, title)


def centered_tuning(rates):
    """Return the location means of units, rotated so that the preferred location comes to index R // 2.

    Parameters
    ----------
    rates : (n_units, R) array

    Returns
    -------
    (n_units, R + 1) array, or (n_units, R) for an odd ring
        Units with nan are left out.
    """
    rates = rates[~np.isnan(rates).any(axis=1)]
    n_locations = rates.shape[1]
    shifted = np.arange(n_locations) - n_locations // 2 + rates.argmax(axis=1)[:, None]
    centered = np.take_along_axis(rates, shifted % n_locations, axis=1)
    return centered if n_locations % 2 else np.concatenate([centered, centered[:, :1]], axis=1)


def stage_curve(rates_of_checkpoints):
    """Return the mean centered tuning curve over units, then over the checkpoints that have units.

    Parameters
    ----------
    rates_of_checkpoints : list of (n_units, R) arrays

    Returns
    -------
    (R + 1,) array, or (R,) for an odd ring
        nan without units.
    """
    curves = [centered_tuning(rates) for rates in rates_of_checkpoints]
    means = [curve.mean(axis=0) for curve in curves if len(curve)]
    return np.mean(means, axis=0) if means else np.full(curves[0].shape[1], np.nan)


def gaussian(x, a, u, s):
    """Return a times the density of a normal distribution with mean u and standard deviation s."""
    return a * np.exp(-((x - u) ** 2) / (2 * s**2)) / (s * np.sqrt(2 * np.pi))


def fit_gaussian(curve):
    """Return (a, u, s) of `gaussian` fitted to a curve minus its minimum, or None when the fit does not converge."""
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
    """Return p of the independent t-test between every two stages; nan with fewer than two units.

    Parameters
    ----------
    heights : dict
        ``{stage: (n,) array}``, heights of the tuning curves of single units.

    Returns
    -------
    dict
        ``{(stage, stage): p}``.
    """
    tests = {}
    for first, second in combinations(heights, 2):
        samples = [values[np.isfinite(values)] for values in (heights[first], heights[second])]
        enough = min(map(len, samples)) > 1
        tests[first, second] = float(ttest_ind(*samples).pvalue) if enough else np.nan
    return tests
