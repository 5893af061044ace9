"""One training run in a process of its own, with its own threads and its own log file.

The process is told what to train in its arguments. When its standard input ends, because its parent says so or is no
more, it saves the run and ends: so no run goes on that nobody waits for, on whatever machine.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from rnn_maturation.cpu import thread_environment
from rnn_maturation.model_directory import ModelDirectoryInUse, refuse_link

LOG_FILE = "training.log"  # in the model directory: what the run prints
# how a run ended, and the process's exit code that says so; running: another process trains it
EXIT_CODES = {"trained": 0, "limit": 10, "diverged": 11, "refused": 12, "failed": 13, "running": 14}
STATES = {code: state for state, code in EXIT_CODES.items()}
STOPPED_CODES = {128 + signal.SIGTERM, -signal.SIGTERM}
POLL_S = 0.5  # between two looks whether a model directory is free

_running = {}  # the processes that this one has started, {process: name of the sweep}
_stopped_sweeps = set()
_lock = threading.Lock()


# ---------------------------------------------------------------------------------------------------- in the parent


def train_in_process(sweep, task):
    """Train a run in a new process and wait for its end.

    Parameters
    ----------
    sweep : str
        Name by which `stop` knows the process.
    task : dict
        model_dir, max_trials, patience (s to wait for a model directory that is in use), and the arguments of
        `train.train` hp, ruleset, rule_trains, seed, display_step, threads, slim.

    Returns
    -------
    state : {'trained', 'limit', 'diverged', 'refused', 'failed', 'running', 'stopped', 'waiting'}
        'running': another process trains it. 'waiting': the sweep was stopped before it began.
    message : str
        Why, where that is not plain.

    Raises
    ------
    ValueError, OSError
        If the log file is a link or cannot be written.
    """
    model_dir = Path(task["model_dir"])
    if sweep in _stopped_sweeps:
        return "waiting", "not begun"
    model_dir.mkdir(parents=True, exist_ok=True)
    refuse_link(model_dir / LOG_FILE)
    with open(model_dir / LOG_FILE, "ab", opener=_open_no_link) as log_file:
        process = _start(sweep, task, log_file)
    with process.stdout:
        message = process.stdout.read().decode(errors="replace")
    code = process.wait()
    with _lock:
        del _running[process]
        process.stdin.close()
        is_told_to_stop = sweep in _stopped_sweeps
    if code in STATES:
        return STATES[code], message
    if code in STOPPED_CODES or is_told_to_stop:
        return "stopped", "the same command goes on with it"
    return "failed", f"ended with code {code}; see {model_dir / LOG_FILE}"


def _open_no_link(path, flags):
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0), 0o666)


def _start(sweep, task, log_file):
    package_root = str(Path(__file__).parents[1])
    environment = thread_environment(task["threads"])
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [package_root, os.environ.get("PYTHONPATH")]))
    with _lock:
        process = subprocess.Popen(
            [sys.executable, "-u", "-m", "rnn_maturation.training_process", json.dumps(task)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,  # for its last message only, see _take_pipe
            stderr=log_file,
            env=environment,
            start_new_session=True,  # Ctrl-C is for the parent, which tells its processes in its own way
        )
        _running[process] = sweep
        if sweep in _stopped_sweeps:  # in this very moment
            process.stdin.close()
    return process


def stop(sweep):
    """Tell the processes of a sweep to save and end, and begin no more of them; the number that still run."""
    with _lock:
        _stopped_sweeps.add(sweep)
        processes = [process for process, its in _running.items() if its == sweep]
        for process in processes:
            process.stdin.close()
    return len(processes)


def kill(sweep):
    """End the processes of a sweep at once; what they saved last is kept."""
    stop(sweep)
    with _lock:
        for process, its in _running.items():
            if its == sweep:
                process.kill()


# ----------------------------------------------------------------------------------------------------- in the process


def main():
    """Train what the arguments say; the exit code says how it ended, and the pipe to the parent why."""
    pipe = _take_pipe()
    threading.Thread(target=_stop_at_end_of_input, daemon=True).start()
    state, message = _train(json.loads(sys.argv[1]))
    with contextlib.suppress(OSError), pipe:  # the parent may be no more
        pipe.write(str(message).encode(errors="replace"))
    return EXIT_CODES[state]


def _take_pipe():
    """The pipe to the parent that our output was; from now on all output goes where errors go, to the log file.

    Another process may write to the same log file, so that its last line need not be ours.
    """
    pipe = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return pipe


def _train(task):
    """How the training ended, and why."""
    from rnn_maturation.train import TrainingDiverged

    try:
        log = _train_when_free(task)
    except ModelDirectoryInUse as error:
        return "running", error  # not in the log file, which is that process's
    except TrainingDiverged as error:
        return _logged("diverged", error)
    except ValueError as error:
        return _logged("refused", str(error).replace("--overwrite (overwrite=True)", "delete this directory"))
    except OSError as error:
        return _logged("failed", error)
    if log["perf_min"][-1] > task["hp"]["target_perf"]:
        return "trained", ""
    return "limit", f"given up at its limit, {task['max_trials']} trials; a larger --max_trials goes on with it"


def _logged(state, error):
    print(error)
    return state, error


def _stop_at_end_of_input():
    while os.read(sys.stdin.fileno(), 1):
        pass
    signal.raise_signal(signal.SIGTERM)


def _train_when_free(task):
    """Train; when the model directory is in use, wait: a process that lost its parent ends soon."""
    from rnn_maturation.train import train

    arguments = {key: value for key, value in task.items() if key not in ("max_trials", "patience")}
    batch_size = task["hp"].get("batch_size_train", 64)
    end = time.monotonic() + task["patience"]
    while True:
        try:
            return train(**arguments, max_steps=max(1, task["max_trials"] // batch_size))
        except ModelDirectoryInUse:
            if time.monotonic() > end:
                raise
            time.sleep(POLL_S)


if __name__ == "__main__":
    sys.exit(main())
