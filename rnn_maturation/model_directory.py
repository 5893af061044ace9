"""Model directories: where each file is, and how it is read and written.

A file appears whole or not at all: it is written aside, forced to the disk and then renamed. It carries a checksum
where other programs do not look: pickles behind their end, JSON files as blanks behind the last bracket (files without
one are read too).

    <model directory>/hp.json, log.json, task_info.pkl
    <model directory>/<trial number>/checkpoint, model.ckpt.*, H_<rule>.pkl, neuron_info_<rule>_<epoch>.pkl
    figure/figure_<model directory's last name>/…
"""

import json
import math
import operator
import os
import platform
import re
import secrets
import time
import warnings
import zlib
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np

from rnn_maturation import plain_pickle
from rnn_maturation.hyperparameters import check_known, complete_hp, plain, rename_old_keys

if os.name == "nt":
    import msvcrt
else:
    import fcntl

CHECKPOINT_NAME = "model.ckpt"
INDEX_MAGIC = 0xDB4775248B80FB57.to_bytes(8, "little")  # the last bytes of every whole .index file
RNG_OFFSET = 1000  # analyses draw other trials than training did
PARTIAL = ".partial"
BLANKS = bytes.maketrans(b"01", b" \t")  # the checksum's binary digits as blanks, which readers of JSON skip


class ModelDirectoryInUse(RuntimeError):
    """Another process works on the model directory."""


# ------------------------------------------------------------------------------------------------------------- writing


@contextmanager
def atomic_write(path):
    """Write a file so that it appears whole or not at all.

    Yields the path to write to, beside `path` and with its suffix. At the end of the block it is forced to the disk and
    renamed; when the block or the disk fails it is removed, and an earlier file at `path` stays as it was. The folder
    has to be there.

    Parameters
    ----------
    path : str or Path

    Raises
    ------
    OSError
        If it cannot be written, of the same kind as the cause; names the file and the remedy.
    """
    path = Path(path)
    temporary = path.with_name(f"{PARTIAL}-{_this_process()}-{secrets.token_hex(4)}-{path.name}")
    try:
        yield temporary
        _force_to_disk(temporary)
        os.replace(temporary, path)
        _force_to_disk(path.parent)
    except OSError as error:
        raise OSError(
            error.errno,
            f"{error.strerror or error}: it was not written, and an earlier file of this name is as it was. "
            "Check the free space, and that its folder exists and may be written to; then run the same command again",
            str(path),
        ) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


@contextmanager
def lock(model_dir):
    """Keep other processes from training in a model directory; make the directory if need be.

    The operating system frees the lock when the process ends, however it ends. What killed processes had half
    written is removed.

    Raises
    ------
    ModelDirectoryInUse
        If another process has the lock; names the directory and the process.
    """
    directory = Path(model_dir)
    directory.mkdir(parents=True, exist_ok=True)
    file = _locked_file(directory)
    try:
        _remove_partial_files(directory)
        yield
    finally:
        is_ours = _is_at(file, directory / ".lock")
        if os.name == "nt":
            file.close()  # Windows does not remove an open file
        if is_ours:
            with suppress(OSError):
                (directory / ".lock").unlink()
        file.close()


def is_locked(model_dir):
    """Whether a process has the lock of a model directory; a .lock file alone may be a killed one's."""
    with suppress(OSError), open(Path(model_dir) / ".lock", "rb+") as file:
        try:
            _lock_file(file)  # freed at once
        except (BlockingIOError, PermissionError):
            return True
    return False


# ------------------------------------------------------------------------------------------------------------- hp, log


def load_hp(model_dir):
    """Read the hyper-parameters of a run, completed with today's defaults.

    Parameters
    ----------
    model_dir : str or Path

    Returns
    -------
    dict or None
        With hp['rng'], seeded by seed + 1000. None when there is neither hp.json nor hparams.json.

    Raises
    ------
    ValueError
        If the file is damaged or has wrong values; names the file and the remedy.
    """
    file = _hp_file(model_dir)
    if file is None:
        return None
    hp = complete_hp(_read_json(file), source=str(file), is_file=True)
    hp["rng"] = np.random.RandomState(hp.get("seed", 0) + RNG_OFFSET)
    return hp


def save_hp(hp, model_dir):
    """Write hp.json, without hp['rng']; make the model directory if need be."""
    directory = Path(model_dir)
    directory.mkdir(parents=True, exist_ok=True)
    _write_json(directory / "hp.json", {key: value for key, value in hp.items() if key not in ("rng", "unknown_keys")})


def load_log(model_dir):
    """Read the log of a run.

    Parameters
    ----------
    model_dir : str or Path

    Returns
    -------
    dict or None
        log['model_dir'] is `model_dir`, wherever the run was trained. None when there is no log.json.

    Raises
    ------
    ValueError
        If the file is damaged or its lists disagree; names the file and the remedy.
    """
    file = Path(model_dir) / "log.json"
    if not file.exists():
        return None
    log = _read_json(file)
    _check_log(log, file)
    log["model_dir"] = str(model_dir)
    return log


def save_log(log, model_dir=None):
    """Write log.json into `model_dir`, or else log['model_dir']."""
    _write_json(Path(log["model_dir"] if model_dir is None else model_dir) / "log.json", log)


# ------------------------------------------------------------------------------------------------------------- pickles


def load_pickle(file):
    """Read a pickle of numpy arrays, numpy scalars and builtin containers; nothing in it is ever executed.

    Files written by the original, with numpy 1 or by Python 2 are read.

    Raises
    ------
    ValueError
        If it is damaged or asks for anything else; names the file and the remedy.
    """
    with open(file, "rb") as stream:
        try:
            return plain_pickle.load(stream)
        except ValueError as error:
            raise ValueError(
                f"{file} is damaged or not a file of this program: {error}. Nothing in it was executed. "
                "Delete it and it is computed again."
            ) from error


def save_pickle(file, obj):
    """Write a pickle of numpy arrays, numpy scalars and builtin containers.

    Raises
    ------
    ValueError
        If `obj` has something else, which `load_pickle` would refuse, or the folder is a checkpoint's that is a link.
    """
    if _is_trial_number(Path(file).parent.name):
        refuse_link(Path(file).parent)
    with atomic_write(file) as temporary, open(temporary, "wb") as stream:
        try:
            plain_pickle.dump(obj, stream)
        except ValueError as error:
            raise ValueError(f"{file} was not written: {error}. Save arrays, numbers, texts and containers.") from error


# ------------------------------------------------------------------------------------------------------ finding models


def find_all_models(root_dir, hp_target):
    """Find the model directories in a folder whose hyper-parameters have the given values.

    Parameters
    ----------
    root_dir : str or Path
    hp_target : dict
        Values that the hyper-parameters must have; {} finds all.

    Returns
    -------
    list of str
        In alphabetical order. A directory whose hp.json cannot be read is left out with a warning.

    Raises
    ------
    ValueError
        If hp_target has a key that no hp has.
    """
    wanted = rename_old_keys(hp_target, "hp_target")
    check_known(wanted, "hp_target")
    return [model_dir for model_dir in _model_directories(root_dir) if _has_values(model_dir, wanted)]


def find_model(root_dir, hp_target, perf_min=None):
    """Find one model in a folder that has the given hyper-parameters, and performs well enough.

    Parameters
    ----------
    root_dir, hp_target
        As for `find_all_models`.
    perf_min : float, optional
        As for `select_by_perf`.

    Returns
    -------
    model_dir : str or None
    hp : dict or None
        The first one found, or (None, None).
    """
    model_dirs = find_all_models(root_dir, hp_target)
    if perf_min is not None:
        model_dirs = select_by_perf(model_dirs, perf_min)
    return (model_dirs[0], load_hp(model_dirs[0])) if model_dirs else (None, None)


def select_by_perf(model_dirs, perf_min):
    """Return those model directories whose worst rule at the end of the log performs better than `perf_min`."""
    return [model_dir for model_dir in model_dirs if _last_performance(model_dir) > perf_min]


# --------------------------------------------------------------------------------------------------------------- paths


def checkpoint_dir(model_dir, trial_num):
    """Return the folder of a checkpoint."""
    try:
        number = operator.index(trial_num)
    except TypeError:
        number = -1
    if number < 0:
        raise ValueError(f"A trial number must be an integer of at least 0, not {trial_num!r}.")
    return Path(model_dir) / str(number)


def checkpoint_trials(model_dir):
    """Return the trial numbers that have a whole checkpoint on disk, in order.

    Whole: .index ends as TensorFlow ends it, and .data is not empty.
    """
    folders = Path(model_dir).iterdir() if Path(model_dir).is_dir() else ()
    return sorted(int(folder.name) for folder in folders if _is_trial_number(folder.name) and _has_checkpoint(folder))


def task_info_file(model_dir):
    """Return the path of the file with the trials' conditions, task_info.pkl."""
    return Path(model_dir) / "task_info.pkl"


def activity_file(model_dir, trial_num, rule):
    """Return the path of the activity of a rule's test trials at a checkpoint, H_<rule>.pkl."""
    return checkpoint_dir(model_dir, trial_num) / f"H_{_name('rule', rule)}.pkl"


def neuron_info_file(model_dir, trial_num, rule, epoch):
    """Return the path of what is known of each unit at a checkpoint, neuron_info_<rule>_<epoch>.pkl."""
    return checkpoint_dir(model_dir, trial_num) / f"neuron_info_{_name('rule', rule)}_{_name('epoch', epoch)}.pkl"


def figure_dir(model_dir, rule=None, epoch=None):
    """Return the folder for the figures of a model, figure/figure_<last name of the model directory>/<rule>/<epoch>."""
    folder = Path("figure") / ("figure_" + Path(os.path.abspath(model_dir)).name)
    names = (("rule", rule), ("epoch", epoch))
    return folder.joinpath(*(_name(kind, name) for kind, name in names if name is not None))


def refuse_link(path):
    """ValueError if a part of a model directory is a link: a stranger's could lead our writing elsewhere."""
    if Path(path).is_symlink():
        raise ValueError(
            f"{path} is a link to {os.readlink(path)!r}, and nothing is written through links in a model directory: "
            "put a copy of what it leads to in its place, or delete it."
        )


# ------------------------------------------------------------------------------------------------------------- helpers


def _force_to_disk(path):
    if os.name == "nt" and path.is_dir():
        return  # Windows cannot do this to a folder, and does not need it
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _locked_file(directory):
    """Open and lock .lock; it holds the number of our process."""
    path = directory / ".lock"
    while True:
        refuse_link(path)
        file = open(path, "a+", opener=_open_no_link)
        try:
            _lock_file(file, patience=0.05)
        except (BlockingIOError, PermissionError) as error:
            file.seek(0)
            owner = file.read().strip() or "unknown"
            file.close()
            raise ModelDirectoryInUse(
                f"{directory} is in use by another process (number {owner}). Wait until it ends, or end it."
            ) from error
        if _is_at(file, path):  # else its last owner removed it between our opening and locking it
            file.truncate(0)
            file.write(f"{os.getpid()}\n")
            file.flush()
            return file
        file.close()


def _open_no_link(path, flags):
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0), 0o666)


def _lock_file(file, patience=0):
    if patience:
        with suppress(BlockingIOError, PermissionError):
            return _lock_file(file)
        time.sleep(patience)  # somebody may only have looked (`is_locked`)
    if os.name == "nt":
        file.seek(1000)  # behind the text, as Windows does not let others read what is locked
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
    else:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _is_at(file, path):
    try:
        return os.path.samestat(os.fstat(file.fileno()), os.stat(path))
    except FileNotFoundError:
        return False


def _remove_partial_files(directory):
    """Remove what processes that no longer run have left half written."""
    for pattern in (f"{PARTIAL}-*", f"*/{PARTIAL}-*"):
        for file in directory.glob(pattern):
            machine, _, process = file.name.removeprefix(f"{PARTIAL}-").split("-")[0].rpartition("@")
            if machine in ("", _machine()) and process.isdecimal() and not _is_running(int(process)):
                file.unlink(missing_ok=True)


def _this_process():
    """Its number, and its machine: others may write to the same directory."""
    return f"{_machine()}@{os.getpid()}"


def _machine():
    return re.sub("[^A-Za-z0-9.]", "_", platform.node())


def _is_running(process):
    if os.name == "nt":
        return True  # asking with signal 0, as below, would end the process there
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


def _hp_file(model_dir):
    files = (Path(model_dir) / name for name in ("hp.json", "hparams.json"))
    return next((file for file in files if file.exists()), None)


def _read_json(file):
    raw = file.read_bytes()
    text = raw.rstrip()
    blanks = raw[len(text) :].rstrip(b"\r\n")  # an editor may have added them
    if len(blanks) == 32 and blanks != _checksum_blanks(text):
        raise ValueError(
            f"{file} is not as it was written: its checksum is wrong. Restore it from a copy, or train this model "
            "anew; if it was changed on purpose, delete the blanks behind its last bracket."
        )
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _damaged(file, error) from error
    if not isinstance(content, dict):
        raise _damaged(file, "not a JSON object")
    return content


def _write_json(file, content):
    try:
        text = json.dumps(content, default=_jsonable).encode()
    except (TypeError, ValueError) as error:
        raise ValueError(f"{file} was not written: {error}. Use numbers, texts, lists and dicts.") from error
    with atomic_write(file) as temporary:
        temporary.write_bytes(text + _checksum_blanks(text))


def _checksum_blanks(text):
    return f"{zlib.crc32(text):032b}".encode().translate(BLANKS)


def _jsonable(value):
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    raise TypeError(f"{value!r} has no place in a JSON file")


def _damaged(file, what):
    return ValueError(f"{file} is damaged ({what}). Restore it from a copy, or train this model anew.")


def _check_log(log, file):
    """Refuse a log whose lists differ in length or hold what they should not."""
    trials = log.get("trials")
    if not isinstance(trials, list) or not all(type(trial) is int and trial < 2**53 for trial in trials):
        raise _damaged(file, "no list of trial numbers")
    if any(later <= trial for trial, later in zip(trials, trials[1:], strict=False)) or min(trials, default=0) < 0:
        raise _damaged(file, "the trial numbers do not rise")
    for key, values in log.items():
        if not isinstance(values, list):
            if key == "times" or key.startswith(("perf_", "cost_", "creg_")):
                raise _damaged(file, f"{key} is not a list")
            continue
        if len(values) != len(trials):
            raise _damaged(file, f"{key} has {len(values)} values, trials {len(trials)}")
        wanted = (dict,) if key == "growth" else (float, int)  # not bool; a cost may be NaN
        if not all(type(value) in wanted and (type(value) is not int or abs(value) < 2**53) for value in values):
            raise _damaged(file, f"{key} has a value of a wrong type")
        if key.startswith("perf_") and not all(0 <= value <= 1 for value in values):
            raise _damaged(file, f"{key} has a value outside 0 to 1")
        if key == "times" and not all(abs(value) <= 1e10 for value in values):  # 300 years
            raise _damaged(file, "times has a value that is no time")


def _model_directories(root_dir):
    for folder, subfolders, _ in os.walk(root_dir):
        if _hp_file(folder):
            yield folder
        subfolders[:] = sorted(name for name in subfolders if not _is_trial_number(name))


def _has_values(model_dir, wanted):
    try:
        hp = load_hp(model_dir)
    except ValueError as error:
        warnings.warn(f"A model is left out: {error}", stacklevel=4)
        return False
    return all(key in hp and hp[key] == plain(value) for key, value in wanted.items())


def _last_performance(model_dir):
    log = load_log(model_dir)
    return log["perf_min"][-1] if log and log.get("perf_min") else -math.inf


def _is_trial_number(name):
    return re.fullmatch("0|[1-9][0-9]*", name) is not None


def _has_checkpoint(folder):
    index, data = (folder / f"{CHECKPOINT_NAME}.{part}" for part in ("index", "data-00000-of-00001"))
    try:
        return data.stat().st_size > 0 and index.read_bytes().endswith(INDEX_MAGIC)
    except OSError:
        return False


def _name(kind, name):
    """Return a name that becomes a part of a path, if it cannot lead anywhere else."""
    if not isinstance(name, str) or not re.fullmatch("[A-Za-z0-9_-]+", name):
        raise ValueError(f"{kind} {name!r} cannot be part of a file name: use letters, digits, _ and - only.")
    return name
