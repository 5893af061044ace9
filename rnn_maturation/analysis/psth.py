"""Activity of selective units against time (peri-stimulus time histograms) and its growth over training.

The `compute_` functions take arrays and know nothing of runs and files, so that they also serve recorded activity.
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
    """Activity against time of each selective unit at its preferred location, for every checkpoint or recording.

    It can be used as the dict ``{trial number: (n_units, n_time) array}`` that the original returned.

    Attributes
    ----------
    data : dict
        ``{trial number: (n_units, n_time) array}``: rate / fixation rate − 1, or the rate where `norm` is False. A
        unit whose fixation rate is zero is nan.
    units : dict
        ``{trial number: (n_units,) int array}``, which units the rows are.
    epochs : dict
        ``{epoch: (start, end)}`` in steps.
    dt : float
        Length of a step in ms.
    norm : bool
        Whether the activity is divided by the fixation rate.
    title : str
    selective_in : tuple of str
        Rule and epoch in which the units are selective; empty where that is not known.
    """

    data: dict
    units: dict
    epochs: dict
    dt: float
    norm: bool = True
    title: str = ""
    selective_in: tuple = ()

    def to_frame(self):
        """Return a table with a row for each checkpoint, unit and step.

        Returns
        -------
        pandas.DataFrame
            Columns trial, unit, time_ms, activity.
        """
        tables = []
        for trial, psths in self.data.items():
            time = np.arange(psths.shape[1]) * self.dt
            columns = {"trial": trial, "unit": np.repeat(self.units[trial], len(time))}
            columns |= {"time_ms": np.tile(time, len(psths)), "activity": psths.ravel()}
            tables.append(pd.DataFrame(columns))
        return pd.concat(tables, ignore_index=True)

    def plot(self):
        """Draw the mean over units of each checkpoint.

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
        ``{stage: {'PSTH': (n_time,) array, 'PSTH_oppo': the same opposite to the preferred location (if asked for),
        'growth': mean performance, 'n_num': mean number of units}}``.
    epochs : dict
        ``{epoch: (start, end)}`` in steps.
    dt : float
        Length of a step in ms.
    norm : bool
        Whether the activity is rate / fixation rate − 1, else the rate.
    title : str
    """

    data: dict
    epochs: dict
    dt: float
    norm: bool = True
    title: str = ""

    def to_frame(self):
        """Return a table with a row for each stage, direction and step.

        Returns
        -------
        pandas.DataFrame
            Columns stage, direction ('preferred' or 'opposite'), time_ms, activity, performance, n_units.
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
        """Draw the curves of the stages (Fig. 4E-G).

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
        Columns trial; mean_activity, the mean over units and steps (nan without units or checkpoint); stage ('early',
        'mid', 'mature', or None where the checkpoint is missing or belongs to the course only).
    norm : bool
        Whether the activity is rate / fixation rate − 1, else the rate.
    title : str
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
        p-values, trial numbers × trial numbers; nan where a checkpoint is missing or has no units.
    performance : dict
        ``{trial number: performance}`` of the checkpoints.
    title : str
    """

    data: pd.DataFrame
    performance: dict
    title: str = ""

    def to_frame(self):
        """Return a table with a row for each ordered pair of checkpoints.

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
    """Compute the activity of units against time at their preferred locations, or opposite to them.

    Parameters
    ----------
    activity : (n_time, n_trials, n_units) array
        Activity of all units.
    locations : (n_trials,) array
        Location shown in each trial. In ascending order, the locations have the indices 0 … n_locations − 1.
    units, preferred : (n_selected,) arrays of int
        Selected units, and the index of the preferred location of each; see `selectivity.select_units`.
    epochs : dict
        ``{epoch: (start, end)}`` in steps, with 'fix1'.
    dt : float
        Length of a step in ms.
    norm : bool
        Divide by the mean activity in fix1 at that location and subtract 1.
    opposite : bool
        Take the location opposite to the preferred one.
    name : hashable
        What the result calls this recording.
    title : str

    Returns
    -------
    PSTHLog
        With the single key `name`.

    Raises
    ------
    ValueError
        If the number of locations is not the number of trials.
    """
    activity, units = np.asarray(activity), np.asarray(units, dtype=int)
    if activity.ndim != 3 or len(locations) != activity.shape[1]:
        raise ValueError(
            f"activity is (n_time, n_trials, n_units) with a location for each trial; here it has the shape "
            f"{activity.shape}, and there are {len(locations)} locations."
        )
    means = mean_by_location(activity, locations)
    psths = unit_psths(means, units, np.asarray(preferred, dtype=int), slice(*epochs["fix1"]), norm, opposite)
    return PSTHLog({name: psths}, {name: units}, epochs, dt, norm, title)


def unit_psths(means, units, preferred, fixation, norm=True, opposite=False):
    """Return the activity against time of units at their preferred location, or opposite to it.

    Parameters
    ----------
    means : (n_locations, n_time, n_all_units) array
        Mean activity over the trials of each location.
    units, preferred : (n_units,) int arrays
        Units and the index of their preferred location.
    fixation : slice
        Steps of the fixation period.
    norm, opposite : bool
        As in `gen_PSTH_log`.

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
    """Return the mean over the rows that have no nan, (n_time,); nan when there are none."""
    kept = psths[~np.isnan(psths).any(axis=1)]
    return kept.mean(axis=0) if len(kept) else np.full(psths.shape[1], np.nan)


def compute_stage_psths(psths, stages, performance, epochs, dt, norm=True, opposite=None, title=""):
    """Compute the mean activity against time of each stage: over units, then over the stage's checkpoints.

    Parameters
    ----------
    psths : PSTHLog or dict
        ``{trial number: (n_units, n_time) array}`` at the preferred locations.
    stages : dict
        ``{stage: trial numbers}``.
    performance : dict
        ``{trial number: performance}``.
    epochs : dict
        ``{epoch: (start, end)}`` in steps.
    dt : float
        Length of a step in ms.
    norm : bool
        Whether `psths` are divided by the fixation rate.
    opposite : PSTHLog or dict, optional
        As `psths`, opposite to the preferred locations.
    title : str

    Returns
    -------
    PSTHResult
        The curve of a stage without units is nan, with one warning.
    """
    results = {}
    for stage, trials in stages.items():
        result = {}
        for name, of_direction in (("PSTH", psths), ("PSTH_oppo", opposite)):
            if of_direction is not None:  # checkpoints without units are left out
                result[name] = mean_over_units(np.stack([mean_over_units(of_direction[trial]) for trial in trials]))
        result["growth"] = float(np.mean([performance[trial] for trial in trials]))
        result["n_num"] = float(np.mean([len(psths[trial]) for trial in trials]))
        results[stage] = result
    empty = [stage for stage, result in results.items() if not result["n_num"]]
    if empty:
        where = title.split("\n")[0] or "PSTH"
        warnings.warn(f"{where}: no unit of these types in stage {', '.join(empty)}; its curve is nan.", stacklevel=3)
    return PSTHResult(results, epochs, dt, norm, title)


def epoch_unit_means(psths, steps):
    """Return each unit's mean activity over some steps, ``{trial number: (n_units,) array}``, without units of nan."""
    means = {trial: np.asarray(of_trial)[:, steps].mean(axis=1) for trial, of_trial in psths.items()}
    return {trial: values[~np.isnan(values)] for trial, values in means.items()}


def compute_epoch_growth(psths, steps, stages, trials=None, norm=True, title=""):
    """Compute the mean activity in an epoch at each checkpoint.

    Parameters
    ----------
    psths : PSTHLog or dict
        ``{trial number: (n_units, n_time) array}``.
    steps : slice
        Steps of the epoch.
    stages : dict
        ``{stage: trial numbers}``.
    trials : list of int, optional
        Rows of the table, also those without checkpoint; default: all of `psths`.
    norm : bool
        Whether `psths` are divided by the fixation rate.
    title : str

    Returns
    -------
    EpochGrowth
    """
    stage_of = stage_by_trial(stages)
    means = {trial: v.mean() if len(v) else np.nan for trial, v in epoch_unit_means(psths, steps).items()}
    rows = [(t, means.get(t, np.nan), stage_of.get(t)) for t in (sorted(psths) if trials is None else trials)]
    return EpochGrowth(pd.DataFrame(rows, columns=["trial", "mean_activity", "stage"]), norm, title)


def compute_epoch_ttests(psths, steps, performance, trials=None, title=""):
    """Compare the units' mean activity in an epoch between every two checkpoints by independent t-tests.

    Parameters
    ----------
    psths, steps, trials, title
        As in `compute_epoch_growth`.
    performance : dict
        ``{trial number: performance}``.

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

    The same as scipy.stats.ttest_ind of each pair.

    Parameters
    ----------
    samples : list of n arrays, each (n_units,)

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


def gen_PSTH_log(
    hp, trial_list, model_dir, rule, seltive_epoch, n_types=DEFAULT_TYPES, norm=True, oppo_sel_dir=False, save=True
):
    """Compute the activity against time of each selective unit at its preferred location, for every checkpoint.

    Missing neuron_info is computed with the defaults of `generate_neuron_info`. Activity that has no H file is computed
    and not kept.

    Parameters
    ----------
    hp : dict
    trial_list : range, list, tuple, array or stage dict
    model_dir : str
    rule : str
    seltive_epoch : str
        Epoch in which the units are selective, and prefer a location.
    n_types : tuple of str
        Types of units, see `generate_neuron_info`; a unit of several types counts once.
    norm : bool
        Divide by the mean fix1 activity at that location and subtract 1.
    oppo_sel_dir : bool
        Take the location opposite to the preferred one; in an odd ring the mean of the two that are nearest to it,
        with the fixation rate of the first.
    save : bool
        Write the neuron_info files that checkpoints lack.

    Returns
    -------
    PSTHLog
        Can be used as ``{trial number: (n_units, n_time) array}``: units ascending; (0, n_time) where a checkpoint has
        no such units; nan where the fixation rate is zero.

    Raises
    ------
    ValueError
        For an unknown rule, epoch or type of units, or a damaged file; the message names it.
    FileNotFoundError
        If none of the checkpoints is on disk. If some are missing, one warning names them.
    """
    trials = present_trials(model_dir, flat_trials(trial_list, rule), rule)
    return _psth_log(hp, trials, model_dir, rule, seltive_epoch, n_types, norm, oppo_sel_dir, save=save)


def _psth_log(hp, trials, model_dir, rule, epoch, n_types, norm, opposite=False, only_units=None, save=True, warn=True):
    """Return what `gen_PSTH_log` returns, of some of the units if asked for; `warn` of those that are nan."""
    check_types(n_types)
    info = task_info(hp, model_dir, rule)
    check_epochs(info, rule, epoch)
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
    """Return the title of a figure: rule, types of units, epoch of selectivity, and range of the checkpoints."""
    types = " + ".join(kind.removesuffix("_neurons") for kind in as_list(n_types))
    return f"{rule_name[rule]}, units selective in {epoch} ({types})\n{trials_text(trials)}"


def trials_text(trials):
    """Return what a title says of checkpoints: their range and number."""
    trials = list(trials)
    if len(trials) == 1:
        return f"checkpoint of {trials[0]:,} trials"
    return f"{len(trials)} checkpoints from {min(trials):,} to {max(trials):,} trials"


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
        The epoch is that in which the units are selective.
    trial_list : range, list, tuple, array or stage dict
    n_types, norm
        As in `gen_PSTH_log`.
    plot_oppo_dir : bool
        Show the activity opposite to the preferred location too.
    PSTH_log : dict, optional
        What `gen_PSTH_log` returned for these checkpoints; it is not changed.
    save : bool
        Write the figure.

    Returns
    -------
    PSTHResult
        Can be used as ``{stage: {'PSTH', 'PSTH_oppo', 'growth', 'n_num'}}``. Stages without checkpoints are absent;
        those without units are nan, with a warning.

    Raises
    ------
    ValueError
        For an unknown rule, epoch or type of units, a damaged file, or a PSTH_log of other checkpoints.
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
    """Compute and draw what `plot_PSTH` does, for the same units at all checkpoints.

    Parameters
    ----------
    hp, log, model_dir, rule, epoch, trial_list, plot_oppo_dir, norm
        As in `plot_PSTH`.
    selected_n_list : list of int, optional
        Units to choose from; default: those of `n_types_selected` in the last checkpoint.
    n_types_selected : tuple of str
    n_types_intersection_limit : tuple of str
        The chosen units are of these types in every checkpoint.
    PSTH_log : dict, optional
        What `gen_PSTH_log` returned for these checkpoints and the types of `n_types_intersection_limit`,
        `n_types_selected` or its default. Chosen units that it lacks at a checkpoint are computed.
    save : bool
        Write the figure, and beside it the chosen units as a Python list in a text file.

    Returns
    -------
    PSTHResult
        As `plot_PSTH`.

    Raises
    ------
    ValueError
        For an unknown rule, epoch or type of units, a damaged file, or a PSTH_log of other checkpoints or units.
    FileNotFoundError
        If none of the checkpoints is on disk. If some are missing, one warning names them.
    """
    stages = present_stages(hp, log, model_dir, rule, trial_list)
    trials = list(stage_by_trial(stages))
    info = task_info(hp, model_dir, rule)
    check_epochs(info, rule, epoch)
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
    """Return the rows of some units from a PSTH log, of those checkpoints at which it has all of them.

    Of the `candidates` ({trial number: units}) for the units of the rows, the first one counts whose numbers of units
    are those of the rows at all checkpoints.
    """
    for units in candidates:
        if all(len(units[trial]) == len(rows) for trial, rows in psths.items()):
            whole = [trial for trial in psths if set(chosen) <= set(units[trial].tolist())]
            return {trial: psths[trial][np.isin(units[trial], chosen)] for trial in whole}
    raise ValueError(
        "PSTH_log is not of the units of n_types_intersection_limit, of n_types_selected, or of the default types at "
        "these checkpoints: leave it out."
    )


def checked_log(psth_log, trials, norm, rule, epoch):
    """Return the part of a PSTH log that belongs to some checkpoints.

    Parameters
    ----------
    psth_log : PSTHLog or dict
    trials : list of int
    norm : bool
        Whether the activity is asked for divided by the fixation rate.
    rule, epoch : str
        In which the units are to be selective.

    Returns
    -------
    dict
        ``{trial number: (n_units, n_time) array}``.

    Raises
    ------
    ValueError
        If it lacks a checkpoint, or a PSTHLog was made with another `norm` or for another rule or epoch.
    """
    if not isinstance(psth_log, Mapping):
        raise ValueError(f"PSTH_log is what gen_PSTH_log returns, not a {type(psth_log).__name__}.")
    missing = [trial for trial in trials if trial not in psth_log]
    if missing:
        raise ValueError(f"PSTH_log lacks trial numbers {missing[:5]}: make it with gen_PSTH_log for this trial_list.")
    if isinstance(psth_log, PSTHLog) and psth_log.norm != bool(norm):
        raise ValueError(f"PSTH_log was made with norm={psth_log.norm}: give the same norm here, or leave it out.")
    if isinstance(psth_log, PSTHLog) and psth_log.selective_in not in ((), (rule, epoch)):
        made_for = " ".join(psth_log.selective_in)
        raise ValueError(f"PSTH_log is of units selective in {made_for}, not in {rule} {epoch}: make another one.")
    return {trial: np.asarray(psth_log[trial]) for trial in trials}


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
        In which the units are selective, and in which their activity is averaged.
    n_types, norm
        As in `gen_PSTH_log`.
    PSTH_log : dict, optional
        What `gen_PSTH_log` returned for these checkpoints.
    course : range, list, tuple or array, optional
        More checkpoints to show, in gray, so that the figure covers the whole of training: for example
        ``evenly_thinned(checkpoint_trials(model_dir), 40)``. Those that PSTH_log lacks are computed.
    save : bool
        Write the figure.

    Returns
    -------
    EpochGrowth
        Can be used as a pandas.DataFrame: trial, mean_activity (nan without units or checkpoint), stage (None without
        checkpoint, and for the course).

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
    """Compare the activity in an epoch between every two checkpoints by independent t-tests, and draw the p-values.

    Parameters
    ----------
    hp, log, trial_list, model_dir, rule, seltive_epoch, analy_epoch, n_types, norm, PSTH_log, save
        As in `plot_epoch_mean_growth`.

    Returns
    -------
    EpochTTests
        Can be used as a pandas.DataFrame of p-values, trial numbers × trial numbers; nan without units or checkpoint.

    Raises
    ------
    ValueError
        For an unknown rule, epoch or type of units, a damaged file, or a PSTH_log of other checkpoints.
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
    """Return what the analyses of an epoch need of a run.

    Parameters
    ----------
    hp, log, trial_list, model_dir, rule, seltive_epoch, n_types, norm, psth_log, save
        As in `plot_epoch_mean_growth`.
    window : str or (start, end) in ms

    Returns
    -------
    stages : dict
        ``{stage: trial numbers}`` of the checkpoints on disk.
    steps : slice
        Steps of the window.
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
    """Return the steps of an epoch, or of a window in ms, as a slice.

    Parameters
    ----------
    hp : dict
        Has dt.
    info : dict
        Has epoch_info, ``{epoch: (start, end)}`` in steps.
    rule : str
        Named in messages.
    window : str or (start, end) in ms

    Returns
    -------
    slice

    Raises
    ------
    ValueError
        If the rule has no such epoch, or the window is empty or outside the trial.
    """
    if isinstance(window, str):
        return epoch_steps(info, rule, window)
    try:
        start, end = (int(ms / hp["dt"]) for ms in window)
    except (TypeError, ValueError) as error:
        raise ValueError(f"A window is the name of an epoch or (start, end) in ms, not {window!r}.") from error
    last = max(step for steps in info["epoch_info"].values() for step in steps if step is not None)
    if not 0 <= start < end or start >= last:
        raise ValueError(
            f"Window {window!r} ms is empty or outside the trials of {rule} ({last * hp['dt']} ms and go)."
        )
    return slice(start, end)
