"""Give the path of every file of a run, read and write hp.json, log.json and pickles, and find models.

    <model directory>/hp.json, log.json, task_info.pkl
    <model directory>/<trial number>/checkpoint, model.ckpt.*, H_<rule>.pkl, neuron_info_<rule>_<epoch>.pkl
    figure/figure_<last part of the model directory's path>/…

Files are written completely or not at all, and with checksums (`files`, `plain_pickle`).
"""

import os
import re
import textwrap
import warnings
from contextlib import suppress
from pathlib import Path

import numpy as np

from rnn_maturation import plain_pickle
from rnn_maturation.checks import check_path, check_whole_number, quoted
from rnn_maturation.files import atomic_write, damaged, read_json, refuse_link, write_json
from rnn_maturation.hyperparameters import RNG_OFFSET, check_known, complete_hp, plain, rename_old_keys
from rnn_maturation.task import TASKS

HP_FILE = "hp.json"
OLD_HP_FILE = "hparams.json"  # its name in older versions
LOG_FILE = "log.json"
CHECKPOINT_NAME = "model.ckpt"
INDEX_MAGIC = 0xDB4775248B80FB57.to_bytes(8, "little")  # the last bytes of every complete .index file
LARGEST_EXACT = 2**53  # floating-point numbers represent all integers up to this one exactly
LONGEST_TIME_S = 1e10  # about 300 years; a longer training time in a log is an error
MISSING = "train a run with Main_training.py first, or check the path"


# ------------------------------------------------------------------------------------------------------------- hp, log


def has_hp(model_dir):
    """Return whether a folder has the hyper-parameters of a run, hp.json or the older hparams.json."""
    return _hp_file(model_dir) is not None


def load_hp(model_dir):
    """Read the hyper-parameters of a run and add the present defaults of missing keys.

    If the checksum of the file is wrong, for example because it was edited by hand, the file is used with a warning.

    Parameters
    ----------
    model_dir : str or Path

    Returns
    -------
    dict
        Complete hyper-parameters, and hp['rng'], a RandomState with the seed hp['seed'] + 1000.

    Raises
    ------
    FileNotFoundError
        If there is neither hp.json nor hparams.json.
    ValueError
        If the file is damaged or has wrong values. The message names the file and the remedy.
    """
    check_path("model_dir", model_dir)
    file = _hp_file(model_dir)
    if file is None:
        raise FileNotFoundError(f"{model_dir} has no {HP_FILE}: {MISSING}; the current folder is {Path.cwd()}")
    content, is_as_written = read_json(file)
    if not is_as_written:
        warnings.warn(
            f"{file} has changed since this program wrote it: its checksum is wrong. The file is used "
            "nevertheless. If you did not edit it, restore it from a copy. If you did, silence this "
            "warning: delete the whitespace after its last bracket (the checksum), or write it again with save_hp.",
            stacklevel=1,  # always this line, so that Python shows the warning once
        )
    hp = complete_hp(content, source=str(file), is_file=True)
    hp["rng"] = np.random.RandomState(hp.get("seed", 0) + RNG_OFFSET)
    return hp


def save_hp(hp, model_dir):
    """Write hp.json, without hp['rng']; create the model directory if it does not exist."""
    check_path("model_dir", model_dir)
    directory = Path(model_dir)
    directory.mkdir(parents=True, exist_ok=True)
    write_json(directory / HP_FILE, {key: value for key, value in hp.items() if key not in ("rng", "unknown_keys")})


def has_log(model_dir):
    """Return whether a folder has the log of a run, log.json."""
    return (Path(model_dir) / LOG_FILE).exists()


def is_log_list(key):
    """Return whether a key of a log is one of the lists to which each evaluation adds an entry."""
    what, _, rule = str(key).partition("_")
    is_of_rule = what in ("perf", "cost", "creg") and (rule in TASKS or rule in ("avg", "min"))
    return key in ("trials", "times", "growth") or is_of_rule


def load_log(model_dir):
    """Read the log of a run.

    Keys that this program does not know are kept as they are, with a warning. A wrong checksum is an error, because a
    corrupted file could yield plausible values.

    Parameters
    ----------
    model_dir : str or Path

    Returns
    -------
    dict
        As `rnn_maturation.train.do_eval` describes it; log['model_dir'] is `model_dir`, wherever the run was trained.

    Raises
    ------
    FileNotFoundError
        If there is no log.json.
    ValueError
        If the file is damaged or its lists contradict each other. The message names the file and the remedy.
    """
    check_path("model_dir", model_dir)
    file = Path(model_dir) / LOG_FILE
    if not file.exists():
        raise FileNotFoundError(f"{model_dir} has no {LOG_FILE}: {MISSING}; the current folder is {Path.cwd()}")
    log, is_as_written = read_json(file)
    if not is_as_written:
        raise ValueError(
            f"{file} has changed since this program wrote it: its checksum is wrong. It is not used, because corrupted "
            "numbers could look plausible. Restore it from a copy, or train this model again. If you edited it on "
            "purpose, delete the whitespace after its last bracket (the checksum)."
        )
    _check_log(log, file)
    unknown = [key for key in log if not is_log_list(key) and key != "model_dir"]
    if unknown:
        names = textwrap.shorten(", ".join(unknown), 80, placeholder=" ...")
        warnings.warn(
            f"{file} has keys that this program does not know: {names}. They are kept, but not used.", stacklevel=1
        )
    log["model_dir"] = str(model_dir)
    return log


def save_log(log, model_dir=None):
    """Write log.json into `model_dir`, by default log['model_dir'].

    Raises
    ------
    ValueError
        If neither is given.
    """
    model_dir = log.get("model_dir") if model_dir is None else model_dir
    if model_dir is None:
        raise ValueError("save_log needs a folder: this log has no 'model_dir'. Give model_dir.")
    write_json(Path(model_dir) / LOG_FILE, log)


def _hp_file(model_dir):
    files = (Path(model_dir) / name for name in (HP_FILE, OLD_HP_FILE))
    return next((file for file in files if file.exists()), None)


def _check_log(log, file):
    """Raise an error if the lists of a log differ in length or contain a value that is not allowed."""
    trials = log.get("trials")
    if not isinstance(trials, list) or not all(type(trial) is int and trial < LARGEST_EXACT for trial in trials):
        raise damaged(file, "no list of trial numbers")
    if any(later <= trial for trial, later in zip(trials, trials[1:], strict=False)) or min(trials, default=0) < 0:
        raise damaged(file, "the trial numbers do not increase")
    for key, values in log.items():
        if not is_log_list(key):
            continue
        if not isinstance(values, list):
            raise damaged(file, f"{key} is not a list")
        if len(values) != len(trials):
            raise damaged(file, f"{key} has {len(values)} values, but trials has {len(trials)}")
        wanted = (dict,) if key == "growth" else (float, int)  # not bool; a cost may be NaN
        if not all(
            type(value) in wanted and (type(value) is not int or abs(value) < LARGEST_EXACT) for value in values
        ):
            raise damaged(file, f"{key} has a value of a wrong type")
        if key.startswith("perf_") and not all(0 <= value <= 1 for value in values):
            raise damaged(file, f"{key} has a value outside 0 to 1")
        if key == "times" and not all(abs(value) <= LONGEST_TIME_S for value in values):
            raise damaged(file, "times has a value that is not a time")


# ------------------------------------------------------------------------------------------------------------- pickles


def load_pickle(file):
    """Read a pickle of numpy arrays, numpy scalars and builtin containers; nothing in it is ever executed.

    Files written by the original, with numpy 1 or by Python 2 are read.

    Raises
    ------
    ValueError
        If the file is damaged or contains anything else. The message names the file and the remedy.
    """
    with open(file, "rb") as stream:
        try:
            return plain_pickle.load(stream)
        except ValueError as error:
            raise ValueError(
                f"{file} is damaged or not a file of this program: {error}. Nothing in it was executed. "
                "Delete it if it is an H, neuron_info or task_info file; the program then computes it again."
            ) from error


def save_pickle(file, obj):
    """Write a pickle of numpy arrays, numpy scalars and builtin containers.

    Raises
    ------
    ValueError
        If `obj` contains anything else, which `load_pickle` would not accept, or if the checkpoint folder of `file` is
        a link.
    """
    if _is_trial_number(Path(file).parent.name):
        refuse_link(Path(file).parent)
    with atomic_write(file) as temporary, open(temporary, "wb") as stream:
        try:
            plain_pickle.dump(obj, stream)
        except ValueError as error:
            raise ValueError(
                f"{file} was not written: {error}. Save only arrays, numbers, strings and builtin containers."
            ) from error


# ------------------------------------------------------------------------------------------------------ finding models


def valid_model_dirs(root_dir):
    """Return the model directories in one or more folders: the folders with hp.json or hparams.json.

    Parameters
    ----------
    root_dir : str, Path or list of them
        Folder to search, with all its subfolders except those of checkpoints. It may itself be a model directory.

    Returns
    -------
    list of str
        In alphabetical order within each folder.
    """
    found = []
    for root in [root_dir] if isinstance(root_dir, str | os.PathLike) else root_dir:
        for folder, subfolders, _ in os.walk(root):
            if has_hp(folder):
                found.append(folder)
            subfolders[:] = sorted(name for name in subfolders if not _is_trial_number(name))
    return found


def find_all_models(root_dir, hp_target):
    """Find, in a folder, the model directories whose hyper-parameters have the given values.

    Parameters
    ----------
    root_dir : str, Path or list of them
        As for `valid_model_dirs`.
    hp_target : dict
        Values that the hyper-parameters must have. An empty dict finds all models.

    Returns
    -------
    list of str
        In alphabetical order. A directory whose hp.json cannot be read is left out with a warning.

    Raises
    ------
    ValueError
        If hp_target is not a dict or has a key that is not a hyper-parameter.
    """
    if not isinstance(hp_target, dict):
        raise ValueError(f"hp_target must be a dict of hyper-parameters and their values, not {quoted(hp_target)}")
    wanted = rename_old_keys(hp_target, "hp_target")
    check_known(wanted, "hp_target")
    found = []
    for model_dir in valid_model_dirs(root_dir):
        try:
            hp = load_hp(model_dir)
        except ValueError as error:
            warnings.warn(f"A model is left out: {error}", stacklevel=2)
            continue
        if all(key in hp and hp[key] == plain(value) for key, value in wanted.items()):
            found.append(model_dir)
    return found


def find_model(root_dir, hp_target, perf_min=None):
    """Find, in a folder, one model that has the given hyper-parameters and performs well enough.

    Parameters
    ----------
    root_dir, hp_target
        As for `find_all_models`.
    perf_min : float, optional
        As for `select_by_perf`.

    Returns
    -------
    str or None
        The first model directory found, or None. `load_hp` reads its hyper-parameters.
    """
    model_dirs = find_all_models(root_dir, hp_target)
    if perf_min is not None:
        model_dirs = select_by_perf(model_dirs, perf_min)
    return model_dirs[0] if model_dirs else None


def select_by_perf(model_dirs, perf_min):
    """Select the models that perform well enough at the end of their logs.

    Parameters
    ----------
    model_dirs : str, Path or list of them
    perf_min : float
        Performance, 0 to 1, that the worst trained rule must exceed in the last evaluation.

    Returns
    -------
    list
        The selected model directories. A model without a log or an evaluation is not selected.
    """
    selected = []
    for model_dir in [model_dirs] if isinstance(model_dirs, str | os.PathLike) else model_dirs:
        performances = load_log(model_dir).get("perf_min") if has_log(model_dir) else None
        if performances and performances[-1] > perf_min:
            selected.append(model_dir)
    return selected


# --------------------------------------------------------------------------------------------------------------- paths


def checkpoint_dir(model_dir, trial_num):
    """Return the folder of a checkpoint.

    Parameters
    ----------
    model_dir : str or Path
    trial_num : int
        Number of training trials up to the checkpoint.

    Returns
    -------
    Path

    Raises
    ------
    ValueError
        If trial_num is not a whole number of at least 0.
    """
    check_path("model_dir", model_dir)
    return Path(model_dir) / str(check_whole_number("A trial number", trial_num, at_least=0))


def checkpoint_trials(model_dir):
    """Return the trial numbers that have a complete checkpoint on disk, in order.

    A checkpoint is complete if its .index file ends with TensorFlow's end mark, and its .data file is not empty.
    """
    trials = []
    for folder in Path(model_dir).iterdir() if Path(model_dir).is_dir() else ():
        index, data = (folder / f"{CHECKPOINT_NAME}.{part}" for part in ("index", "data-00000-of-00001"))
        with suppress(OSError):  # one of the files is not there
            is_number = _is_trial_number(folder.name)
            if is_number and data.stat().st_size > 0 and index.read_bytes().endswith(INDEX_MAGIC):
                trials.append(int(folder.name))
    return sorted(trials)


def task_info_file(model_dir):
    """Return the path of the file with the trials' conditions, task_info.pkl."""
    return Path(model_dir) / "task_info.pkl"


def activity_file(model_dir, trial_num, rule):
    """Return the path of the file with the activity in a rule's test trials at a checkpoint, H_<rule>.pkl."""
    return checkpoint_dir(model_dir, trial_num) / f"H_{_name('rule', rule)}.pkl"


def neuron_info_file(model_dir, trial_num, rule, epoch):
    """Return the path of the file with the classes of units at a checkpoint, neuron_info_<rule>_<epoch>.pkl."""
    return checkpoint_dir(model_dir, trial_num) / f"neuron_info_{_name('rule', rule)}_{_name('epoch', epoch)}.pkl"


def figure_dir(model_dir, rule=None, epoch=None):
    """Return the folder for figures, figure/figure_<last part of model_dir>, with /<rule> and /<epoch> if given."""
    check_path("model_dir", model_dir)
    folder = Path("figure") / ("figure_" + Path(os.path.abspath(model_dir)).name)
    names = (("rule", rule), ("epoch", epoch))
    return folder.joinpath(*(_name(kind, name) for kind, name in names if name is not None))


# ------------------------------------------------------------------------------------------------------------- helpers


def _is_trial_number(name):
    return re.fullmatch("0|[1-9][0-9]*", name) is not None


def _name(kind, name):
    """Return a name that can be part of a path; raise a ValueError if it could lead to another folder."""
    if not isinstance(name, str) or not re.fullmatch("[A-Za-z0-9_-]+", name):
        raise ValueError(f"{kind} {quoted(name)} cannot be part of a file name: use letters, digits, _ and - only.")
    return name
