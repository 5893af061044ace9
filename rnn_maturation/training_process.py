"""One training run in a process of its own, with its own threads and its own log file.

The process is told what to train in its arguments. When its standard input ends, because its parent says so or is no
more, it saves the run and ends: so no run goes on that nobody waits for, on whatever machine.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from rnn_maturation.jobs import thread_environment

LOG_FILE = "training.log"  # in the model directory: what the run prints
# how a run ended, and the process's exit code that says so
EXIT_CODES = {"trained": 0, "limit": 10, "diverged": 11, "refused": 12, "failed": 13}
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
    state : {'trained', 'limit', 'diverged', 'refused', 'failed', 'stopped', 'waiting'}
        'waiting': the sweep was stopped before it began.
    message : str
        The last line of its log file.
    """
    model_dir = Path(task["model_dir"])
    if sweep in _stopped_sweeps:
        return "waiting", "not begun"
    model_dir.mkdir(parents=True, exist_ok=True)
    with open(model_dir / LOG_FILE, "ab") as log_file:
        process = _start(sweep, task, log_file)
    code = process.wait()
    with _lock:
        del _running[process]
        process.stdin.close()
        is_told_to_stop = sweep in _stopped_sweeps
    if code in STATES:
        return STATES[code], _last_line(model_dir / LOG_FILE)
    if code in STOPPED_CODES or is_told_to_stop:
        return "stopped", "the same command goes on with it"
    return "failed", f"ended with code {code}; see {model_dir / LOG_FILE}"


def _start(sweep, task, log_file):
    package_root = str(Path(__file__).parents[1])
    environment = thread_environment(task["threads"])
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [package_root, os.environ.get("PYTHONPATH")]))
    with _lock:
        process = subprocess.Popen(
            [sys.executable, "-u", "-m", "rnn_maturation.training_process", json.dumps(task)],
            stdin=subprocess.PIPE,
            stdout=log_file,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,  # Ctrl-C is for the parent, which tells its processes in its own way
        )
        _running[process] = sweep
        if sweep in _stopped_sweeps:  # in this very moment
            process.stdin.close()
    return process


def _last_line(path):
    lines = path.read_bytes()[-4000:].decode(errors="replace").splitlines()
    return next((line.strip() for line in reversed(lines) if line.strip()), "")


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
    """Train what the arguments say; the exit code says how it ended."""
    threading.Thread(target=_stop_at_end_of_input, daemon=True).start()
    task = json.loads(sys.argv[1])
    from rnn_maturation.model_directory import ModelDirectoryInUse
    from rnn_maturation.train import TrainingDiverged

    try:
        log = _train_when_free(task)
    except TrainingDiverged as error:
        return _end("diverged", error)
    except (ValueError, ModelDirectoryInUse) as error:
        return _end("refused", error)
    except OSError as error:
        return _end("failed", error)
    return EXIT_CODES["trained" if log["perf_min"][-1] > task["hp"]["target_perf"] else "limit"]


def _end(state, error):
    print(error)
    return EXIT_CODES[state]


def _stop_at_end_of_input():
    while os.read(sys.stdin.fileno(), 1):
        pass
    signal.raise_signal(signal.SIGTERM)


def _train_when_free(task):
    """Train; when the model directory is in use, wait: a process that lost its parent ends soon."""
    from rnn_maturation.model_directory import ModelDirectoryInUse
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
