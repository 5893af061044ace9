"""Conditions of the test trials: which location each trial shows, and when the epochs are."""

import numpy as np

from rnn_maturation.model_directory import load_pickle, save_pickle, task_info_file
from rnn_maturation.task import generate_trials, rules_dict


def gen_task_info(hp, log, model_dir, rules, return_trial_store=False):
    """Write which location each test trial shows, and when the epochs are, into task_info.pkl.

    Rules that are in the file already stay as they are.

    Parameters
    ----------
    hp : dict
    log : dict or None
        Not used; kept for the order of the original's arguments.
    model_dir : str
    rules : list of str
    return_trial_store : bool
        Also return the trials.

    Returns
    -------
    {rule: task.Trial} or None
        The noise-free test trials.

    Raises
    ------
    ValueError
        For a rule that is not in the network's rule set, or whose trials show no stimulus.
    """
    file = task_info_file(model_dir)
    info = _read_conditions(file)
    trials = {rule: test_trials(hp, rule) for rule in as_list(rules)}
    new = {rule: trial_conditions(rule, trial) for rule, trial in trials.items() if rule not in info}
    if new:
        save_pickle(file, {**info, **new})
    return trials if return_trial_store else None


def trial_conditions(rule, trial):
    """Return what task_info.pkl says of a rule, of its noise-free test trials.

    Parameters
    ----------
    rule : str
    trial : task.Trial
        As `test_trials` returns it.

    Returns
    -------
    dict
        As `task_info`.

    Raises
    ------
    ValueError
        If the trials show no stimulus.
    """
    if not trial.input_loc:
        raise ValueError(
            f"The trials of rule {rule} show no stimulus by which they could be sorted: its draw function must add one "
            "with trial.add_stimulus."
        )
    rings = np.array(trial.input_loc).reshape(-1, trial.batch_size, trial.n_eachring)
    shown = [ring.argmax(axis=1) for ring in rings]  # for each stimulus: (B,) location indices
    info = {f"in_loc_{number}" if number > 1 else "in_loc": where for number, where in enumerate(shown, 1)}
    return {**info, "in_loc_set": sorted({int(where) for where in shown[0]}), "epoch_info": dict(trial.epochs)}


def task_info(hp, model_dir, rule):
    """Return the conditions of a rule's test trials, from task_info.pkl or, if they are not in it, computed.

    Parameters
    ----------
    hp : dict
    model_dir : str
    rule : str

    Returns
    -------
    dict
        in_loc (B,) location index of each trial, in_loc_2 … of further stimuli, in_loc_set, and epoch_info
        {epoch: (start, end)} in steps.

    Raises
    ------
    ValueError
        For a rule that the network never saw, or a damaged file.
    """
    rules = rules_dict[hp["ruleset"]]
    if rule not in rules:
        raise ValueError(f"The network in {model_dir} never saw a rule {rule!r}: choose one of {', '.join(rules)}.")
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
        raise ValueError(f"{file} is not sound for rule {rule}: delete it and it is made again.")
    return info


def _read_conditions(file):
    """Return {rule: what task_info.pkl says of it}, empty without a file."""
    info = load_pickle(file) if file.exists() else {}
    if not isinstance(info, dict):
        raise ValueError(f"{file} is not a file of trial conditions: delete it and it is made again.")
    return info


def epoch_steps(info, rule, epoch):
    """Return the steps of an epoch, as a slice.

    Parameters
    ----------
    info : dict
        As `task_info` returns it.
    rule, epoch : str

    Raises
    ------
    ValueError
        If the rule does not have the epoch.
    """
    if epoch not in info["epoch_info"]:
        raise ValueError(f"Rule {rule} has no epoch {epoch!r}: choose one of {', '.join(info['epoch_info'])}.")
    return slice(*info["epoch_info"][epoch])


def check_epochs(info, rule, epochs):
    """Raise a ValueError unless the rule has these epochs (one name or several)."""
    for epoch in as_list(epochs):
        epoch_steps(info, rule, epoch)


def test_trials(hp, rule, task_mode="test"):
    """Return noise-free trials of a rule, the same in every call: what the rule draws does not touch hp['rng']."""
    rng = np.random.RandomState(hp.get("seed", 0))
    return generate_trials(rule, {**hp, "rng": rng}, task_mode, noise_on=False)


def as_list(names):
    """Return one name or several as a list."""
    return [names] if isinstance(names, str) else list(names)
