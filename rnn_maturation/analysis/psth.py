"""Compute the activity of selective units against time (peri-stimulus time histograms) and its growth over training.

The `compute_` functions take arrays and use neither runs nor files, so that they can be applied to recorded activity.
"""

import warnings
from collections.abc import Mapping

import numpy as np
import pandas as pd
from scipy.stats import ttest_ind_from_stats

from rnn_maturation import figures
from rnn_maturation.analysis.activity import location_means, mean_by_location
from rnn_maturation.analysis.conditions import as_list, check_epochs, epoch_steps, task_info
from rnn_maturation.analysis.parallel import in_order
from rnn_maturation.analysis.results import MappingResult, TableResult, labelled
from rnn_maturation.analysis.selectivity import (
    DEFAULT_TYPES,
    check_types,
    neuron_infos,
    select_units,
    warn_of_zero_fixation,
)
from rnn_maturation.checks import checks_run_arguments, quoted
from rnn_maturation.files import atomic_write
from rnn_maturation.model_directory import figure_dir
from rnn_maturation.stages import (
    flat_trials,
    performance_of,
    present_stages,
    present_trials,
    range_name,
    stage_by_trial,
)
from rnn_maturation.task import rule_name

# ------------------------------------------------------------------------------------------------------------ results


@labelled
class PSTHLog(MappingResult):
    """Activity of each selective unit against time at its preferred location, for every checkpoint or recording.

    It can be used as the dict ``{trial number: (n_units, n_time) array}`` that the original returned.

    Attributes
    ----------
    data : dict
        ``{trial number: (n_units, n_time) array}``: rate / fixation rate − 1, or the rate if `norm` is False. The
        fixation rate is the mean activity in fix1. If it is zero, the normalized activity of the unit is nan.
    units : dict
        ``{trial number: (n_units,) int array}``: index of the unit in each row of `data`.
    epochs : dict
        ``{epoch: (start, end)}`` in steps.
    dt : float
        Length of a step in ms.
    norm : bool
        Whether the activity is rate / fixation rate − 1 (True) or the rate (False).
    title : str
        Title of the figure.
    selective_in : tuple of str
        Rule and epoch in which the units are selective; empty if they are not known.
    """

    data: dict
    units: dict
    epochs: dict
    dt: float
    norm: bool = True
    title: str = ""
    selective_in: tuple = ()

    def to_frame(self):
        """Return a table with one row for each checkpoint, unit and time step.

        Returns
        -------
        pandas.DataFrame
            Columns trial (number of training trials, or name of the recording), unit, time_ms (from the start of the
            trial), activity.
        """
        tables = []
        for trial, psths in self.data.items():
            time = np.arange(psths.shape[1]) * self.dt
            columns = {"trial": trial, "unit": np.repeat(self.units[trial], len(time))}
            columns |= {"time_ms": np.tile(time, len(psths)), "activity": psths.ravel()}
            tables.append(pd.DataFrame(columns))
        return pd.concat(tables, ignore_index=True)

    def plot(self):
        """Draw the mean over units against time, one line for each checkpoint.

        Returns
        -------
        matplotlib.figure.Figure
        """
        return figures.psth_log(self)


@labelled
class PSTHResult(MappingResult):
    """Mean activity of selective units against time in each stage of maturation.

    Attributes
    ----------
    data : dict
        ``{stage: {'PSTH': (n_time,) array, 'PSTH_oppo': the same at the location opposite to the preferred one (only
        if requested), 'growth': mean performance (0 to 1), 'n_num': mean number of units}}``. Both means are taken
        over the checkpoints of the stage.
    epochs : dict
        ``{epoch: (start, end)}`` in steps.
    dt : float
        Length of a step in ms.
    norm : bool
        Whether the activity is rate / fixation rate − 1 (True) or the rate (False).
    title : str
        Title of the figure.
    """

    data: dict
    epochs: dict
    dt: float
    norm: bool = True
    title: str = ""

    def to_frame(self):
        """Return a table with one row for each stage, direction and time step.

        Returns
        -------
        pandas.DataFrame
            Columns stage, direction ('preferred' or 'opposite'), time_ms (from the start of the trial), activity,
            performance (0 to 1), n_units.
        """
        tables = []
        for stage, of_stage in self.data.items():
            for direction, name in (("preferred", "PSTH"), ("opposite", "PSTH_oppo")):
                if name in of_stage:
                    curve = of_stage[name]
                    columns = {"stage": stage, "direction": direction, "time_ms": np.arange(len(curve)) * self.dt}
                    columns |= {"activity": curve, "performance": of_stage["growth"], "n_units": of_stage["n_num"]}
                    tables.append(pd.DataFrame(columns))
        return pd.concat(tables, ignore_index=True)

    def plot(self):
        """Draw the activity against time, one curve for each stage (Fig. 4E-G).

        Returns
        -------
        matplotlib.figure.Figure
        """
        return figures.psth(self)


@labelled
class EpochGrowth(TableResult):
    """Mean activity of selective units in an epoch at each checkpoint.

    Attributes
    ----------
    data : pandas.DataFrame
        Columns trial (number of training trials); mean_activity, the mean over the units and time steps (nan if there
        is no checkpoint or no unit); stage ('early', 'mid', 'mature', or None if the checkpoint is missing or not among
        those that were assigned to stages).
    norm : bool
        Whether the activity is rate / fixation rate − 1 (True) or the rate (False).
    title : str
        Title of the figure.
    """

    data: pd.DataFrame
    norm: bool = True
    title: str = ""

    def plot(self):
        """Draw the mean activity against training trials (Fig. S2B).

        Returns
        -------
        matplotlib.figure.Figure
        """
        return figures.epoch_mean_growth(self)


@labelled
class EpochTTests(TableResult):
    """p-values of t-tests of the units' mean activity in an epoch between every two checkpoints.

    Attributes
    ----------
    data : pandas.DataFrame
        p-values, with the trial numbers as index and as columns; nan where a checkpoint is missing or has no units.
    performance : dict
        ``{trial number: performance (0 to 1)}`` of the checkpoints.
    title : str
        Title of the figure.
    """

    data: pd.DataFrame
    performance: dict
    title: str = ""

    def to_frame(self):
        """Return a table with one row for each ordered pair of checkpoints.

        Returns
        -------
        pandas.DataFrame
            Columns trial_1, trial_2, performance_1, performance_2, p.
        """
        table = self.data.rename_axis("trial_1").reset_index().melt("trial_1", var_name="trial_2", value_name="p")
        for number in (1, 2):
            table.insert(1 + number, f"performance_{number}", table[f"trial_{number}"].map(self.performance))
        return table

    def plot(self):
        """Draw the p-values as a heat map.

        Returns
        -------
        matplotlib.figure.Figure
        """
        return figures.p_heatmap(self)


# -------------------------------------------------------------------------------------------------- arrays in and out


def compute_psth(
    activity, locations, units, preferred, epochs, dt, norm=True, opposite=False, name="recording", title=""
):
    """Compute the activity of units against time at their preferred locations, or at the opposite ones.

    Parameters
    ----------
    activity : (n_time, n_trials, n_units) array
        Activity of all units.
    locations : (n_trials,) array
        Label of the location shown in each trial. The labels in ascending order have the indices 0 … n_locations − 1.
    units, preferred : (n_selected,) arrays of int
        Indices of the selected units, and the index of each unit's preferred location; see `selectivity.select_units`.
    epochs : dict
        ``{epoch: (start, end)}`` in steps; must contain 'fix1'.
    dt : float
        Length of a step in ms.
    norm : bool
        Whether to divide the activity by the unit's mean activity in fix1 at that location and subtract 1.
    opposite : bool
        Whether to use the location opposite to the preferred one.
    name : hashable
        Name of this recording in the result.
    title : str
        Title of the figure.

    Returns
    -------
    PSTHLog
        With the single key `name`.

    Raises
    ------
    ValueError
        If `activity` does not have three axes, if there is not one location for each trial, or if `epochs` has no
        'fix1'.
    """
    activity, units = np.asarray(activity), np.asarray(units, dtype=int)
    if activity.ndim != 3 or len(locations) != activity.shape[1]:
        raise ValueError(
            f"activity must have the shape (n_time, n_trials, n_units), with a location for each trial; it has the "
            f"shape {activity.shape}, and there are {len(locations)} locations."
        )
    check_epochs(epochs, "fix1")
    means = mean_by_location(activity, locations)
    psths = unit_psths(means, units, np.asarray(preferred, dtype=int), slice(*epochs["fix1"]), norm, opposite)
    return PSTHLog({name: psths}, {name: units}, epochs, dt, norm, title)


def unit_psths(means, units, preferred, fixation, norm=True, opposite=False):
    """Return the activity of units against time at their preferred location, or at the opposite one.

    Parameters
    ----------
    means : (n_locations, n_time, n_all_units) array
        Mean activity over the trials of each location.
    units, preferred : (n_units,) int arrays
        Indices of the units, and the index of each unit's preferred location.
    fixation : slice
        Time steps of the fixation period.
    norm, opposite : bool
        As `norm` and `oppo_sel_dir` of `gen_PSTH_log`.

    Returns
    -------
    (n_units, n_time) array
    """
    n_locations = len(means)
    locations = (preferred + n_locations // 2) % n_locations if opposite else preferred
    psths = means[locations, :, units]
    levels = psths[:, fixation].mean(axis=1, keepdims=True)
    if opposite and n_locations % 2:
        psths = (psths + means[(locations + 1) % n_locations, :, units]) / 2
    if not norm:
        return psths
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(levels == 0, np.nan, psths / levels - 1)


def mean_over_units(psths):
    """Return the mean over the rows without nan, an (n_time,) array; all of it is nan if there are no such rows."""
    kept = psths[~np.isnan(psths).any(axis=1)]
    return kept.mean(axis=0) if len(kept) else np.full(psths.shape[1], np.nan)


def compute_stage_psths(psths, stages, performance, epochs, dt, norm=True, opposite=None, title=""):
    """Compute the mean activity of each stage against time: the mean over units, then over the stage's checkpoints.

    Parameters
    ----------
    psths : PSTHLog or dict
        ``{trial number: (n_units, n_time) array}``, the activity at the preferred locations.
    stages : dict
        ``{stage: trial numbers}``.
    performance : dict
        ``{trial number: performance (0 to 1)}``.
    epochs : dict
        ``{epoch: (start, end)}`` in steps.
    dt : float
        Length of a step in ms.
    norm : bool
        Whether `psths` contains rate / fixation rate − 1 (True) or the rate (False).
    opposite : PSTHLog or dict, optional
        As `psths`, but at the locations opposite to the preferred ones.
    title : str
        Title of the figure.

    Returns
    -------
    PSTHResult
        The curve of a stage without units is nan; one warning names all such stages.
    """
    results = {}
    for stage, trials in stages.items():
        result = {}
        for name, of_direction in (("PSTH", psths), ("PSTH_oppo", opposite)):
            if of_direction is not None:  # the mean over checkpoints omits those without units
                result[name] = mean_over_units(np.stack([mean_over_units(of_direction[trial]) for trial in trials]))
        result["growth"] = float(np.mean([performance[trial] for trial in trials]))
        result["n_num"] = float(np.mean([len(psths[trial]) for trial in trials]))
        results[stage] = result
    empty = [stage for stage, result in results.items() if not result["n_num"]]
    if empty:
        where = title.split("\n")[0] or "PSTH"
        warnings.warn(f"{where}: no unit of these types in stage {', '.join(empty)}; the curve is nan.", stacklevel=3)
    return PSTHResult(results, epochs, dt, norm, title)


def epoch_unit_means(psths, steps):
    """Return ``{trial number: each unit's mean activity over some time steps}``, without the units that are nan."""
    means = {trial: np.asarray(of_trial)[:, steps].mean(axis=1) for trial, of_trial in psths.items()}
    return {trial: values[~np.isnan(values)] for trial, values in means.items()}


def compute_epoch_growth(psths, steps, stages, trials=None, norm=True, title=""):
    """Compute the mean activity in an epoch at each checkpoint.

    Parameters
    ----------
    psths : PSTHLog or dict
        ``{trial number: (n_units, n_time) array}``.
    steps : slice
        Time steps of the epoch.
    stages : dict
        ``{stage: trial numbers}``.
    trials : list of int, optional
        Trial numbers of the table's rows; those that `psths` lacks are nan. Default: all trial numbers in `psths`.
    norm : bool
        Whether `psths` contains rate / fixation rate − 1 (True) or the rate (False).
    title : str
        Title of the figure.

    Returns
    -------
    EpochGrowth
    """
    stage_of = stage_by_trial(stages)
    means = {trial: v.mean() if len(v) else np.nan for trial, v in epoch_unit_means(psths, steps).items()}
    rows = [(t, means.get(t, np.nan), stage_of.get(t)) for t in (sorted(psths) if trials is None else trials)]
    return EpochGrowth(pd.DataFrame(rows, columns=["trial", "mean_activity", "stage"]), norm, title)


def compute_epoch_ttests(psths, steps, performance, trials=None, title=""):
    """Compare the units' mean activity in an epoch between every two checkpoints with independent t-tests.

    Parameters
    ----------
    psths, steps, trials, title
        As in `compute_epoch_growth`.
    performance : dict
        ``{trial number: performance (0 to 1)}``.

    Returns
    -------
    EpochTTests
    """
    means = epoch_unit_means(psths, steps)
    trials = sorted(psths) if trials is None else trials
    p = pd.DataFrame(pairwise_ttest(list(means.values())), list(means), list(means))
    return EpochTTests(p.reindex(index=trials, columns=trials), performance, title)


def pairwise_ttest(samples):
    """Return the p-values of independent two-sided t-tests between every two samples.

    The p-values are those of scipy.stats.ttest_ind for each pair; the variances are assumed to be equal.

    Parameters
    ----------
    samples : list of n arrays, each (n_units,)
        The number of units may differ between the samples.

    Returns
    -------
    (n, n) array
        nan where a sample is empty.
    """
    n = np.array([len(sample) for sample in samples])
    mean = np.array([sample.mean() if len(sample) else np.nan for sample in samples], dtype=float)
    deviation = np.array([sample.std(ddof=1) if len(sample) > 1 else 0 for sample in samples], dtype=float)
    with np.errstate(divide="ignore", invalid="ignore"):
        return ttest_ind_from_stats(mean[:, None], deviation[:, None], n[:, None], mean, deviation, n).pvalue


# ---------------------------------------------------------------------------------------------------- public analyses


@checks_run_arguments
def gen_PSTH_log(
    hp, trial_list, model_dir, rule, seltive_epoch, n_types=DEFAULT_TYPES, norm=True, oppo_sel_dir=False, save=True
):
    """Compute the activity of each selective unit against time at its preferred location, for every checkpoint.

    If a checkpoint has no neuron_info, it is computed with the defaults of `generate_neuron_info`. If it has no H file,
    the activity is computed but not saved.

    Parameters
    ----------
    hp : dict
    trial_list : range, list, tuple, array or stage dict
    model_dir : str
    rule : str
    seltive_epoch : str
        Epoch in which the units are selective, and from which their preferred location is taken.
    n_types : tuple of str
        Types of units, see `generate_neuron_info`; a unit of several types counts once.
    norm : bool
        Whether to divide the activity by the unit's mean activity in fix1 at that location and subtract 1.
    oppo_sel_dir : bool
        Whether to use the location opposite to the preferred one. If the number of locations is odd, the activity is
        the mean of the two locations nearest to the opposite direction, and the fixation rate is that of the first.
    save : bool
        Whether to save the neuron_info of checkpoints that have none.

    Returns
    -------
    PSTHLog
        Can be used as ``{trial number: (n_units, n_time) array}``, with the units in ascending order. The array has the
        shape (0, n_time) if a checkpoint has no such units, and is nan for units whose fixation rate is zero.

    Raises
    ------
    ValueError
        If the rule, the epoch or a type of units is unknown, or if a file is damaged; the message names it.
    FileNotFoundError
        If none of the checkpoints is on disk. If some are missing, one warning names them.
    """
    trials = present_trials(model_dir, flat_trials(trial_list, rule), rule)
    return _psth_log(hp, trials, model_dir, rule, seltive_epoch, n_types, norm, oppo_sel_dir, save=save)


def _psth_log(hp, trials, model_dir, rule, epoch, n_types, norm, opposite=False, only_units=None, save=True, warn=True):
    """Return what `gen_PSTH_log` returns, for `only_units` if given; `warn`: whether to warn of units that are nan."""
    check_types(n_types)
    info = task_info(hp, model_dir, rule)
    check_epochs(info["epoch_info"], epoch, f"Rule {rule}")
    fixation = epoch_steps(info, rule, "fix1")
    infos = neuron_infos(hp, model_dir, trials, rule, epoch, save)

    def of_checkpoint(trial_num):
        units, preferred = select_units(infos[trial_num], n_types)
        if only_units is not None:
            kept = np.isin(units, only_units)
            units, preferred = units[kept], preferred[kept]
        means = location_means(hp, model_dir, trial_num, rule)
        return units, unit_psths(means, units, preferred, fixation, norm, opposite)

    found = dict(zip(trials, in_order(of_checkpoint, trials, f"PSTH {rule} {epoch}"), strict=True))
    title = selection_title(rule, epoch, n_types, trials) + (", opposite location" if opposite else "")
    units, psths = ({trial: pair[i] for trial, pair in found.items()} for i in (0, 1))
    if warn:
        warn_of_zero_fixation(sum(int(np.isnan(of_trial).all(axis=1).sum()) for of_trial in psths.values()))
    return PSTHLog(psths, units, info["epoch_info"], hp["dt"], norm, title, (rule, epoch))


def selection_title(rule, epoch, n_types, trials):
    """Return the title of a figure: rule, selective epoch, types of units, and range of the checkpoints."""
    types = " + ".join(kind.removesuffix("_neurons") for kind in as_list(n_types))
    return f"{rule_name[rule]}, units selective in {epoch} ({types})\n{trials_text(trials)}"


def trials_text(trials):
    """Return the text that describes checkpoints in a title: their number and range."""
    trials = list(trials)
    if len(trials) == 1:
        return f"checkpoint at {trials[0]:,} trials"
    return f"{len(trials)} checkpoints from {min(trials):,} to {max(trials):,} trials"


@checks_run_arguments
def plot_PSTH(
    hp,
    log,
    model_dir,
    rule,
    epoch,
    trial_list,
    n_types=DEFAULT_TYPES,
    plot_oppo_dir=False,
    norm=True,
    PSTH_log=None,
    save=True,
):
    """Compute and draw the mean activity of selective units against time in each stage of maturation (Fig. 4E-G).

    Parameters
    ----------
    hp, log : dict
    model_dir, rule, epoch : str
        `epoch` is the epoch in which the units are selective.
    trial_list : range, list, tuple, array or stage dict
    n_types, norm
        As in `gen_PSTH_log`.
    plot_oppo_dir : bool
        Whether to show also the activity at the location opposite to the preferred one.
    PSTH_log : PSTHLog or dict, optional
        Result of `gen_PSTH_log` for these checkpoints; it is not changed. Default: it is computed.
    save : bool
        Whether to write the figure, and the neuron_info files that checkpoints lack.

    Returns
    -------
    PSTHResult
        Can be used as ``{stage: {'PSTH', 'PSTH_oppo', 'growth', 'n_num'}}``. Stages without checkpoints are absent. The
        curves of stages without units are nan, and a warning names these stages.

    Raises
    ------
    ValueError
        If the rule, an epoch or a type of units is unknown, if a file is damaged, or if PSTH_log lacks checkpoints.
    FileNotFoundError
        If none of the checkpoints is on disk. If some are missing, one warning names them.
    """
    stages = present_stages(hp, log, model_dir, rule, trial_list)
    trials = list(stage_by_trial(stages))
    arguments = hp, trials, model_dir, rule, epoch, n_types, norm
    if PSTH_log is None:
        preferred = _psth_log(*arguments, save=save)
    else:
        preferred = checked_log(PSTH_log, trials, norm, rule, epoch)
    opposite = _psth_log(*arguments, opposite=True, save=save, warn=False) if plot_oppo_dir else None
    epochs = task_info(hp, model_dir, rule)["epoch_info"]
    title = selection_title(rule, epoch, n_types, trials)
    performance = performance_of(log, rule, trials)
    result = compute_stage_psths(preferred, stages, performance, epochs, hp["dt"], norm, opposite, title)
    if save:
        span, step = range_name(trial_list, rule)
        folder = figure_dir(model_dir, rule, epoch) / "_".join(check_types(n_types))
        figures.save_figure(result.plot(), folder / f"{rule}_{epoch}_{span}_step_{step}_PSTH")
    return result


@checks_run_arguments
def plot_PSTH_neuron_selected(
    hp,
    log,
    model_dir,
    rule,
    epoch,
    trial_list,
    selected_n_list=None,
    n_types_selected=DEFAULT_TYPES,
    n_types_intersection_limit=("selective_neurons",),
    plot_oppo_dir=False,
    norm=True,
    PSTH_log=None,
    save=True,
):
    """Compute and draw the same as `plot_PSTH`, but for the same units at all checkpoints.

    Parameters
    ----------
    hp, log, model_dir, rule, epoch, trial_list, plot_oppo_dir, norm
        As in `plot_PSTH`.
    selected_n_list : list of int, optional
        Indices of the units to choose from. Default: the units of the types `n_types_selected` at the last checkpoint.
    n_types_selected : tuple of str
        Types of units to choose from; not used if `selected_n_list` is given.
    n_types_intersection_limit : tuple of str
        Only units that are of one of these types at every checkpoint are chosen.
    PSTH_log : PSTHLog or dict, optional
        Result of `gen_PSTH_log` for these checkpoints and for the types of `n_types_intersection_limit`, those of
        `n_types_selected`, or the default types. A checkpoint at which it lacks a chosen unit is computed anew.
    save : bool
        Whether to write the figure, a text file beside it with the chosen units as a Python list, and the neuron_info
        files that checkpoints lack.

    Returns
    -------
    PSTHResult
        As returned by `plot_PSTH`.

    Raises
    ------
    ValueError
        If the rule, the epoch or a type of units is unknown, if a file is damaged, or if PSTH_log lacks checkpoints or
        has other units.
    FileNotFoundError
        If none of the checkpoints is on disk. If some are missing, one warning names them.
    """
    stages = present_stages(hp, log, model_dir, rule, trial_list)
    trials = list(stage_by_trial(stages))
    info = task_info(hp, model_dir, rule)
    check_epochs(info["epoch_info"], epoch, f"Rule {rule}")
    infos = neuron_infos(hp, model_dir, trials, rule, epoch, save)
    chosen = select_units(infos[trials[-1]], n_types_selected)[0] if selected_n_list is None else selected_n_list
    limits = [select_units(infos[trial], n_types_intersection_limit)[0] for trial in trials]
    chosen = sorted({int(unit) for unit in chosen}.intersection(*(units.tolist() for units in limits)))

    given = {}
    if PSTH_log is not None:
        types = [as_list(names) for names in (n_types_intersection_limit, n_types_selected, DEFAULT_TYPES)]
        rows = [{trial: select_units(infos[trial], names)[0] for trial in trials} for names in types]
        rows = [PSTH_log.units] if isinstance(PSTH_log, PSTHLog) else rows
        given = _rows_of_units(checked_log(PSTH_log, trials, norm, rule, epoch), rows, chosen)
    arguments = model_dir, rule, epoch, n_types_intersection_limit, norm
    missing = [trial for trial in trials if trial not in given]
    only = {"only_units": chosen, "save": save}
    preferred = {**given, **(_psth_log(hp, missing, *arguments, **only, warn=PSTH_log is None) if missing else {})}
    opposite = _psth_log(hp, trials, *arguments, opposite=True, **only, warn=False) if plot_oppo_dir else None

    title = f"{rule_name[rule]}, {len(chosen)} units selective in {epoch} at every checkpoint\n{trials_text(trials)}"
    performance = performance_of(log, rule, trials)
    result = compute_stage_psths(preferred, stages, performance, info["epoch_info"], hp["dt"], norm, opposite, title)
    if save:
        span, step = range_name(trial_list, rule)
        stem = figure_dir(model_dir, rule, epoch) / f"{rule}_{epoch}_{span}_step_{step}"
        figures.save_figure(result.plot(), f"{stem}neuron_selected_PSTH")
        with atomic_write(f"{stem}selected_neurons.txt") as temporary:
            temporary.write_text(f"{chosen}\n")
    return result


def _rows_of_units(psths, candidates, chosen):
    """Return the rows of the chosen units from a PSTH log, for the checkpoints at which it has all of these units.

    A plain dict does not say which units its rows are. `candidates` is a list of {trial number: units}; the first one
    that has as many units as `psths` has rows at every checkpoint is used.
    """
    for units in candidates:
        if all(len(units[trial]) == len(rows) for trial, rows in psths.items()):
            whole = [trial for trial in psths if set(chosen) <= set(units[trial].tolist())]
            return {trial: psths[trial][np.isin(units[trial], chosen)] for trial in whole}
    raise ValueError(
        "PSTH_log is not of the units of n_types_intersection_limit, of n_types_selected, or of the default types at "
        "these checkpoints: omit PSTH_log, and it will be computed."
    )


def checked_log(psth_log, trials, norm, rule, epoch):
    """Check that a PSTH log fits the requested analysis, and return its part for the given checkpoints.

    Parameters
    ----------
    psth_log : PSTHLog or dict
    trials : list of int
        Trial numbers of the checkpoints.
    norm : bool
        Whether the requested activity is rate / fixation rate − 1 (True) or the rate (False).
    rule, epoch : str
        Rule and epoch in which the units must be selective.

    Returns
    -------
    dict
        ``{trial number: (n_units, n_time) array}``.

    Raises
    ------
    ValueError
        If `psth_log` is not a mapping, if it lacks a checkpoint, or if it is a PSTHLog that was made with another
        `norm` or for another rule or epoch.
    """
    if not isinstance(psth_log, Mapping):
        raise ValueError(f"PSTH_log must be what gen_PSTH_log returns, not a {type(psth_log).__name__}.")
    missing = [trial for trial in trials if trial not in psth_log]
    if missing:
        raise ValueError(f"PSTH_log lacks trial numbers {quoted(missing)}: make it with gen_PSTH_log for this list.")
    if isinstance(psth_log, PSTHLog) and psth_log.norm != bool(norm):
        raise ValueError(f"PSTH_log was made with norm={psth_log.norm}: give the same norm here, or omit PSTH_log.")
    if isinstance(psth_log, PSTHLog) and psth_log.selective_in not in ((), (rule, epoch)):
        made_for = " ".join(psth_log.selective_in)
        raise ValueError(f"PSTH_log is of units selective in {made_for}, not in {rule} {epoch}: make another one.")
    return {trial: np.asarray(psth_log[trial]) for trial in trials}


@checks_run_arguments
def plot_epoch_mean_growth(
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
    course=None,
    save=True,
):
    """Compute and draw the mean activity of selective units in an epoch, checkpoint by checkpoint (Fig. S2B).

    Parameters
    ----------
    hp, log : dict
    trial_list : range, list, tuple, array or stage dict
    model_dir, rule : str
    seltive_epoch, analy_epoch : str
        Epoch in which the units are selective, and epoch in which their activity is averaged.
    n_types, norm
        As in `gen_PSTH_log`.
    PSTH_log : PSTHLog or dict, optional
        Result of `gen_PSTH_log` for these checkpoints. Default: it is computed.
    course : range, list, tuple or array, optional
        Trial numbers of additional checkpoints, which are shown in gray so that the figure covers the whole training,
        for example ``evenly_thinned(checkpoint_trials(model_dir), 40)``. Those that PSTH_log lacks are computed.
    save : bool
        Whether to write the figure, and the neuron_info files that checkpoints lack.

    Returns
    -------
    EpochGrowth
        Can be used as a pandas.DataFrame with the columns trial, mean_activity (nan if there is no checkpoint or no
        unit) and stage (None if there is no checkpoint, and for the checkpoints of `course`).

    Raises
    ------
    ValueError
        If the rule, an epoch or a type of units is unknown, if a file is damaged, or if PSTH_log lacks checkpoints.
    FileNotFoundError
        If none of the checkpoints is on disk. If some are missing, one warning names them.
    """
    stages, steps, psths = epoch_psths(
        hp, log, trial_list, model_dir, rule, seltive_epoch, analy_epoch, n_types, norm, PSTH_log, save
    )
    trials = flat_trials(trial_list, rule)
    more = [] if course is None else [trial for trial in flat_trials(course, rule) if trial not in trials]
    if more:
        known = checked_log(PSTH_log or {}, [t for t in more if t in (PSTH_log or {})], norm, rule, seltive_epoch)
        unknown = [trial for trial in more if trial not in known]
        if unknown:
            unknown = present_trials(model_dir, unknown, rule)
            known |= _psth_log(hp, unknown, model_dir, rule, seltive_epoch, n_types, norm, save=save).data
        psths |= known
        trials = sorted([*trials, *known])
    title = selection_title(rule, seltive_epoch, n_types, psths) + f", activity in {analy_epoch}"
    result = compute_epoch_growth(psths, steps, stages, trials, norm, title)
    if save:
        folder = figure_dir(model_dir, rule, seltive_epoch)
        figures.save_figure(result.plot(), folder / f"{analy_epoch}_epoch_mean_growth")
    return result


@checks_run_arguments
def plot_period_ttest_heatmap(
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
    save=True,
):
    """Compare the activity in an epoch between every two checkpoints with independent t-tests, and draw the p-values.

    Parameters
    ----------
    hp, log, trial_list, model_dir, rule, seltive_epoch, analy_epoch, n_types, norm, PSTH_log, save
        As in `plot_epoch_mean_growth`.

    Returns
    -------
    EpochTTests
        Can be used as a pandas.DataFrame of p-values, with the trial numbers as index and as columns; nan if one of the
        two checkpoints is missing or has no units.

    Raises
    ------
    ValueError
        If the rule, an epoch or a type of units is unknown, if a file is damaged, or if PSTH_log lacks checkpoints.
    FileNotFoundError
        If none of the checkpoints is on disk. If some are missing, one warning names them.
    """
    _, steps, psths = epoch_psths(
        hp, log, trial_list, model_dir, rule, seltive_epoch, analy_epoch, n_types, norm, PSTH_log, save
    )
    title = selection_title(rule, seltive_epoch, n_types, psths) + f", activity in {analy_epoch}"
    performance = performance_of(log, rule, psths)
    result = compute_epoch_ttests(psths, steps, performance, flat_trials(trial_list, rule), title)
    if save:
        folder = figure_dir(model_dir, rule, seltive_epoch)
        figures.save_figure(result.plot(), folder / f"rule_{rule}_sel_{seltive_epoch}_analy_{analy_epoch}_heatmap")
    return result


def epoch_psths(hp, log, trial_list, model_dir, rule, seltive_epoch, window, n_types, norm, psth_log, save):
    """Return what the analyses of an epoch need from a run: stages, time steps and activity.

    Parameters
    ----------
    hp, log, trial_list, model_dir, rule, seltive_epoch, n_types, norm, psth_log, save
        As in `plot_epoch_mean_growth`.
    window : str or (start, end) in ms
        Name of the epoch to analyze, or a time window from the start of the trial.

    Returns
    -------
    stages : dict
        ``{stage: trial numbers}`` of the checkpoints on disk.
    steps : slice
        Time steps of the window.
    psths : dict
        ``{trial number: (n_units, n_time) array}``.
    """
    steps = window_steps(hp, task_info(hp, model_dir, rule), rule, window)
    stages = present_stages(hp, log, model_dir, rule, trial_list)
    trials = list(stage_by_trial(stages))
    if psth_log is None:
        psth_log = _psth_log(hp, trials, model_dir, rule, seltive_epoch, n_types, norm, save=save)
    return stages, steps, checked_log(psth_log, trials, norm, rule, seltive_epoch)


def window_steps(hp, info, rule, window):
    """Return the time steps of an epoch, or of a window in ms, as a slice.

    Parameters
    ----------
    hp : dict
        Must contain 'dt', the length of a step in ms.
    info : dict
        Must contain 'epoch_info', ``{epoch: (start, end)}`` in steps.
    rule : str
        Used in error messages only.
    window : str or (start, end) in ms
        Name of an epoch, or a time window from the start of the trial.

    Returns
    -------
    slice

    Raises
    ------
    ValueError
        If the rule has no such epoch, or if the window is empty, starts before the trial, or does not start before the
        last time at which an epoch starts or ends.
    """
    if isinstance(window, str):
        return epoch_steps(info, rule, window)
    try:
        start, end = (int(ms / hp["dt"]) for ms in window)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"A window must be the name of an epoch or (start, end) in ms, not {quoted(window)}."
        ) from error
    last = max(step for steps in info["epoch_info"].values() for step in steps if step is not None)
    if not 0 <= start < end or start >= last:
        raise ValueError(
            f"The window {quoted(window)} ms is empty, or it does not start at 0 ms or later and before "
            f"{last * hp['dt']} ms, the last time at which an epoch of rule {rule} starts or ends."
        )
    return slice(start, end)
