"""What was computed at checkpoints, remembered within the process, so that analyses do not compute it twice."""

import json
import os
import pickle
from contextlib import suppress
from threading import Lock

from cachetools import LRUCache

from rnn_maturation.hyperparameters import plain
from rnn_maturation.model_directory import activity_file, checkpoint_dir

# enough for a run of 370 checkpoints: location means and neuron info of five rules, saccades, decoder scores
REMEMBERED_BYTES = 500e6

_pickles = LRUCache(REMEMBERED_BYTES, getsizeof=len)
_lock = Lock()


def remembered(compute, what, hp, model_dir, trial_num, rule, *details):
    """Return ``compute()``, or a copy of what it returned when it was last called for the same thing.

    The results used least recently are forgotten when all of them together exceed `REMEMBERED_BYTES`. A checkpoint or
    an activity file that was replaced is another thing: its modification times are part of what is compared.

    Parameters
    ----------
    compute : callable
        Takes no arguments; returns something that can be pickled.
    what : str
        Name of the quantity.
    hp : dict
    model_dir : str
    trial_num : int
        Trial number of the checkpoint.
    rule : str
    *details : hashable
        Everything else that the quantity depends on.

    Returns
    -------
    object
        The caller's own: it may be changed.
    """
    where = os.path.abspath(model_dir), int(trial_num), rule
    files = [activity_file(model_dir, trial_num, rule), *checkpoint_dir(model_dir, trial_num).glob("model.ckpt.[di]*")]
    stats = [(file.name, file.stat()) for file in sorted(files) if file.exists()]
    stamps = tuple((name, stat.st_mtime_ns, stat.st_size) for name, stat in stats)
    key = (what, *where, hp_text(hp), stamps, details)
    with _lock:
        found = _pickles.get(key)
    if found is not None:
        return pickle.loads(found)
    result = compute()
    with _lock, suppress(ValueError):  # larger than the whole memory: not remembered
        _pickles[key] = pickle.dumps(result, pickle.HIGHEST_PROTOCOL)
    return result


def hp_text(hp):
    """Return hyper-parameters as a text that identifies them, without the random generator."""
    return json.dumps({key: plain(value) for key, value in hp.items() if key != "rng"}, sort_keys=True)
