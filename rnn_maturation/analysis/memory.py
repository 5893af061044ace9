"""Keep in memory what was computed at checkpoints, so that analyses in the same process do not compute it twice."""

import json
import os
import pickle
from contextlib import suppress
from threading import Lock

from cachetools import LRUCache

from rnn_maturation.hyperparameters import plain
from rnn_maturation.model_directory import activity_file, checkpoint_dir

# With 256 units, the location means and neuron info of a checkpoint take 0.7 MB (overlap) to 1.6 MB (ODR+d) per rule,
# so that 300 to 700 of them are kept.
REMEMBERED_BYTES = 500e6

_pickles = LRUCache(REMEMBERED_BYTES, getsizeof=len)
_lock = Lock()


def remembered(compute, what, hp, model_dir, trial_num, rule, *details):
    """Return ``compute()``, or a copy of its stored result if it was already called with the same arguments.

    The arguments that are compared are all except `compute`; of `hp`, all but its random generator. The modification
    times and sizes of the checkpoint and of the activity file are compared too, so that the result is computed again if
    a file was replaced. When the stored results together exceed `REMEMBERED_BYTES`, those used least recently are
    removed.

    Parameters
    ----------
    compute : callable
        Function without arguments whose result can be pickled.
    what : str
        Name of the quantity.
    hp : dict
        Hyper-parameters.
    model_dir : str
    trial_num : int
        Trial number of the checkpoint.
    rule : str
    *details : hashable
        Everything else on which the quantity depends.

    Returns
    -------
    object
        What is stored is a separate copy, so that the caller may change the returned object.
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
    with _lock, suppress(ValueError):  # a result larger than REMEMBERED_BYTES is not stored
        _pickles[key] = pickle.dumps(result, pickle.HIGHEST_PROTOCOL)
    return result


def hp_text(hp):
    """Return the hyper-parameters, without the random generator, as a text by which they can be compared."""
    return json.dumps({key: plain(value) for key, value in hp.items() if key != "rng"}, sort_keys=True)
