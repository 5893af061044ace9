"""The process that trains one run of a sweep: python -m rnn_maturation.sweep.single_run <task as JSON>.

`runs.train_in_process` starts it and waits for it.
"""

import contextlib
import json
import os
import signal
import sys
import threading
import time

from rnn_maturation.files import ModelDirectoryInUse
from rnn_maturation.sweep.runs import EXIT_CODES

POLL_S = 0.5  # s between two checks whether the model directory is free


def main():
    """Train the run that the arguments describe, tell the parent why it ended, and return the exit code for how."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # the parent may have been started with these ignored, as shells do
    signal.signal(signal.SIGINT, signal.default_int_handler)  # with background jobs, and this process inherits that
    # Standard output is a pipe to the parent. It is kept for the reason of the end, because another process may have
    # written the last line of the log file. From now on all printed text goes to the log file, as errors do.
    pipe = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    threading.Thread(target=_stop_at_end_of_input, daemon=True).start()
    state, message = _train(json.loads(sys.argv[1]))
    with contextlib.suppress(OSError), pipe:  # the parent may have ended
        pipe.write(str(message).encode(errors="replace"))
    return EXIT_CODES[state]


def _stop_at_end_of_input():
    while os.read(sys.stdin.fileno(), 1):
        pass
    signal.raise_signal(signal.SIGTERM)


def _train(task):
    """Return how the training ended, and why."""
    from rnn_maturation.train import TrainingDiverged

    try:
        log = _train_when_free(task)
    except ModelDirectoryInUse as error:
        return "running", error  # not in the log file, which the other process writes
    except (TrainingDiverged, ValueError, OSError) as error:
        message = str(error).replace("begin again with --overwrite (overwrite=True)", "delete this folder")
        print(message)
        if isinstance(error, TrainingDiverged):
            return "diverged", message
        return "refused" if isinstance(error, ValueError) else "failed", message
    if log["perf_min"][-1] > task["hp"]["target_perf"]:
        return "trained", ""
    return "limit", f"reached its maximum of {task['max_trials']} trials; to continue it, give a larger --max_trials"


def _train_when_free(task):
    """Train; if the model directory is in use, wait, because a process that has lost its parent ends soon."""
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
