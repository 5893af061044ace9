"""Conditions of the test trials: which trial shows which location, and when the epochs are."""

import numpy as np

from rnn_maturation.model_directory import load_pickle, save_pickle, task_info_file
from rnn_maturation.task import generate_trials, rules_dict


def gen_task_info(hp, log, model_dir, rules, return_trial_store=False):
    """Write down which trial shows which location, and when the epochs are: task_info.pkl.

    Rules that the file already has stay as they are.

    Parameters
    ----------
    hp : dict
    log : dict or None
        Not needed; kept for the original's order of arguments.
    model_dir : str
    rules : list of str
    return_trial_store : bool
        Return the trials too.

    Returns
    -------
    {rule: task.Trial} or None
        The noise-free test trials.

    Raises
    ------
    ValueError
        For a rule that is not in the network's rule set.
    """
    file = task_info_file(model_dir)
    info = _read_conditions(file)
    trials = {rule: test_trials(hp, rule) for rule in as_list(rules)}
    new = {rule: _conditions(trial) for rule, trial in trials.items() if rule not in info}
    if new:
        save_pickle(file, {**info, **new})
    return trials if return_trial_store else None


def _conditions(trial):
    """What task_info.pkl says of a rule."""
    rings = np.array(trial.input_loc).reshape(-1, trial.batch_size, trial.n_eachring)
    shown = [ring.argmax(axis=1) for ring in rings]  # a stimulus each: (B,) location indices
    info = {f"in_loc_{number}" if number > 1 else "in_loc": where for number, where in enumerate(shown, 1)}
    return {**info, "in_loc_set": sorted({int(where) for where in shown[0]}), "epoch_info": dict(trial.epochs)}


def task_info(hp, model_dir, rule):
    """Conditions of a rule's test trials, from task_info.pkl, which is completed when it lacks the rule.

    Returns
    -------
    dict
        in_loc (B,) location index of each trial, in_loc_set, epoch_info {epoch: (start, end)} in steps.
    """
    rules = rules_dict[hp["ruleset"]]
    if rule not in rules:
        raise ValueError(f"The network in {model_dir} never saw a rule {rule!r}: choose one of {', '.join(rules)}.")
    file = task_info_file(model_dir)
    if rule not in _read_conditions(file):
        gen_task_info(hp, None, model_dir, [rule])
    info = _read_conditions(file)[rule]
    try:
        is_sound = _is_sound(info, hp["n_eachring"])
    except (TypeError, KeyError, ValueError, AttributeError):
        is_sound = False
    if not is_sound:
        raise ValueError(f"{file} is not sound for rule {rule}: delete it and it is made again.")
    return info


def _read_conditions(file):
    """{rule: what task_info.pkl says of it}, {} without a file."""
    info = load_pickle(file) if file.exists() else {}
    if not isinstance(info, dict):
        raise ValueError(f"{file} is not a file of trial conditions: delete it and it is made again.")
    return info


def _is_sound(info, n_locations):
    """Whether locations and epochs of a rule can be used as they are."""
    where, epochs = np.asarray(info["in_loc"]), info["epoch_info"]
    return (
        where.ndim == 1
        and where.dtype.kind in "iu"
        and set(where.tolist()) == set(info["in_loc_set"]) <= set(range(n_locations))
        and {"fix1", "stim1"} <= set(epochs)
        and all((start or 0) >= 0 and (end is None or (start or 0) < end) for start, end in epochs.values())
    )


def epoch_steps(info, rule, epoch):
    """The steps of an epoch, as a slice.

    Raises
    ------
    ValueError
        When the rule does not have it.
    """
    if epoch not in info["epoch_info"]:
        raise ValueError(f"Rule {rule} has no epoch {epoch!r}: choose one of {', '.join(info['epoch_info'])}.")
    return slice(*info["epoch_info"][epoch])


def check_epochs(info, rule, epochs):
    """ValueError unless the rule has these epochs (one name or several)."""
    for epoch in as_list(epochs):
        epoch_steps(info, rule, epoch)


def test_trials(hp, rule, task_mode="test"):
    """Noise-free trials of a rule, the same in every call: what the rule draws does not touch hp['rng']."""
    rng = np.random.RandomState(hp.get("seed", 0))
    return generate_trials(rule, {**hp, "rng": rng}, task_mode, noise_on=False)


def as_list(names):
    """One name or several, as a list."""
    return [names] if isinstance(names, str) else list(names)
