"""Activity of the recurrent units in the test trials: computed from checkpoints, or read from the files that keep it.

Activity is not kept unless asked for: H files of a whole run take tens of gigabytes, computing one takes a tenth of a
second.
"""

import os
import shutil
import warnings

import numpy as np

from rnn_maturation.analysis.conditions import as_list, task_info, test_trials
from rnn_maturation.analysis.memory import ArrayMemory
from rnn_maturation.analysis.parallel import in_order
from rnn_maturation.analysis.restored import hp_text, network, noise_seed
from rnn_maturation.model_directory import activity_file, checkpoint_dir, checkpoint_trials, load_pickle, save_pickle
from rnn_maturation.network import gen_feed_dict
from rnn_maturation.stages import flat_trials, present_trials
from rnn_maturation.task import rules_dict

REMEMBERED_BYTES = 160e6  # location means of 110 checkpoints of odr: a rule's three stages, no growth in long scripts


def compute_H(hp, log, model_dir, rules=None, trial_list=None, recompute=False, save_H_pickle=True):
    """Compute the activity in noise-free test trials at many checkpoints and keep it in files H_<rule>.pkl.

    The network's own noise stays on; it is a function of (hp['seed'], trial number, rule), so that computing again
    gives the same numbers. Says beforehand how much disk it will take.

    Parameters
    ----------
    hp, log : dict
    model_dir : str
    rules : list of str, optional
        Default: all that the network was trained on.
    trial_list : range, list, tuple, array or stage dict, optional
        Checkpoints; default: all on disk.
    recompute : bool
        Compute also what is there already.
    save_H_pickle : bool
        False: write nothing, only remember the location means for the analyses that follow.

    Raises
    ------
    OSError
        When the disk is full: the files written until then are whole and stay.
    """
    rules = as_list(hp.get("rules", rules_dict[hp["ruleset"]]) if rules is None else rules)
    work = []
    for rule in rules:
        task_info(hp, model_dir, rule)
        trials = checkpoint_trials(model_dir) if trial_list is None else flat_trials(trial_list, rule)
        trials = present_trials(model_dir, trials, rule)
        work += [(t, rule) for t in trials if recompute or not activity_file(model_dir, t, rule).exists()]
    n_bytes = {rule: 4 * hp["n_rnn"] * np.prod(test_trials(hp, rule).x.shape[:2]) for rule in rules}
    if save_H_pickle:
        _announce(model_dir, len(work), sum(n_bytes[rule] for _, rule in work))

    def keep(pair):
        trial_num, rule = pair
        activity = compute_activity(hp, model_dir, trial_num, rule)
        if save_H_pickle:
            save_pickle(activity_file(model_dir, trial_num, rule), activity)
        remember_location_means(hp, model_dir, trial_num, rule, activity)
        done.append(pair)

    done = []
    try:
        list(in_order(keep, sorted(work), "activity"))
    except OSError as error:
        raise OSError(
            error.errno,
            f"{error.strerror}. compute_H stopped after {len(done)} of {len(work)} files; those are whole. "
            "Make room, or choose fewer rules and checkpoints, and call it again: it goes on with the missing ones",
            error.filename,
        ) from error


def _announce(model_dir, n_files, n_bytes):
    free = shutil.disk_usage(model_dir).free
    print(f"compute_H: {n_files} files, {n_bytes / 1e9:.2f} GB in {model_dir} ({free / 1e9:.1f} GB free).", flush=True)
    if n_bytes > free:
        warnings.warn(
            f"The activity will not fit on the disk of {model_dir}: compute_H stops when it is full.", stacklevel=3
        )


def compute_activity(hp, model_dir, trial_num, rule, task_mode="test"):
    """Activity (T, B, N) float32 of a checkpoint in noise-free trials, computed anew."""
    net = network(hp)
    feed = gen_feed_dict(net.model, test_trials(hp, rule, task_mode), hp)
    what = rule if task_mode == "test" else f"{rule} {task_mode}"
    feed[net.model.noise_seed] = noise_seed(hp, trial_num, what)
    return net.run(checkpoint_dir(model_dir, trial_num), net.model.h, feed)


def Get_H(hp, model_dir, trial_num, rule, save_H=False, task_mode="test"):
    """Activity of all units at a checkpoint, from its H file or else computed.

    Parameters
    ----------
    hp : dict
    model_dir : str
    trial_num : int
    rule : str
    save_H : bool
        Keep the activity of the test trials in a file.
    task_mode : str
        Mode of `task.generate_trials`: 'test', or for odrd 'test-i-j'. Files are of mode 'test' only.

    Returns
    -------
    (n_time, n_trials, n_units) float32 array

    Raises
    ------
    FileNotFoundError
        There is neither a file nor a checkpoint.
    ValueError
        The file is damaged, or of other trials than today's.
    """
    file = activity_file(model_dir, trial_num, rule)
    if save_H and task_mode != "test":
        raise ValueError(
            f"H files are of task_mode 'test' only: call Get_H(..., task_mode={task_mode!r}) without save_H."
        )
    if task_mode == "test" and file.exists():
        return _checked_activity(load_pickle(file), file, task_info(hp, model_dir, rule), hp["n_rnn"])
    activity = compute_activity(hp, model_dir, trial_num, rule, task_mode)
    if save_H:
        save_pickle(file, activity)
    return activity


def _checked_activity(activity, file, info, n_units):
    last = max(step for steps in info["epoch_info"].values() for step in steps if step is not None)
    if not isinstance(activity, np.ndarray) or activity.ndim != 3 or activity.dtype.kind != "f":
        raise ValueError(f"{file} is not an activity array (time, trials, units). Delete it and it is computed again.")
    if activity.shape[2] != n_units:
        raise ValueError(
            f"{file} has {activity.shape[2]} units, the network of this run {n_units}. Delete it and it is computed "
            "again."
        )
    if activity.shape[1] != len(info["in_loc"]) or activity.shape[0] <= last:
        raise ValueError(
            f"{file} has {activity.shape[0]} steps and {activity.shape[1]} trials, the task has {len(info['in_loc'])} "
            f"trials of more than {last} steps (task_info.pkl). Delete the one of both files that is not of this run."
        )
    return activity.astype(np.float32, copy=False)


# ------------------------------------------------------------------------------------------------------ location means


_memory = ArrayMemory(REMEMBERED_BYTES)


def location_means(hp, model_dir, trial_num, rule):
    """Mean activity over the test trials of each location.

    Returns
    -------
    (n_locations, n_time, n_units) float32 array, not to be changed
    """
    found = _memory.get(_memory_key(hp, model_dir, trial_num, rule))
    return remember_location_means(hp, model_dir, trial_num, rule) if found is None else found


def remember_location_means(hp, model_dir, trial_num, rule, activity=None):
    """As `location_means`, from activity at hand, or else from `Get_H`."""
    activity = Get_H(hp, model_dir, trial_num, rule) if activity is None else activity
    means = mean_by_location(activity, task_info(hp, model_dir, rule)["in_loc"])
    _memory.put(_memory_key(hp, model_dir, trial_num, rule), means)
    return means


def _memory_key(hp, model_dir, trial_num, rule):
    """Names the means and the file that they come from, so that a file made anew is read anew."""
    file = activity_file(model_dir, trial_num, rule)
    source = file if file.exists() else checkpoint_dir(model_dir, trial_num) / "model.ckpt.index"
    stamp = (source.stat().st_mtime_ns, source.stat().st_size) if source.exists() else None
    return os.path.abspath(model_dir), trial_num, rule, hp_text(hp), source.name, stamp


def averaging_matrix(locations):
    """Matrix (n_locations, n_trials) that takes the mean over the trials of each location, in ascending order."""
    members = np.unique(locations)[:, None] == np.asarray(locations)
    return members / members.sum(axis=1, keepdims=True)


def mean_by_location(activity, locations):
    """Activity (n_time, n_trials, n_units) averaged over each location's trials: (n_locations, n_time, n_units)."""
    return np.ascontiguousarray((averaging_matrix(locations).astype(activity.dtype) @ activity).swapaxes(0, 1))
