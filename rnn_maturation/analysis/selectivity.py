"""Which units are active and selective for location, by the published criteria."""

import numbers
import warnings

import numpy as np
from scipy import special

from rnn_maturation.analysis.activity import Get_H, averaging_matrix, remember_location_means
from rnn_maturation.analysis.conditions import as_list, check_epochs, task_info
from rnn_maturation.analysis.parallel import in_order
from rnn_maturation.model_directory import load_pickle, neuron_info_file, save_pickle
from rnn_maturation.stages import flat_trials, present_trials

UNIT_TYPES = ("selective_neurons", "active_neurons", "exh_neurons", "inh_neurons", "mix_neurons")
DEFAULT_TYPES = ("exh_neurons", "mix_neurons")


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
    """Sort the units of each checkpoint by activity and selectivity; write neuron_info_<rule>_<epoch>.pkl.

    Activity that has no H file is computed, used for all epochs and not kept.

    Parameters
    ----------
    hp : dict
    model_dir : str
    epochs : list of str
        Epochs in which selectivity is tested; every rule needs to have them.
    trial_list : range, list, tuple, array or stage dict
    rules : list of str
    norm, annova_p_value, paired_ttest_p, abs_active_thresh
        As for `classify_units`. The file's name does not tell them.
    recompute : bool
        Make also files that are there already.
    verbose : bool
        Show a progress bar on a terminal.

    Raises
    ------
    ValueError
        A rule that the network never saw, or an epoch that a rule does not have.
    FileNotFoundError
        None of the checkpoints is there. Some missing: one warning.
    """
    criteria = {"norm": norm, "annova_p_value": annova_p_value, "paired_ttest_p": paired_ttest_p}
    criteria["abs_active_thresh"] = abs_active_thresh
    work = {}
    for rule in as_list(rules):
        check_epochs(task_info(hp, model_dir, rule), rule, epochs)
        trials = present_trials(model_dir, flat_trials(trial_list, rule), rule)
        work.update(_missing_files(model_dir, trials, rule, epochs, recompute))
    n_undefined = _write_neuron_infos(hp, model_dir, work, criteria, "selectivity" if verbose else None)
    if norm:
        warn_of_zero_fixation(n_undefined)


def complete_neuron_info(hp, model_dir, trials, rule, epoch):
    """Compute the neuron_info that checkpoints lack, with the defaults of `generate_neuron_info`."""
    _write_neuron_infos(
        hp, model_dir, _missing_files(model_dir, trials, rule, epoch), {}, f"selectivity {rule} {epoch}"
    )


def _missing_files(model_dir, trials, rule, epochs, also_present=False):
    """{(trial number, rule): {epoch: file}} of the neuron_info files that are to be written."""
    missing = {}
    for trial_num in trials:
        files = {epoch: neuron_info_file(model_dir, trial_num, rule, epoch) for epoch in as_list(epochs)}
        files = {epoch: file for epoch, file in files.items() if also_present or not file.exists()}
        if files:
            missing[trial_num, rule] = files
    return missing


def _write_neuron_infos(hp, model_dir, work, criteria, description):
    """Write files; the number of active units (at each checkpoint) without a normalised rate somewhere."""

    def classify(item):
        (trial_num, rule), files = item
        return _write_neuron_info(hp, model_dir, trial_num, rule, files, criteria)

    return sum(in_order(classify, sorted(work.items()), description))


def _write_neuron_info(hp, model_dir, trial_num, rule, files, criteria):
    info = task_info(hp, model_dir, rule)
    activity = Get_H(hp, model_dir, trial_num, rule)
    remember_location_means(hp, model_dir, trial_num, rule, activity)
    n_undefined = 0
    for epoch, file in files.items():
        neuron_info = classify_units(activity, info["in_loc"], info["epoch_info"], epoch, **criteria)
        active = [unit for unit, _, _ in neuron_info["active_neurons"]]
        n_undefined += int(np.isnan(neuron_info["firerate_loc_order"][active]).any(axis=1).sum())
        save_pickle(file, neuron_info)
    return n_undefined


def warn_of_zero_fixation(n_units):
    """One warning that units could not be normalised, when there are any."""
    if n_units:
        warnings.warn(
            f"{n_units} units (counted at every checkpoint) have a fixation level of zero at a location: their "
            "normalised activity there is nan and is left out of means. norm=False uses absolute rates.",
            stacklevel=3,
        )


def load_neuron_info(model_dir, trial_num, rule, epoch):
    """Neuron info of a checkpoint, from its file."""
    file = neuron_info_file(model_dir, trial_num, rule, epoch)
    neuron_info = load_pickle(file)
    try:
        is_sound = _is_neuron_info(neuron_info)
    except (TypeError, KeyError, ValueError, AttributeError):
        is_sound = False
    if not is_sound:
        raise ValueError(f"{file} is not a neuron_info file of this program. Delete it and it is computed again.")
    return neuron_info


def _is_neuron_info(neuron_info):
    """Whether all units and locations listed are among those that it has means of."""
    n_units, n_locations = neuron_info["firerate_loc_order"].shape
    return all(
        isinstance(unit, numbers.Integral)
        and isinstance(where, numbers.Integral)
        and 0 <= unit < n_units
        and 0 <= where < n_locations
        and (p is None or isinstance(p, numbers.Real))
        for kind in UNIT_TYPES
        for unit, p, where in neuron_info[kind]
    )


def select_units(neuron_info, n_types):
    """Units of the given types, each once, ascending, and their preferred location indices.

    Returns
    -------
    units, locations : (n,) int arrays

    Raises
    ------
    ValueError
        For an unknown type.
    """
    chosen = {unit: where for kind in check_types(n_types) for unit, _, where in neuron_info[kind]}
    units = np.array(sorted(chosen), dtype=int)
    return units, np.array([chosen[unit] for unit in units], dtype=int)


def check_types(n_types):
    """The unit types as a list; ValueError when one is unknown."""
    types = as_list(n_types)
    unknown = [kind for kind in types if kind not in UNIT_TYPES]
    if unknown or not types:
        raise ValueError(f"Unknown unit type {unknown}: choose from {', '.join(UNIT_TYPES)}.")
    return types


# -------------------------------------------------------------------------------------------------- arrays in and out


def classify_units(
    activity, locations, epochs, epoch, norm=True, annova_p_value=0.05, paired_ttest_p=0.05, abs_active_thresh=1e-3
):
    """Active, selective, excited, inhibited and mixed units of one checkpoint.

    A unit is active when its largest location-mean rate in the epoch exceeds `abs_active_thresh` and its rate differs
    between fixation and the stimulus (stim1, whatever the epoch, as published) at some location at least. It is
    selective when it is active and its rate in the epoch differs between locations. Of the selective, by the location
    means of the normalised rate (rate / fixation level at the location - 1): all below zero inhibited, none below zero
    excited, else mixed.

    Parameters
    ----------
    activity : (n_time, n_trials, n_units) array
    locations : (n_trials,) array of int
    epochs : {epoch: (start, end)}
        In steps, with fix1, stim1 and `epoch`.
    epoch : str
    norm : bool
        Test and report normalised rates, else absolute ones.
    annova_p_value : float
        Level of the one-way analysis of variance over locations.
    paired_ttest_p : float
        Level of the paired t-test of fixation against stimulus.
    abs_active_thresh : float
        Rate.

    Returns
    -------
    dict
        selective_neurons, active_neurons, exh_neurons, inh_neurons, mix_neurons: lists of (unit, p or None, index of
        the location with the highest rate); firerate_loc_order: (n_units, n_locations) location means.
    """
    fixation, stimulus, rates = (trial_rates(activity, epochs[name]) for name in ("fix1", "stim1", epoch))
    mean_rates, levels = _location_means(rates, locations), _location_means(fixation, locations)
    group = np.unique(locations, return_inverse=True)[1]
    normalised, mean_normalised = normalise(rates, levels[group]), normalise(mean_rates, levels)

    _, p_response = paired_ttest(fixation, stimulus, locations)
    active = (mean_rates.max(axis=0) > abs_active_thresh) & (p_response <= paired_ttest_p).any(axis=0)
    _, p = one_way_anova(normalised if norm else rates, locations)
    selective = active & (p <= annova_p_value)
    inhibited = selective & (np.fmax.reduce(mean_normalised) < 0)
    excited = selective & (np.fmin.reduce(mean_normalised) >= 0)
    members = {
        "selective_neurons": selective,
        "exh_neurons": excited,
        "inh_neurons": inhibited,
        "mix_neurons": selective & ~inhibited & ~excited,
    }
    means = mean_normalised if norm else mean_rates
    preferred = np.where(np.isnan(means), -np.inf, means).argmax(axis=0)
    listed = {
        name: [(int(u), float(p[u]), int(preferred[u])) for u in np.flatnonzero(m)] for name, m in members.items()
    }
    listed["active_neurons"] = [(int(u), None, int(preferred[u])) for u in np.flatnonzero(active)]
    return {**listed, "firerate_loc_order": np.ascontiguousarray(means.T)}


def trial_rates(activity, steps):
    """Mean over the steps (start, end) of each trial: (n_trials, n_units) float64; nan where it is not finite."""
    rates = activity[slice(*steps)].mean(axis=0, dtype=np.float64)
    return np.where(np.isfinite(rates), rates, np.nan)


def _location_means(rates, locations):
    """Mean over each location's trials, (n_locations, n_units); a unit with a nan is nan everywhere."""
    _, first, group = np.unique(locations, return_index=True, return_inverse=True)
    some = rates[first]  # deviations from one of its trials: the mean of equal rates, also of zeros, is exact
    return some + averaging_matrix(locations) @ (rates - some[group])


def normalise(rates, levels):
    """rate / level - 1; nan where the level is zero."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(levels == 0, np.nan, rates / levels - 1)


def one_way_anova(rates, groups):
    """One-way analysis of variance of every unit at once.

    Trials that are nan or infinite are left out, unit by unit. The same as statsmodels' anova_lm of ols('rate ~
    C(group)'), p-values to 1e-9 relative.

    Parameters
    ----------
    rates : (n_trials, n_units) array
    groups : (n_trials,) array

    Returns
    -------
    F, p : (n_units,) float64 arrays
        nan for a unit that is constant, or has less than two groups or no more trials than groups.
    """
    valid = np.isfinite(rates)
    index = np.unique(groups, return_inverse=True)[1]
    members = (np.arange(index.max() + 1)[:, None] == index).astype(float)
    with np.errstate(divide="ignore", invalid="ignore"):
        centred = np.where(valid, rates, 0) - np.where(valid, rates, 0).sum(axis=0) / valid.sum(axis=0)
        counts = members @ valid
        means = (members @ np.where(valid, centred, 0)) / counts
        n_groups, n_trials = (counts > 0).sum(axis=0), valid.sum(axis=0)
        between = np.where(counts > 0, counts * means**2, 0).sum(axis=0) / (n_groups - 1)
        within = np.where(valid, (centred - means[index]) ** 2, 0).sum(axis=0) / (n_trials - n_groups)
        varies = np.where(valid, rates, -np.inf).max(axis=0) > np.where(valid, rates, np.inf).min(axis=0)
        f = np.where(varies & (n_groups > 1) & (n_trials > n_groups), between / within, np.nan)
    return f, special.fdtrc(n_groups - 1, n_trials - n_groups, f)


def paired_ttest(before, after, groups):
    """Paired t-test of every unit within every group of trials at once, two-sided.

    The same as scipy.stats.ttest_rel of each unit and group.

    Parameters
    ----------
    before, after : (n_trials, n_units) arrays
    groups : (n_trials,) array

    Returns
    -------
    t, p : (n_groups, n_units) float64 arrays
        Groups in ascending order; nan where all differences are zero or there is only one trial.
    """
    index, counts = np.unique(groups, return_inverse=True, return_counts=True)[1:]
    members = np.arange(len(counts))[:, None] == index
    with np.errstate(divide="ignore", invalid="ignore"):
        difference = before - after
        means = averaging_matrix(groups) @ difference
        variance = (members @ (difference - means[index]) ** 2) / (counts - 1)[:, None]
        t = means / np.sqrt(variance / counts[:, None])
    return t, 2 * special.stdtr((counts - 1)[:, None], -np.abs(t))
