"""Train one run of a sweep in a process of its own: python -m rnn_maturation.sweep.single_run <task as JSON>.

`runs.train_in_process` starts this process and waits for it. The JSON text is the argument `task` of that function.
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

POLL_S = 0.5  # time between two checks whether the model directory is free


def main():
    """Train the run that the argument describes, send the reason of its end to the parent, and return the exit code."""
    # Shells start background jobs with signals ignored, and child processes inherit this: restore the default handlers.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # Standard output is a pipe to the parent. It is kept for the reason of the end, because the last line of the log
    # file may come from another process. From here on, printed text goes to the log file, as errors already do.
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
    """Train and return how the training ended (a key of EXIT_CODES), and why."""
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
    """Train the run; wait while its model directory is in use, because a process that has lost its parent ends soon."""
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
