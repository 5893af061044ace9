"""Compute the tuning curves of selective units in each stage of maturation."""

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
from rnn_maturation.checks import checks_run_arguments
from rnn_maturation.model_directory import figure_dir
from rnn_maturation.stages import performance_of, present_stages, range_name, stage_by_trial


@labelled
class TuningResult(MappingResult):
    """Mean tuning curve of each stage, the Gaussian fitted to it, and t-tests of the heights of the curves.

    Attributes
    ----------
    data : dict
        'stages': ``{stage: {'curve': mean activity by location, with the preferred location at index R // 2 (R + 1
        values if the number of locations R is even, because the first is repeated at the end), 'fit': (a, u, s) of
        `gaussian`, or None, 'width': 2 |s| in units of the distance between neighboring locations, or nan,
        'n_units': mean number of units, 'growth': mean performance (0 to 1)}}``; 'height_ttest': ``{(stage, stage):
        p}``, with the stages in the order early, mid, mature.
    n_locations : int
        Number of locations R.
    title : str
        Title of the figure.
    """

    data: dict
    n_locations: int
    title: str = ""

    def to_frame(self):
        """Return a table with one row for each stage and location.

        Returns
        -------
        pandas.DataFrame
            Columns stage, location_deg (relative to the preferred location), activity, performance (0 to 1), n_units,
            width_locations (in units of the distance between neighboring locations).
        """
        tables = []
        for stage, of_stage in self["stages"].items():
            steps = np.arange(len(of_stage["curve"])) - self.n_locations // 2
            columns = {"stage": stage, "location_deg": steps * 360 / self.n_locations, "activity": of_stage["curve"]}
            columns |= {"performance": of_stage["growth"], "n_units": of_stage["n_units"]}
            tables.append(pd.DataFrame({**columns, "width_locations": of_stage["width"]}))
        return pd.concat(tables, ignore_index=True)

    def gaussian(self, x, a, u, s):
        """Return the values of the fitted function at `x`; see `gaussian`."""
        return gaussian(x, a, u, s)

    def plot(self):
        """Draw the tuning curves of the stages and the fitted Gaussians (Fig. S3B).

        Returns
        -------
        matplotlib.figure.Figure
        """
        return figures.tuning(self)


@checks_run_arguments
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
    """Compute and draw the mean tuning curve of each stage, with Gaussian fits and t-tests of the heights (Fig. S3B).

    Parameters
    ----------
    hp, log : dict
    model_dir, rule, epoch : str
    trial_list : range, list, tuple, array or stage dict
    n_types : tuple of str
        Types of units, see `generate_neuron_info`; a unit of several types counts once.
    gaussion_fit : bool
        Whether to fit a Gaussian to the curve of each stage.
    height_ttest : bool
        Whether to compare the heights of the units' tuning curves between every two stages. The height of a unit is
        its largest minus its smallest mean activity over the locations. As published, the heights are pooled over the
        checkpoints of a stage: each unit is counted once per checkpoint, so that the samples are not independent and
        the p-values are too small.
    save : bool
        Whether to write the figure, and the neuron_info files that checkpoints lack.

    Returns
    -------
    TuningResult
        Can be used as ``{'stages': {stage: {'curve', 'fit', 'width', 'n_units', 'growth'}}, 'height_ttest': {(stage,
        stage): p}}``.

    Raises
    ------
    ValueError
        If the rule, the epoch or a type of units is unknown, or if a file is damaged; the message names it.
    FileNotFoundError
        If none of the checkpoints is on disk. If some are missing, one warning names them.
    """
    check_types(n_types)
    check_epochs(task_info(hp, model_dir, rule)["epoch_info"], epoch, f"Rule {rule}")
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
    """Compute the mean tuning curve of each stage: the mean over units, then over the stage's checkpoints.

    Parameters
    ----------
    rates : dict
        ``{trial number: (n_units, n_locations) array}``, the mean activity of the selected units in the epoch at each
        location, for example rows of ``compute_neuron_info(…)['firerate_loc_order']``.
    stages : dict
        ``{stage: trial numbers}``.
    performance : dict
        ``{trial number: performance (0 to 1)}``.
    fit : bool
        Whether to fit a Gaussian to the curve of each stage.
    height_ttest : bool
        Whether to compare the heights of the units' tuning curves, pooled over the checkpoints of a stage, between
        every two stages.
    title : str
        Title of the figure.

    Returns
    -------
    TuningResult
        The curve of a stage without units is nan, and one warning names all such stages; another warning names the
        stages whose fit failed.
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
        warnings.warn(f"{where}: no unit of these types in stage {', '.join(empty)}; the curve is nan.", stacklevel=3)
    if failed:
        text = f"{where}: no Gaussian could be fitted to the curve of stage {', '.join(failed)}; the width is nan."
        warnings.warn(text, stacklevel=3)
    tests = compare_heights(heights) if height_ttest else {}
    n_locations = next(iter(rates.values())).shape[1]
    return TuningResult({"stages": results, "height_ttest": tests}, n_locations, title)


def centered_tuning(rates):
    """Return the units' tuning curves, rotated so that the preferred location is at index R // 2.

    Parameters
    ----------
    rates : (n_units, R) array
        Mean activity of each unit at each of R locations.

    Returns
    -------
    (n_units, R + 1) array, or (n_units, R) if R is odd
        Units with nan are omitted. If R is even, the first value is repeated at the end.
    """
    rates = rates[~np.isnan(rates).any(axis=1)]
    n_locations = rates.shape[1]
    shifted = np.arange(n_locations) - n_locations // 2 + rates.argmax(axis=1)[:, None]
    centered = np.take_along_axis(rates, shifted % n_locations, axis=1)
    return centered if n_locations % 2 else np.concatenate([centered, centered[:, :1]], axis=1)


def stage_curve(rates_of_checkpoints):
    """Return the mean of the centered tuning curves over units, then over the checkpoints that have units.

    Parameters
    ----------
    rates_of_checkpoints : list of (n_units, R) arrays
        Mean activity of each unit at each of R locations, one array for each checkpoint.

    Returns
    -------
    (R + 1,) array, or (R,) if R is odd
        nan if no checkpoint has units.
    """
    curves = [centered_tuning(rates) for rates in rates_of_checkpoints]
    means = [curve.mean(axis=0) for curve in curves if len(curve)]
    return np.mean(means, axis=0) if means else np.full(curves[0].shape[1], np.nan)


def gaussian(x, a, u, s):
    """Return `a` times the density at `x` of the normal distribution with mean `u` and standard deviation `s`."""
    return a * np.exp(-((x - u) ** 2) / (2 * s**2)) / (s * np.sqrt(2 * np.pi))


def fit_gaussian(curve):
    """Return (a, u, s) of the `gaussian` fitted to a curve minus its minimum, or None if it cannot be fitted."""
    above = curve - curve.min()
    if not np.isfinite(above).all():
        return None
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")  # the covariance is not used, so it may be impossible to estimate
            start = [above.max() + 1, len(curve) // 2, 1]
            fit = curve_fit(gaussian, np.arange(len(curve)), above, p0=start)[0]
    except (RuntimeError, TypeError):  # no convergence, or fewer locations than parameters
        return None
    return tuple(float(value) for value in fit) if np.isfinite(fit).all() else None


def compare_heights(heights):
    """Return the p-value of the independent t-test between every two stages.

    Parameters
    ----------
    heights : dict
        ``{stage: (n,) array}``, heights of the tuning curves of single units; those that are not finite are omitted.

    Returns
    -------
    dict
        ``{(stage, stage): p}``; nan if one of the two stages has fewer than two heights.
    """
    tests = {}
    for first, second in combinations(heights, 2):
        samples = [values[np.isfinite(values)] for values in (heights[first], heights[second])]
        enough = min(map(len, samples)) > 1
        tests[first, second] = float(ttest_ind(*samples).pvalue) if enough else np.nan
    return tests
