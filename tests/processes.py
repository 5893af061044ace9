"""Processes that a test starts: they take Ctrl-C, have a time limit, and end with the test.

A shell lets its background jobs ignore SIGINT, and children inherit that: under `python -m pytest &` a process that
waits for Ctrl-C would wait for ever.
"""

import os
import signal
import subprocess
import threading
from pathlib import Path

ROOT = Path(__file__).parent.parent
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"}
TIME_LIMIT_S = 200


class Processes:
    """Starts processes; `end` ends those that still run."""

    def __init__(self):
        self._started = []

    def start(self, command, limit=TIME_LIMIT_S, **settings):
        """Start a process as `subprocess.Popen` does; it is killed after `limit` seconds."""
        previous = signal.signal(signal.SIGINT, signal.default_int_handler)  # the child begins with the default
        try:
            process = subprocess.Popen(command, **{"env": ENVIRONMENT, **settings})
        finally:
            signal.signal(signal.SIGINT, previous)
        timer = threading.Timer(limit, process.kill)
        timer.daemon = True
        timer.start()
        self._started.append((process, timer))
        return process

    def end(self):
        """Kill what still runs, and close the pipes."""
        for process, timer in self._started:
            timer.cancel()
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout, process.stderr):
                if pipe is not None:
                    pipe.close()
