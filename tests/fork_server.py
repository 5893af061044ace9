"""Training in processes of its own, which may be killed: a server that has imported TensorFlow forks one for each job.

Run as a script this is the server, which reads jobs as lines of JSON; `Server` is its client. A process that has not
opened a session yet may be forked; starting Python and importing TensorFlow for each kill would take four times longer.
"""

import itertools
import json
import os
import pkgutil
import runpy
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

TIME_LIMIT = 200  # s; a process that hangs is ended by SIGALRM


class Server:
    """Starts processes that train; use it as a context manager."""

    def __enter__(self):
        # only a process of a single thread forks safely; numpy's threads would be there from the import on
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1]), "OPENBLAS_NUM_THREADS": "1"}
        self._server = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            text=True, env=environment,
        )  # fmt: skip
        return self

    def __exit__(self, *_):
        self._server.stdin.close()
        self._server.wait()
        self._server.stdout.close()

    def start(self, arguments, output, signal_at=None, stderr=None):
        """Start ``train(**arguments)``; the process number.

        Parameters
        ----------
        arguments : dict
        output : Path of the file that takes what is printed; stderr too, unless it is given.
        signal_at : (function, call, delay, signal number), optional
            The process sends itself the signal at this call of a function, named as 'os.replace', before it is made, or
            (delay in s, not None) so long after it has begun.
        """
        job = {
            "train": {key: str(value) if isinstance(value, Path) else value for key, value in arguments.items()},
            "output": str(output), "stderr": str(stderr or output), "signal_at": signal_at,
        }  # fmt: skip
        return self._ask({"start": job})

    def start_script(self, script, options, cwd, output):
        """Start ``python <script> <options>`` in a working directory; the process number."""
        job = {"argv": [str(script), *map(str, options)], "cwd": str(cwd), "output": str(output)}
        return self._ask({"start": job})

    def run_script(self, *args, **kwargs):
        """Start, wait: the exit code."""
        return self.wait(self.start_script(*args, **kwargs))

    def wait(self, process):
        """Exit code of a process, negative for the signal that ended it."""
        return self._ask({"wait": process})

    def run(self, *args, **kwargs):
        """Start, wait: the exit code."""
        return self.wait(self.start(*args, **kwargs))

    def _ask(self, request):
        print(json.dumps(request), file=self._server.stdin, flush=True)
        return json.loads(self._server.stdout.readline())


def _serve():
    import rnn_maturation.train  # noqa: F401  before the forks

    running = set()
    for line in sys.stdin:
        request = json.loads(line)
        if "wait" in request:
            running.discard(request["wait"])
            _, status = os.waitpid(request["wait"], 0)
            answer = os.waitstatus_to_exitcode(status)
        else:
            answer = os.fork()
            if answer == 0:
                _run(**request["start"])
                return
            running.add(answer)
        print(answer, flush=True)
    for process in running:  # of tests that failed before they waited
        os.kill(process, signal.SIGKILL)


def _run(output, stderr=None, train=None, signal_at=None, argv=None, cwd=None):
    """What a forked process does instead of serving on."""
    from rnn_maturation import train as module

    signal.alarm(TIME_LIMIT)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job of a shell is started without one
    for number, path in ((0, os.devnull), (1, output), (2, stderr or output)):
        os.dup2(os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND), number)
    if signal_at is not None:
        _send_signal_at(*signal_at)
    if argv is not None:
        os.chdir(cwd)
        sys.argv = argv
        runpy.run_path(argv[0], run_name="__main__")
        return
    try:
        module.train(**train)
    except KeyboardInterrupt:
        sys.exit(130)


def _send_signal_at(function, call, delay, number):
    owner, name = function.rsplit(".", 1)
    owner = pkgutil.resolve_name(owner)
    original, calls = getattr(owner, name), itertools.count(1)

    def counting(*args, **kwargs):
        if next(calls) == call:
            if delay is None:
                os.kill(os.getpid(), number)
            else:
                threading.Thread(target=later, daemon=True).start()
        return original(*args, **kwargs)

    def later():
        time.sleep(delay)
        os.kill(os.getpid(), number)

    setattr(owner, name, counting)


if __name__ == "__main__":
    _serve()
