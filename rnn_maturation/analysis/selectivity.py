"""Classify units as active and as selective for location, by the published criteria."""

import numbers
import warnings
from functools import cache

import numpy as np
import pandas as pd
from scipy import special

from rnn_maturation import figures
from rnn_maturation.analysis.activity import Get_H, averaging_matrix, conditions_text, location_means
from rnn_maturation.analysis.conditions import as_list, check_epochs, gen_task_info, task_info
from rnn_maturation.analysis.memory import remembered
from rnn_maturation.analysis.parallel import in_order
from rnn_maturation.analysis.results import MappingResult, labelled
from rnn_maturation.checks import checks_run_arguments, quoted
from rnn_maturation.model_directory import load_pickle, neuron_info_file, save_pickle
from rnn_maturation.stages import flat_trials, present_trials
from rnn_maturation.task import rule_name

UNIT_TYPES = ("selective_neurons", "active_neurons", "exh_neurons", "inh_neurons", "mix_neurons")
DEFAULT_TYPES = ("exh_neurons", "mix_neurons")
CRITERIA = {"norm": True, "annova_p_value": 0.05, "paired_ttest_p": 0.05, "abs_active_thresh": 1e-3}  # as published


@checks_run_arguments
def generate_neuron_info(
    hp,
    model_dir,
    epochs,
    trial_list,
    rules,
    norm=True,
    annova_p_value=0.05,
    paired_ttest_p=0.05,
    abs_active_thresh=1e-3,
    recompute=False,
    verbose=True,
):
    """Classify the units of each checkpoint by activity and selectivity, and write neuron_info_<rule>_<epoch>.pkl.

    If a checkpoint has no H file, its activity is computed once for all epochs and not saved. `compute_neuron_info`
    classifies the units of an array of activity in the same way.

    Parameters
    ----------
    hp : dict
    model_dir : str
    epochs : list of str
        Epochs in which selectivity is tested; every rule must have them.
    trial_list : range, list, tuple, array or stage dict
    rules : list of str
    norm, annova_p_value, paired_ttest_p, abs_active_thresh
        As for `compute_neuron_info`. The file does not record them: without `recompute`, an existing file is kept even
        if other values were used for it.
    recompute : bool
        Whether to overwrite files that already exist.
    verbose : bool
        Whether to show a progress bar on a terminal.

    Raises
    ------
    ValueError
        If a rule is not in the network's rule set, if a rule does not have an epoch, or if a file is damaged.
    FileNotFoundError
        If none of the checkpoints is on disk. If some are missing, one warning names them.
    """
    criteria = {"norm": norm, "annova_p_value": annova_p_value, "paired_ttest_p": paired_ttest_p}
    criteria["abs_active_thresh"] = abs_active_thresh
    trials = {}
    for rule in as_list(rules):
        check_epochs(task_info(hp, model_dir, rule)["epoch_info"], epochs, f"Rule {rule}")
        gen_task_info(hp, None, model_dir, [rule])
        trials[rule] = present_trials(model_dir, flat_trials(trial_list, rule), rule)
    description = "selectivity" if verbose else None
    n_undefined = _write_neuron_infos(hp, model_dir, trials, epochs, description, recompute, **criteria)
    if norm:
        warn_of_zero_fixation(n_undefined)


def neuron_infos(hp, model_dir, trials, rule, epoch, save=True):
    """Return the neuron info of checkpoints, from files or computed with the defaults of `generate_neuron_info`.

    Parameters
    ----------
    hp : dict
    model_dir : str
    trials : list of int
        Trial numbers of checkpoints on disk.
    rule, epoch : str
    save : bool
        Whether to save the neuron_info of checkpoints that have none.

    Returns
    -------
    dict
        ``{trial number: NeuronInfo or dict}``; see `NeuronInfo.data`.
    """
    if save:
        _write_neuron_infos(hp, model_dir, {rule: trials}, epoch, f"selectivity {rule} {epoch}")

    def of_checkpoint(trial_num):
        if neuron_info_file(model_dir, trial_num, rule, epoch).exists():
            return load_neuron_info(model_dir, trial_num, rule, epoch)
        return checkpoint_summary(hp, model_dir, trial_num, rule)[1][epoch]

    return dict(zip(trials, in_order(of_checkpoint, trials, f"neuron info {rule} {epoch}"), strict=True))


def _write_neuron_infos(hp, model_dir, trials_of_rules, epochs, description, recompute=False, **criteria):
    """Write the neuron_info files that are missing, or all of them if `recompute` is True.

    `trials_of_rules` is ``{rule: trial numbers}``.

    Returns
    -------
    int
        Number of active units that have no normalized rate at one or more locations, summed over the files written.
    """
    work = {}  # {(trial number, rule): {epoch: file}}
    for rule, trials in trials_of_rules.items():
        for trial_num in trials:
            files = {epoch: neuron_info_file(model_dir, trial_num, rule, epoch) for epoch in as_list(epochs)}
            files = {epoch: file for epoch, file in files.items() if recompute or not file.exists()}
            if files:
                work[trial_num, rule] = files

    def write(item):
        (trial_num, rule), files = item
        infos = checkpoint_summary(hp, model_dir, trial_num, rule, **criteria)[1]
        n_undefined = 0
        for epoch, file in files.items():
            active = [unit for unit, _, _ in infos[epoch]["active_neurons"]]
            n_undefined += int(np.isnan(infos[epoch]["firerate_loc_order"][active]).any(axis=1).sum())
            save_pickle(file, infos[epoch].data)
        return n_undefined

    return sum(in_order(write, sorted(work.items()), description))


def checkpoint_summary(hp, model_dir, trial_num, rule, activity=None, conditions=None, **criteria):
    """Return the mean activity at each location, and the neuron info of all epochs, at a checkpoint.

    Both are kept in memory. The activity is obtained at most once, and only if one of them is not yet in memory.

    Parameters
    ----------
    hp : dict
    model_dir : str
    trial_num : int
    rule : str
    activity : (n_time, n_trials, n_units) array, optional
        Activity at this checkpoint, if the caller already has it; default: from `Get_H`.
    conditions : dict, optional
        'in_loc', the (n_trials,) location indices, and 'epoch_info', ``{epoch: (start, end)}`` in steps; default: from
        task_info.pkl.
    **criteria
        Arguments of `compute_neuron_info` that differ from the published criteria.

    Returns
    -------
    means : (n_locations, n_time, n_units) array
        Mean activity over the trials of each location.
    infos : dict
        ``{epoch: NeuronInfo}``.
    """
    info = task_info(hp, model_dir, rule) if conditions is None else conditions
    locations, epochs = np.asarray(info["in_loc"]), info["epoch_info"]
    criteria = {**CRITERIA, **criteria}
    obtain = cache(lambda: Get_H(hp, model_dir, trial_num, rule) if activity is None else activity)

    def compute():
        title = f"{rule_name[rule]} at {trial_num:,} trials"
        return {e: compute_neuron_info(obtain(), locations, epochs, e, **criteria, title=title) for e in epochs}

    details = conditions_text(info), str(criteria)
    infos = remembered(compute, "neuron info", hp, model_dir, trial_num, rule, *details)
    return location_means(hp, model_dir, trial_num, rule, obtain, locations), infos


def warn_of_zero_fixation(n_units):
    """Warn that `n_units` units could not be normalized, unless the number is zero."""
    if n_units:
        warnings.warn(
            f"{n_units} units (counted once per checkpoint and epoch) have a fixation rate of zero at one or more "
            "locations. Their normalized activity there is nan and is left out of means. Use norm=False for rates that "
            "are not normalized.",
            stacklevel=3,
        )


def load_neuron_info(model_dir, trial_num, rule, epoch):
    """Return the neuron info of a checkpoint from its file.

    Parameters
    ----------
    model_dir : str
    trial_num : int
    rule, epoch : str

    Returns
    -------
    dict
        As described for `NeuronInfo.data`.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is damaged or is not a neuron_info file.
    """
    file = neuron_info_file(model_dir, trial_num, rule, epoch)
    neuron_info = load_pickle(file)
    try:
        n_units, n_locations = neuron_info["firerate_loc_order"].shape
        is_sound = all(  # the indices of units and locations fit the array of means
            isinstance(unit, numbers.Integral)
            and isinstance(where, numbers.Integral)
            and 0 <= unit < n_units
            and 0 <= where < n_locations
            and (p is None or isinstance(p, numbers.Real))
            for kind in UNIT_TYPES
            for unit, p, where in neuron_info[kind]
        )
    except (TypeError, KeyError, ValueError, AttributeError):
        is_sound = False
    if not is_sound:
        raise ValueError(f"{file} is not a valid neuron_info file. Delete it, and it will be computed again.")
    return neuron_info


def select_units(neuron_info, n_types):
    """Return the units of the given types, each of them once and in ascending order, and their preferred locations.

    Parameters
    ----------
    neuron_info : NeuronInfo or dict
    n_types : str or list of str
        Some of `UNIT_TYPES`.

    Returns
    -------
    units, locations : (n_units,) int arrays
        Indices of the units, and the index of each unit's preferred location.

    Raises
    ------
    ValueError
        If a type is unknown, or if `n_types` is empty.
    """
    chosen = {unit: where for kind in check_types(n_types) for unit, _, where in neuron_info[kind]}
    units = np.array(sorted(chosen), dtype=int)
    return units, np.array([chosen[unit] for unit in units], dtype=int)


def check_types(n_types):
    """Return the unit types as a list; raise a ValueError if one is unknown or there are none."""
    types = as_list(n_types)
    unknown = [kind for kind in types if kind not in UNIT_TYPES]
    if unknown or not types:
        problem = f"Unknown unit type {quoted(unknown)}" if unknown else "n_types is empty"
        raise ValueError(f"{problem}: choose from {', '.join(UNIT_TYPES)}.")
    return types


# -------------------------------------------------------------------------------------------------- arrays in and out


@labelled
class NeuronInfo(MappingResult):
    """Active, selective, excited, inhibited and mixed units, and the mean rate of every unit at each location.

    Attributes
    ----------
    data : dict
        'selective_neurons', 'active_neurons', 'exh_neurons', 'inh_neurons', 'mix_neurons': lists of (index of the unit,
        p-value of the analysis of variance, or None for 'active_neurons', index of the location with the highest mean
        rate); 'firerate_loc_order': (n_units, n_locations) array of the mean rates in the epoch, nan where a unit could
        not be normalized.
    norm : bool
        Whether the mean rates are rate / fixation rate − 1 (True) or absolute rates (False).
    epoch : str
        Epoch in which selectivity was tested.
    title : str
        Title of the figure.
    """

    data: dict
    norm: bool = True
    epoch: str = ""
    title: str = ""

    def to_frame(self):
        """Return a table with one row for each unit.

        Returns
        -------
        pandas.DataFrame
            Columns unit; active; type ('exh', 'inh', 'mix', or None if the unit is not selective); p, of the analysis
            of variance (nan if the unit is not selective); preferred_location (index); rate_at_<index of the location>.
        """
        rates = self.data["firerate_loc_order"]
        table = pd.DataFrame({"unit": np.arange(len(rates)), "active": False, "type": None, "p": np.nan})
        table.loc[[unit for unit, _, _ in self.data["active_neurons"]], "active"] = True
        for kind in ("exh", "inh", "mix"):
            for unit, p, _ in self.data[f"{kind}_neurons"]:
                table.loc[unit, ["type", "p"]] = kind, p
        table["preferred_location"] = _preferred(rates.T)
        return table.join(pd.DataFrame(rates, columns=[f"rate_at_{where}" for where in range(rates.shape[1])]))

    def plot(self):
        """Draw the mean rates of the selective units at each location, sorted by type and preferred location.

        Returns
        -------
        matplotlib.figure.Figure
        """
        return figures.neuron_info(self)


def compute_neuron_info(
    activity,
    locations,
    epochs,
    epoch,
    norm=True,
    annova_p_value=0.05,
    paired_ttest_p=0.05,
    abs_active_thresh=1e-3,
    title="",
):
    """Classify units by activity and selectivity for location.

    A unit is active if two conditions hold: its mean rate in the epoch exceeds `abs_active_thresh` at one location or
    more, and its rate in fix1 differs from that in stim1 at one location or more (in stim1 for every `epoch`, as
    published). A unit is selective if it is active and its rate in the epoch differs between locations. The normalized
    rate is rate / fixation rate at the location − 1. A selective unit is inhibited if its mean normalized rate is below
    zero at all locations, excited if it is below zero at none, and otherwise mixed. Locations at which the fixation
    rate is zero are ignored here.

    Parameters
    ----------
    activity : (n_time, n_trials, n_units) array
        Firing rates of a network or of recorded neurons.
    locations : (n_trials,) array
        Label of the location shown in each trial. The index of a location in the result is the rank of its label in
        ascending order, which is the label itself if the labels are 0, 1, 2, …
    epochs : dict
        ``{epoch: (start, end)}`` in steps; must contain 'fix1', 'stim1' and `epoch`. None stands for the beginning or
        the end of the trial.
    epoch : str
        Epoch in which selectivity is tested.
    norm : bool
        Whether to test and report normalized rates (True) or absolute rates (False).
    annova_p_value : float
        Significance level of the one-way analysis of variance over locations.
    paired_ttest_p : float
        Significance level of the paired t-test between fixation and stim1.
    abs_active_thresh : float
        Rate that active units exceed, in the units of `activity`.
    title : str
        Title of the figure.

    Returns
    -------
    NeuronInfo

    Raises
    ------
    ValueError
        If the shapes of `activity` and `locations` do not match, or if `epochs` lacks a required epoch.
    """
    activity, locations = np.asarray(activity), np.asarray(locations)
    if activity.ndim != 3 or locations.shape != activity.shape[1:2]:
        raise ValueError(
            f"activity must be (n_time, n_trials, n_units) and locations (n_trials,); got {activity.shape} and "
            f"{locations.shape}."
        )
    check_epochs(epochs, ["fix1", "stim1", epoch])
    fixation, stimulus, rates = (trial_rates(activity, epochs[name]) for name in ("fix1", "stim1", epoch))
    mean_rates, levels = _location_means(rates, locations), _location_means(fixation, locations)
    group = np.unique(locations, return_inverse=True)[1]
    normalized, mean_normalized = normalize(rates, levels[group]), normalize(mean_rates, levels)

    _, p_response = paired_ttest(fixation, stimulus, locations)
    active = (mean_rates.max(axis=0) > abs_active_thresh) & (p_response <= paired_ttest_p).any(axis=0)
    _, p = one_way_anova(normalized if norm else rates, locations)
    selective = active & (p <= annova_p_value)
    inhibited = selective & (np.fmax.reduce(mean_normalized) < 0)
    excited = selective & (np.fmin.reduce(mean_normalized) >= 0)
    members = {
        "selective_neurons": selective,
        "exh_neurons": excited,
        "inh_neurons": inhibited,
        "mix_neurons": selective & ~inhibited & ~excited,
    }
    means = mean_normalized if norm else mean_rates
    preferred = _preferred(means)
    listed = {
        name: [(int(u), float(p[u]), int(preferred[u])) for u in np.flatnonzero(m)] for name, m in members.items()
    }
    listed["active_neurons"] = [(int(u), None, int(preferred[u])) for u in np.flatnonzero(active)]
    return NeuronInfo({**listed, "firerate_loc_order": np.ascontiguousarray(means.T)}, norm, epoch, title)


def _preferred(means):
    """Return the index of the location with the highest mean for each unit; `means` is (n_locations, n_units)."""
    return np.where(np.isnan(means), -np.inf, means).argmax(axis=0)


def trial_rates(activity, steps):
    """Return the mean over the steps (start, end) in each trial, (n_trials, n_units); nan where it is not finite."""
    rates = activity[slice(*steps)].mean(axis=0, dtype=np.float64)
    return np.where(np.isfinite(rates), rates, np.nan)


def _location_means(rates, locations):
    """Return the mean over the trials of each location, (n_locations, n_units).

    A unit that is nan in one trial or more is nan at all locations.
    """
    _, first, group = np.unique(locations, return_index=True, return_inverse=True)
    some = rates[first]  # averaging the deviations from one trial makes the mean of equal rates, also of zeros, exact
    return some + averaging_matrix(locations) @ (rates - some[group])


def normalize(rates, levels):
    """Return `rates` / `levels` − 1, where `levels` are the fixation rates; nan where a fixation rate is zero."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(levels == 0, np.nan, rates / levels - 1)


def one_way_anova(rates, groups):
    """Compute a one-way analysis of variance for all units at once.

    Trials in which a unit's rate is nan or infinite are left out for this unit. The results are those of anova_lm of
    statsmodels for ols('rate ~ C(group)'); the p-values agree with a relative tolerance of 1e-9.

    Parameters
    ----------
    rates : (n_trials, n_units) array
    groups : (n_trials,) array
        Label of the group of each trial.

    Returns
    -------
    F, p : (n_units,) float64 arrays
        nan if the unit's rate is the same in all trials, if there are fewer than two groups, or if there are no more
        trials than groups.
    """
    valid = np.isfinite(rates)
    index = np.unique(groups, return_inverse=True)[1]
    members = (np.arange(index.max() + 1)[:, None] == index).astype(float)
    with np.errstate(divide="ignore", invalid="ignore"):
        centered = np.where(valid, rates, 0) - np.where(valid, rates, 0).sum(axis=0) / valid.sum(axis=0)
        counts = members @ valid
        means = (members @ np.where(valid, centered, 0)) / counts
        n_groups, n_trials = (counts > 0).sum(axis=0), valid.sum(axis=0)
        between = np.where(counts > 0, counts * means**2, 0).sum(axis=0) / (n_groups - 1)
        within = np.where(valid, (centered - means[index]) ** 2, 0).sum(axis=0) / (n_trials - n_groups)
        varies = np.where(valid, rates, -np.inf).max(axis=0) > np.where(valid, rates, np.inf).min(axis=0)
        f = np.where(varies & (n_groups > 1) & (n_trials > n_groups), between / within, np.nan)
    return f, special.fdtrc(n_groups - 1, n_trials - n_groups, f)


def paired_ttest(before, after, groups):
    """Compute two-sided paired t-tests for all units and groups of trials at once.

    The results are those of scipy.stats.ttest_rel for each unit and group.

    Parameters
    ----------
    before, after : (n_trials, n_units) arrays
    groups : (n_trials,) array
        Label of the group of each trial.

    Returns
    -------
    t, p : (n_groups, n_units) float64 arrays
        Groups in ascending order of the labels; nan if all differences are zero or if the group has only one trial.
    """
    index, counts = np.unique(groups, return_inverse=True, return_counts=True)[1:]
    members = np.arange(len(counts))[:, None] == index
    with np.errstate(divide="ignore", invalid="ignore"):
        difference = before - after
        means = averaging_matrix(groups) @ difference
        variance = (members @ (difference - means[index]) ** 2) / (counts - 1)[:, None]
        t = means / np.sqrt(variance / counts[:, None])
    return t, 2 * special.stdtr((counts - 1)[:, None], -np.abs(t))
