"""Activity of the recurrent units in the test trials: computed from checkpoints, or read from the files that keep it.

Activity is not kept unless asked for: H files of a whole run take tens of gigabytes, computing one takes a tenth of a
second. What several analyses of the same checkpoint need, the mean activity at each location, is remembered in memory.
"""

import hashlib
import json
import os
import shutil
import threading
import warnings
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from queue import SimpleQueue

import numpy as np

from rnn_maturation.analysis.parallel import in_order
from rnn_maturation.hyperparameters import plain
from rnn_maturation.jobs import n_cores
from rnn_maturation.maturation import flat_trials
from rnn_maturation.model_directory import (
    activity_file,
    checkpoint_dir,
    checkpoint_trials,
    load_pickle,
    save_pickle,
    task_info_file,
)
from rnn_maturation.network import Model, gen_feed_dict, session_config, tf1
from rnn_maturation.task import generate_trials, rules_dict

REMEMBERED_BYTES = 160e6  # location means of 110 checkpoints of odr; a bound, so that long scripts do not grow


# ------------------------------------------------------------------------------------------------------- conditions


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
    info = load_pickle(file) if file.exists() else {}
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
    if not file.exists() or rule not in load_pickle(file):
        gen_task_info(hp, None, model_dir, [rule])
    info = load_pickle(file)[rule]
    if not {"in_loc", "in_loc_set", "epoch_info"} <= set(info):
        raise ValueError(f"{file} is not complete for rule {rule}: delete it and it is made again.")
    return info


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


def test_trials(hp, rule, task_mode="test"):
    """Noise-free trials of a rule, the same in every call: what the rule draws does not touch hp['rng']."""
    rng = np.random.RandomState(hp.get("seed", 0))
    return generate_trials(rule, {**hp, "rng": rng}, task_mode, noise_on=False)


def as_list(names):
    """One name or several, as a list."""
    return [names] if isinstance(names, str) else list(names)


# ----------------------------------------------------------------------------------------------------------- networks


class Network:
    """One graph for all checkpoints of a model: weights are restored into it, in a session for each core."""

    def __init__(self, model_dir, hp):
        self.model_dir = model_dir
        with ThreadPoolExecutor(1) as own_thread:  # a default graph belongs to a thread: the caller's stays as it is
            self.model = own_thread.submit(Model, model_dir, hp=hp).result()
        self._graph = self.model.h.graph
        self._graph.finalize()
        self._idle_sessions = SimpleQueue()
        for _ in range(n_cores()):
            # one thread a session, on every machine: results do not depend on how sums are shared out
            self._idle_sessions.put(tf1.Session(graph=self._graph, config=session_config(threads=1)))

    def run(self, trial_num, tensor, feed):
        """Value of a tensor in the network as it was at a checkpoint. May be called from several threads."""
        session = self._idle_sessions.get()
        try:
            with self._graph.as_default(), session.as_default():
                self.model.restore(checkpoint_dir(self.model_dir, trial_num))
                return session.run(tensor, feed)
        finally:
            self._idle_sessions.put(session)


def network(hp, model_dir):
    """The `Network` of a model, built once for all analyses that follow each other on it."""
    return _network(os.path.abspath(model_dir), _hp_text(hp))


@lru_cache(maxsize=1)
def _network(model_dir, hp_text):
    return Network(model_dir, json.loads(hp_text))


def _hp_text(hp):
    return json.dumps({key: plain(value) for key, value in hp.items() if key != "rng"}, sort_keys=True)


def noise_seed(hp, trial_num, what):
    """Seed of the recurrent noise, two integers: a pure function of hp['seed'], checkpoint and what is computed."""
    text = f"{hp.get('seed', 0)} {int(trial_num)} {what}"
    return np.frombuffer(hashlib.sha256(text.encode()).digest()[:16], dtype="<i8")


# ----------------------------------------------------------------------------------------------------------- activity


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

    n_done = 0
    try:
        for _ in in_order(keep, sorted(work), "activity"):
            n_done += 1
    except OSError as error:
        raise OSError(
            error.errno,
            f"{error.strerror}. compute_H stopped after {n_done} of {len(work)} files; those are whole. "
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
    net = network(hp, model_dir)
    feed = gen_feed_dict(net.model, test_trials(hp, rule, task_mode), hp)
    what = rule if task_mode == "test" else f"{rule} {task_mode}"
    return net.run(trial_num, net.model.h, {**feed, net.model.noise_seed: noise_seed(hp, trial_num, what)})


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
        return _checked_activity(load_pickle(file), file, task_info(hp, model_dir, rule))
    activity = compute_activity(hp, model_dir, trial_num, rule, task_mode)
    if save_H:
        save_pickle(file, activity)
    return activity


def _checked_activity(activity, file, info):
    last = max(step for steps in info["epoch_info"].values() for step in steps if step is not None)
    if not isinstance(activity, np.ndarray) or activity.ndim != 3 or activity.dtype.kind != "f":
        raise ValueError(f"{file} is not an activity array (time, trials, units). Delete it and it is computed again.")
    if activity.shape[1] != len(info["in_loc"]) or activity.shape[0] <= last:
        raise ValueError(
            f"{file} has {activity.shape[0]} steps and {activity.shape[1]} trials, the task has {len(info['in_loc'])} "
            f"trials of more than {last} steps (task_info.pkl). Delete the one of both files that is not of this run."
        )
    return activity.astype(np.float32, copy=False)


def present_trials(model_dir, trials, rule):
    """Those trial numbers whose activity is on disk or can be computed; one warning names the others.

    Raises
    ------
    FileNotFoundError
        When none is left.
    """
    on_disk = set(checkpoint_trials(model_dir))
    present = [t for t in trials if t in on_disk or activity_file(model_dir, t, rule).exists()]
    missing = [str(t) for t in trials if t not in set(present)]
    if not present:
        raise FileNotFoundError(
            f"{model_dir} has no checkpoint for any of the trial numbers asked for ({_shortened(missing) or 'none'}). "
            f"On disk: {_shortened([str(t) for t in sorted(on_disk)]) or 'none'}."
        )
    if missing:
        warnings.warn(f"{model_dir} has no checkpoint {_shortened(missing)}: left out.", stacklevel=3)
    return present


def _shortened(names, limit=8):
    return ", ".join(names[:limit]) + (f" and {len(names) - limit} more" if len(names) > limit else "")


# ------------------------------------------------------------------------------------------------------ location means


class _Memory:
    """The arrays used last, up to a number of bytes."""

    def __init__(self, max_bytes):
        self.max_bytes, self.n_bytes = max_bytes, 0
        self._arrays, self._lock = OrderedDict(), threading.Lock()

    def get(self, key):
        with self._lock:
            if key in self._arrays:
                self._arrays.move_to_end(key)
            return self._arrays.get(key)

    def put(self, key, array):
        with self._lock:
            if key in self._arrays:
                self.n_bytes -= self._arrays.pop(key).nbytes
            self._arrays[key] = array
            self.n_bytes += array.nbytes
            while self.n_bytes > self.max_bytes and self._arrays:
                self.n_bytes -= self._arrays.popitem(last=False)[1].nbytes


_memory = _Memory(REMEMBERED_BYTES)


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
    return os.path.abspath(model_dir), trial_num, rule, _hp_text(hp), source.name, stamp


def averaging_matrix(locations):
    """Matrix (n_locations, n_trials) that takes the mean over the trials of each location, in ascending order."""
    members = np.unique(locations)[:, None] == np.asarray(locations)
    return members / members.sum(axis=1, keepdims=True)


def mean_by_location(activity, locations):
    """Activity (n_time, n_trials, n_units) averaged over each location's trials: (n_locations, n_time, n_units)."""
    return np.ascontiguousarray((averaging_matrix(locations).astype(activity.dtype) @ activity).swapaxes(0, 1))
