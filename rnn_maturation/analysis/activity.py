"""Activity of the recurrent units in the test trials, computed from checkpoints or read from H files.

Activity is written to files only on request, because the H files of a whole run take tens of gigabytes, whereas the
activity at a checkpoint can be computed quickly whenever it is needed.
"""

import shutil
import warnings

import numpy as np

from rnn_maturation.analysis.conditions import as_list, gen_task_info, task_info, test_trials
from rnn_maturation.analysis.memory import remembered
from rnn_maturation.analysis.parallel import in_order
from rnn_maturation.analysis.restored import network, noise_seed
from rnn_maturation.checks import checks_run_arguments, quoted
from rnn_maturation.model_directory import activity_file, checkpoint_dir, checkpoint_trials, load_pickle, save_pickle
from rnn_maturation.network import gen_feed_dict
from rnn_maturation.stages import flat_trials, present_trials
from rnn_maturation.task import rules_dict


@checks_run_arguments
def compute_H(hp, log, model_dir, rules=None, trial_list=None, recompute=False, save_H_pickle=True):
    """Compute the activity in test trials at many checkpoints and write it to files H_<rule>.pkl.

    The inputs have no noise, but the recurrent units do. The recurrent noise depends only on hp['seed'], the trial
    number of the checkpoint and the rule, so that every computation gives the same activity. The disk space that is
    needed is printed first. The conditions of the rules are added to task_info.pkl.

    Parameters
    ----------
    hp, log : dict
    model_dir : str
    rules : list of str, optional
        Default: all rules on which the network was trained.
    trial_list : range, list, tuple, array or stage dict, optional
        Trial numbers of the checkpoints; default: all checkpoints on disk.
    recompute : bool
        Whether to compute the activity also where the file exists.
    save_H_pickle : bool
        Whether to write the files. In either case location means and neuron info are remembered for the analyses that
        follow in the same process.

    Raises
    ------
    ValueError
        If a rule is not in the network's rule set, or a checkpoint is damaged.
    FileNotFoundError
        If none of the checkpoints is on disk. If only some are missing, one warning names them.
    OSError
        If a file cannot be written, for example because the disk is full. The files written before are complete and
        are kept.
    """
    # imported here, because selectivity imports this module
    from rnn_maturation.analysis.selectivity import checkpoint_summary

    rules = as_list(hp.get("rules", rules_dict[hp["ruleset"]]) if rules is None else rules)
    work = []
    for rule in rules:
        task_info(hp, model_dir, rule)  # raises an error that names a rule outside the rule set
        gen_task_info(hp, log, model_dir, [rule])
        trials = checkpoint_trials(model_dir) if trial_list is None else flat_trials(trial_list, rule)
        trials = present_trials(model_dir, trials, rule)
        work += [(t, rule) for t in trials if recompute or not activity_file(model_dir, t, rule).exists()]
    n_bytes = {rule: 4 * hp["n_rnn"] * np.prod(test_trials(hp, rule).x.shape[:2]) for rule in rules}
    if save_H_pickle:
        needed, free = sum(n_bytes[rule] for _, rule in work), shutil.disk_usage(model_dir).free
        space = f"{needed / 1e9:.2f} GB in {model_dir} ({free / 1e9:.1f} GB free)"
        print(f"compute_H will write {len(work)} file{'s' if len(work) != 1 else ''}, {space}.", flush=True)
        if needed > free:
            warnings.warn(
                f"The disk that holds {model_dir} has too little free space for the activity. compute_H will stop when "
                "the disk is full.",
                stacklevel=2,
            )

    def keep(pair):
        trial_num, rule = pair
        activity = None
        if save_H_pickle:
            activity = compute_activity(hp, model_dir, trial_num, rule)
            save_pickle(activity_file(model_dir, trial_num, rule), activity)
        checkpoint_summary(hp, model_dir, trial_num, rule, activity)
        done.append(pair)

    done = []
    try:
        in_order(keep, sorted(work), "activity")
    except OSError as error:
        raise OSError(
            error.errno,
            f"{error.strerror or error}. compute_H stopped after {len(done)} of {len(work)} files; these are complete. "
            "If the disk is full, free some space or choose fewer rules and checkpoints. Then call compute_H again: it "
            "computes the missing files",
            error.filename,
        ) from error


def compute_activity(hp, model_dir, trial_num, rule, task_mode="test"):
    """Compute the activity at a checkpoint in trials without input noise, even if there is an H file.

    Parameters
    ----------
    hp : dict
    model_dir : str
    trial_num : int
    rule : str
    task_mode : str
        Mode of `task.generate_trials`; see `Get_H`.

    Returns
    -------
    (n_time, n_trials, n_units) float32 array

    Raises
    ------
    FileNotFoundError, ValueError
        If the checkpoint is missing or damaged.
    """
    net = network(hp)
    feed = gen_feed_dict(net.model, test_trials(hp, rule, task_mode), hp)
    what = rule if task_mode == "test" else f"{rule} {task_mode}"
    feed[net.model.noise_seed] = noise_seed(hp, trial_num, what)
    return net.run(checkpoint_dir(model_dir, trial_num), net.model.h, feed)


@checks_run_arguments
def Get_H(hp, model_dir, trial_num, rule, save_H=False, task_mode="test"):
    """Return the activity of all units at a checkpoint; compute it if there is no H file.

    Parameters
    ----------
    hp : dict
    model_dir : str
    trial_num : int
    rule : str
    save_H : bool
        Whether to write the activity to an H file if there is none.
    task_mode : str
        Mode of `task.generate_trials`: 'test', or for rules such as odrd 'test-i-j' (stimulus at location i, distractor
        at location j). Only activity in mode 'test' is read from and written to H files.

    Returns
    -------
    (n_time, n_trials, n_units) float32 array

    Raises
    ------
    FileNotFoundError
        If there is neither an H file nor a checkpoint.
    ValueError
        If the H file or the checkpoint is damaged, the shape of the file does not match the task's trials, or `save_H`
        is set in a mode other than 'test'.
    """
    file = activity_file(model_dir, trial_num, rule)
    if save_H and task_mode != "test":
        raise ValueError(
            f"H files are written in task_mode 'test' only. Call Get_H(..., task_mode={quoted(task_mode)}) without "
            "save_H."
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
        raise ValueError(
            f"{file} does not contain an activity array (n_time, n_trials, n_units) of floating-point numbers. Delete "
            "the file; it is then computed again."
        )
    if activity.shape[2] != n_units:
        raise ValueError(
            f"{file} has {activity.shape[2]} units, but the network of this run has {n_units}. Delete the file; it is "
            "then computed again."
        )
    if activity.shape[1] != len(info["in_loc"]) or activity.shape[0] <= last:
        raise ValueError(
            f"{file} has {activity.shape[0]} steps and {activity.shape[1]} trials, but according to task_info.pkl the "
            f"task has {len(info['in_loc'])} trials of more than {last} steps. Delete whichever of the two files does "
            "not belong to this run."
        )
    return activity.astype(np.float32, copy=False)


# ------------------------------------------------------------------------------------------------------ location means


def location_means(hp, model_dir, trial_num, rule, activity=None, locations=None):
    """Return the mean activity over the test trials of each location.

    The means are computed once per checkpoint, rule and set of locations, and then remembered.

    Parameters
    ----------
    hp : dict
    model_dir : str
    trial_num : int
    rule : str
    activity : callable, optional
        Function without arguments that returns the activity; it is called only if the means are not remembered.
        Default: `Get_H` of this checkpoint.
    locations : (n_trials,) array of int, optional
        Location index of each trial; default: as in `conditions.task_info`.

    Returns
    -------
    (n_locations, n_time, n_units) float32 array
    """
    where = np.asarray(task_info(hp, model_dir, rule)["in_loc"] if locations is None else locations)

    def compute():
        return mean_by_location(activity() if activity else Get_H(hp, model_dir, trial_num, rule), where)

    return remembered(compute, "location means", hp, model_dir, trial_num, rule, str(where.tolist()))


def conditions_text(info):
    """Return a text that identifies the locations and epochs of the test trials.

    Parameters
    ----------
    info : dict
        'in_loc' (n_trials,) and 'epoch_info' {epoch: (start, end)} in steps, as `conditions.task_info` returns them.

    Returns
    -------
    str
    """
    return str((np.asarray(info["in_loc"]).tolist(), info["epoch_info"]))


def averaging_matrix(locations):
    """Return the matrix (n_locations, n_trials) that averages over the trials of each location.

    The rows are in ascending order of the locations.
    """
    members = np.unique(locations)[:, None] == np.asarray(locations)
    return members / members.sum(axis=1, keepdims=True)


def mean_by_location(activity, locations):
    """Return the mean activity over the trials of each location.

    Parameters
    ----------
    activity : (n_time, n_trials, n_units) array
    locations : (n_trials,) array
        Label of the location in each trial.

    Returns
    -------
    (n_locations, n_time, n_units) array
        Locations are in ascending order of their labels.
    """
    return np.ascontiguousarray((averaging_matrix(locations).astype(activity.dtype) @ activity).swapaxes(0, 1))
