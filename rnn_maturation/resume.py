"""Begin, resume, stop and delete runs: check what is on disk, and choose the checkpoint from which a run is resumed."""

import contextlib
import json
import shutil
import signal
import sys
import threading
import zlib
from pathlib import Path

import numpy as np

from rnn_maturation import model_directory
from rnn_maturation.checks import quoted
from rnn_maturation.hyperparameters import changed_keys

STATE_FILE = "training_state.json"  # file in a checkpoint folder with what else is needed to resume from it
INTERRUPTED = "interrupted"  # folder of the checkpoint of a run that was stopped between two evaluations
CHECKPOINT_FILES = ("checkpoint", "*.ckpt.*", STATE_FILE, "H_*.pkl", "neuron_info_*.pkl", ".partial-*")


# ------------------------------------------------------------------------------------------------ what is on disk


def delete_run(model_dir, load_dir=None):
    """Delete what `train` and the analyses have written into a model directory, and nothing else.

    Parameters
    ----------
    model_dir : str or Path
    load_dir : str or Path, optional
        Checkpoint folder that the next run is to start from.

    Raises
    ------
    ValueError
        If load_dir would be deleted.
    """
    folder = Path(model_dir)
    if load_dir is not None and folder.resolve() in Path(load_dir).resolve().parents:
        raise ValueError(f"load_dir {load_dir} is a part of the run to overwrite: copy it to another folder first")
    for checkpoint in [*folder.glob("[0-9]*"), folder / INTERRUPTED]:
        if checkpoint.is_symlink():
            checkpoint.unlink()  # only the link: its target belongs to another run
        elif checkpoint.name.isdigit() or checkpoint.name == INTERRUPTED:
            for file in [file for pattern in CHECKPOINT_FILES for file in checkpoint.glob(pattern)]:
                file.unlink()
            with contextlib.suppress(OSError):  # it does not exist, or still has files of the user
                checkpoint.rmdir()
    for name in ("log.json", "task_info.pkl", "hp.json", "hparams.json"):
        (folder / name).unlink(missing_ok=True)


def begin(model_dir, hp):
    """Write hp.json for a new run, or compare the hyper-parameters with those of the run on disk.

    Incomplete checkpoints of killed processes are removed.

    Parameters
    ----------
    model_dir : str or Path
    hp : dict
        Complete hyper-parameters of the run to train.

    Returns
    -------
    dict
        The log, see `train.do_eval`; without entries for a new run.

    Raises
    ------
    ValueError
        If the run on disk has other hyper-parameters, lacks a file, or has an incomplete log.
    """
    for pattern in (".[0-9]*-*", f".{INTERRUPTED}-*"):
        for leftover in Path(model_dir).glob(pattern):
            shutil.rmtree(leftover, ignore_errors=True)
    saved = model_directory.load_hp(model_dir) if model_directory.has_hp(model_dir) else None
    log = model_directory.load_log(model_dir) if model_directory.has_log(model_dir) else None
    if saved is None:
        if log is not None or model_directory.checkpoint_trials(model_dir):
            raise ValueError(
                f"{model_dir} has a run without its hp.json: put the file back, or begin again with --overwrite "
                "(overwrite=True)"
            )
        model_directory.save_hp(hp, model_dir)
    else:
        changed = changed_keys(saved, hp)
        if changed:
            differences = ", ".join(f"{key} {quoted(old)} (now {quoted(new)})" for key, (old, new) in changed.items())
            raise ValueError(
                f"{model_dir} holds a run with other hyper-parameters: {differences}. Use the hyper-parameters of that "
                "run or another model directory, or begin again with --overwrite (overwrite=True)"
            )
    if log is None:
        if any(model_directory.checkpoint_trials(model_dir)):  # checkpoint 0 comes before the first log
            raise ValueError(
                f"{model_dir} has a run without its log.json: put the file back, or begin again with --overwrite "
                "(overwrite=True)"
            )
        return {"model_dir": str(model_dir), "trials": [], "times": [], "growth": []}
    wanted = ["times", "growth", "perf_avg", "perf_min"]
    wanted += [f"{what}_{rule}" for rule in hp["rules"] for what in ("cost", "creg", "perf")]
    missing = [key for key in wanted if not isinstance(log.get(key), list)]
    if missing:
        raise ValueError(
            f"{model_dir}/log.json is damaged: it has no {', '.join(missing)}. Restore it from a copy, or begin again "
            "with --overwrite (overwrite=True)"
        )
    return log


# ------------------------------------------------------------------------------------------------ resuming


def go_on(model, log, settings):
    """Restore the network, hp['rng'] and the log of an unfinished run.

    The newest complete checkpoint is restored. Later entries of the log are removed, because they will be computed
    again.

    Parameters
    ----------
    model : network.Model
        The network, with a default session. Its graph must already have the training step of the run.
    log : dict
        Log of the run, with at least one entry.
    settings : dict
        display_step, trainables and load_dir of this call of `train`.

    Returns
    -------
    int
        Number of training steps that have been done.

    Raises
    ------
    ValueError
        If the run was started with other settings, or has no complete checkpoint.
    """
    model_dir, batch_size = Path(model.model_dir), model.hp["batch_size_train"]
    for name in (INTERRUPTED, *map(str, log["trials"][::-1])):
        folder = model_dir / name
        if not (folder / STATE_FILE).exists():
            continue
        try:
            state = _read_state(folder)
            trials = state["step"] * batch_size
            if name == INTERRUPTED and trials <= log["trials"][-1]:
                continue  # outdated: a process was killed just after it had logged a later checkpoint
            if name not in (INTERRUPTED, str(trials)):
                raise ValueError(f"{folder / STATE_FILE} belongs to trial {trials}: this checkpoint is damaged")
            model.restore(folder, whole=True)
        except (ValueError, FileNotFoundError) as error:
            print(f"{error}\nGoing back to the previous checkpoint.")
            continue
        if state["settings"] != settings:
            raise ValueError(
                f"{model_dir} holds a run with the settings {state['settings']}, but those of this call are "
                f"{settings}. Use the settings of that run or another model directory, or begin again with --overwrite "
                "(overwrite=True)"
            )
        generator, keys, *rest = state["rng"]
        model.hp["rng"].set_state((generator, np.array(keys, np.uint32), *rest))
        n_kept = int(np.searchsorted(log["trials"], trials, side="right"))
        for key, values in log.items():
            if model_directory.is_log_list(key):  # not a list that the user added
                del values[n_kept:]
        print(f"{model_dir}: resuming from trial {trials}")
        return state["step"]
    raise ValueError(
        f"{model_dir} has a log, but no checkpoint from which it can be resumed: that takes a complete checkpoint with "
        f"{STATE_FILE}. Train in another model directory with one of its checkpoints as load_dir, or begin again "
        "with --overwrite (overwrite=True)"
    )


def state_text(settings, step, rng_state):
    """Return the content of a state file.

    Parameters
    ----------
    settings : dict
        See `go_on`.
    step : int
        Number of training steps that have been done.
    rng_state : tuple
        State of hp['rng'], as returned by numpy's RandomState.get_state.

    Returns
    -------
    str
        JSON with a checksum.
    """
    generator, keys, *rest = rng_state
    state = {"step": step, "settings": settings, "rng": [generator, keys.tolist(), *rest]}
    return json.dumps({**state, "checksum": _checksum(state)})


def _read_state(folder):
    """Return the content of a state file; raise a ValueError if `state_text` cannot have written it."""

    def is_int(value, low, high):
        return type(value) is int and low <= value <= high

    path = folder / STATE_FILE
    try:
        state = json.loads(path.read_bytes())
        is_whole = state.pop("checksum") == _checksum(state) and state.keys() == {"step", "settings", "rng"}
        generator, keys, position, has_gauss, gauss = state["rng"]  # numpy does not check the position
        if (
            is_whole
            and is_int(state["step"], 0, 2**53)
            and isinstance(state["settings"], dict)
            and generator == "MT19937"
            and len(keys) == 624
            and all(is_int(key, 0, 2**32 - 1) for key in keys)
            and is_int(position, 0, 624)
            and is_int(has_gauss, 0, 1)
            and isinstance(gauss, float)
            and np.isfinite(gauss)
        ):
            return state
    except (ValueError, AttributeError, TypeError, KeyError, RecursionError):
        pass
    raise ValueError(f"{path} is damaged; if you delete {folder}, training resumes from the checkpoint before it")


def _checksum(state):
    return zlib.crc32(json.dumps(state).encode())


# ------------------------------------------------------------------------------------------------ stopping


class StopRequests:
    """Delay Ctrl-C and SIGTERM until the end of a block; a second one takes effect at once.

    Use it as a context manager. If a signal was received during the block, KeyboardInterrupt (after Ctrl-C) or
    SystemExit (after SIGTERM) is raised at its end.

    Attributes
    ----------
    signal : int or None
        Number of the signal that has been received; None if there was none.
    """

    def __init__(self):
        self.signal = None

    def __enter__(self):
        self._previous = {}
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._previous[number] = signal.signal(number, self._request)
        return self

    def __exit__(self, error_type, *_):
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        if error_type is None and self.signal == signal.SIGINT:
            raise KeyboardInterrupt
        if error_type is None and self.signal is not None:
            sys.exit(128 + self.signal)

    def _request(self, number, _):
        if self.signal is not None:
            raise KeyboardInterrupt
        self.signal = number
