"""Conditions of the test trials: the stimulus location of each trial, and the times of the epochs."""

import numpy as np

from rnn_maturation.checks import checks_run_arguments, quoted
from rnn_maturation.model_directory import load_pickle, save_pickle, task_info_file
from rnn_maturation.task import generate_trials, rules_dict


@checks_run_arguments
def gen_task_info(hp, log, model_dir, rules, return_trial_store=False):
    """Write the stimulus location of each test trial, and the times of the epochs, to task_info.pkl.

    Entries of rules that are already in the file are not changed.

    Parameters
    ----------
    hp : dict
    log : dict or None
        Not used. The function has this argument because the original has it.
    model_dir : str
    rules : list of str
    return_trial_store : bool
        Whether to return the trials.

    Returns
    -------
    {rule: task.Trial} or None
        The test trials, without input noise; None unless `return_trial_store` is set.

    Raises
    ------
    ValueError
        If a rule is unknown, its trials show no stimulus, or task_info.pkl is damaged.
    """
    file = task_info_file(model_dir)
    info = _read_conditions(file)
    trials = {rule: test_trials(hp, rule) for rule in as_list(rules)}
    new = {rule: trial_conditions(rule, trial) for rule, trial in trials.items() if rule not in info}
    if new:
        save_pickle(file, {**info, **new})
    return trials if return_trial_store else None


def trial_conditions(rule, trial):
    """Return the entry of task_info.pkl for a rule, computed from its test trials.

    Parameters
    ----------
    rule : str
    trial : task.Trial
        Test trials, as `test_trials` returns them.

    Returns
    -------
    dict
        As `task_info` returns it.

    Raises
    ------
    ValueError
        If the trials show no stimulus.
    """
    if not trial.input_loc:
        raise ValueError(
            f"The trials of rule {rule} show no stimulus and can therefore not be sorted by location. The draw "
            "function of the task must add a stimulus with trial.add_stimulus."
        )
    rings = np.array(trial.input_loc).reshape(-1, trial.batch_size, trial.n_eachring)
    shown = [ring.argmax(axis=1) for ring in rings]  # location indices (n_trials,) of each stimulus
    info = {f"in_loc_{number}" if number > 1 else "in_loc": where for number, where in enumerate(shown, 1)}
    return {**info, "in_loc_set": sorted({int(where) for where in shown[0]}), "epoch_info": dict(trial.epochs)}


def task_info(hp, model_dir, rule):
    """Return the conditions of a rule's test trials; compute them if they are not in task_info.pkl.

    Parameters
    ----------
    hp : dict
    model_dir : str
    rule : str

    Returns
    -------
    dict
        'in_loc': (n_trials,) array, location index of the first stimulus in each trial; 'in_loc_2' and so on: the same
        for further stimuli; 'in_loc_set': sorted list of the location indices in 'in_loc'; 'epoch_info':
        {epoch: (start, end)} in steps, where None stands for the start or the end of the trial.

    Raises
    ------
    ValueError
        If the rule is not in the network's rule set, its trials show no stimulus, or task_info.pkl is damaged.
    """
    rules = rules_dict[hp["ruleset"]]
    if rule not in rules:
        raise ValueError(
            f"The rule set of the network in {model_dir} has no rule {quoted(rule)}: choose one of {', '.join(rules)}."
        )
    file = task_info_file(model_dir)
    stored = _read_conditions(file)
    info = stored[rule] if rule in stored else trial_conditions(rule, test_trials(hp, rule))
    try:
        where, epochs = np.asarray(info["in_loc"]), info["epoch_info"]
        is_sound = (
            where.ndim == 1
            and where.dtype.kind in "iu"
            and set(where.tolist()) == set(info["in_loc_set"]) <= set(range(hp["n_eachring"]))
            and {"fix1", "stim1"} <= set(epochs)
            and all((start or 0) >= 0 and (end is None or (start or 0) < end) for start, end in epochs.values())
        )
    except (TypeError, KeyError, ValueError, AttributeError):
        is_sound = False
    if not is_sound:
        raise ValueError(
            f"{file} contains invalid trial conditions for rule {rule}. Delete the file; it is then created again."
        )
    return info


def _read_conditions(file):
    """Return the content of task_info.pkl, {rule: conditions}; an empty dict if there is no file."""
    info = load_pickle(file) if file.exists() else {}
    if not isinstance(info, dict):
        raise ValueError(f"{file} does not contain trial conditions. Delete the file; it is then created again.")
    return info


def epoch_steps(info, rule, epoch):
    """Return the time steps of an epoch as a slice.

    Parameters
    ----------
    info : dict
        As `task_info` returns it.
    rule, epoch : str
        Their names; the rule is only named in the error.

    Returns
    -------
    slice

    Raises
    ------
    ValueError
        If the rule does not have the epoch.
    """
    check_epochs(info["epoch_info"], epoch, f"Rule {rule}")
    return slice(*info["epoch_info"][epoch])


def check_epochs(epochs, names, owner="The dict epochs"):
    """Raise a ValueError unless a dict of epochs has all of these (one name or a sequence of names)."""
    for name in as_list(names):
        if name not in epochs:
            raise ValueError(f"{owner} has no epoch {quoted(name)}: it has {', '.join(epochs)}.")


def test_trials(hp, rule, task_mode="test"):
    """Return test trials of a rule without input noise, the same in every call; hp['rng'] is not changed."""
    rng = np.random.RandomState(hp.get("seed", 0))
    return generate_trials(rule, {**hp, "rng": rng}, task_mode, noise_on=False)


def as_list(names):
    """Return a list of names, given one name or a sequence of names."""
    return [names] if isinstance(names, str) else list(names)
