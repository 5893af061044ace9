"""Run many pieces of work, on the cores of this machine or on the workers of a Dask cluster.

`LocalJobs` and `ClusterJobs` have the same methods. `submit` takes a function and its arguments (paths, numbers,
strings, and containers of them) and returns a future.
"""

import importlib
import multiprocessing
import os
import signal
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, ThreadPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool

from rnn_maturation.checks import check_whole_number
from rnn_maturation.cpu import thread_environment, use_cores

CONNECT_S = 30  # s within which a scheduler must answer
N_RESUBMISSIONS = 20  # maximum number of times that a piece of work is started again because its worker was lost
LOST_SCHEDULER = "the connection to the scheduler was lost; give the same command again to do the rest"
LOST_PROCESS = (
    "its process was ended from outside, perhaps because memory was full: use fewer parallel jobs (--jobs) or workers "
    "per machine, and give the same command again to do the rest"
)


class LocalJobs:
    """Run pieces of work in parallel on this machine.

    Parameters
    ----------
    n_jobs : int
        Maximum number of pieces at the same time.
    in_processes : bool
        If True, each piece runs in a process of a pool, on one core. If False, it runs in a thread; this is for work
        that starts its own processes.
    """

    def __init__(self, n_jobs, in_processes=False):
        check_whole_number("jobs", n_jobs)
        self.description = f"{n_jobs} at a time on this machine"
        if in_processes:
            os.environ.update(thread_environment(1))  # the pool's processes inherit it
            spawn = multiprocessing.get_context("spawn")
            self._pool = ProcessPoolExecutor(n_jobs, mp_context=spawn, initializer=_begin_pool_process)
        else:
            self._pool = ThreadPoolExecutor(n_jobs)

    def submit(self, function, *arguments):
        """Call function(*arguments) as soon as fewer than `n_jobs` pieces run; return its future."""
        return self._pool.submit(function, *arguments)

    def everywhere(self, function, *arguments):
        """Call function(*arguments) in this process and return the result in a list."""
        return [function(*arguments)]

    def has_lost_worker(self, error):
        """Return False: on this machine, work that was lost is not started again."""
        return False

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._pool.shutdown(cancel_futures=True)


def _begin_pool_process():
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent ends the pool
    use_cores(1)


class ClusterJobs:
    """Run pieces of work on a Dask cluster that the user has started.

    Parameters
    ----------
    address : str
        Address of the scheduler, like tcp://host:8786.

    Raises
    ------
    ValueError
        If Dask is not installed, if no scheduler answers, or if the scheduler or a worker cannot import this package.
    """

    def __init__(self, address):
        try:
            from distributed import Client, KilledWorker
            from distributed.comm.addressing import parse_address, parse_host_port
        except ImportError as error:
            raise ValueError("--scheduler needs dask.distributed: pip install -r requirements-cluster.txt") from error
        try:
            parse_host_port(parse_address(address)[1])  # a client with a wrong address would never end
            self._client = Client(address, timeout=CONNECT_S, set_as_default=False)
        except (OSError, ValueError) as error:
            raise ValueError(
                f"no Dask scheduler answers at {address} ({error}): start `dask scheduler`, and give its address like "
                "tcp://host:8786"
            ) from error
        try:  # the scheduler and the workers need the functions of this package
            self._client.run_on_scheduler(importlib.import_module, __package__)
            self._client.run(importlib.import_module, __package__)
        except ImportError as error:
            self._client.close()
            raise ValueError(
                f"the Dask scheduler at {address} or one of its workers cannot import {__package__} ({error}): run "
                "`pip install .` in their environment, or start them with PYTHONPATH set to this folder"
            ) from error
        self._lost = KilledWorker
        self._pool = self._client.get_executor(pure=False)
        self.description = f"on the workers of {address} (dashboard: {self._client.dashboard_link})"

    def submit(self, function, *arguments):
        """Call function(*arguments) on a worker that is free; return its future."""
        return self._pool.submit(function, *arguments)

    def everywhere(self, function, *arguments):
        """Call function(*arguments) on each worker; return the results as a list, empty if the scheduler is lost."""
        try:
            return list(self._client.run(function, *arguments, on_error="ignore").values())
        except OSError:  # the scheduler is lost
            return []

    def has_lost_worker(self, error):
        """Return whether an error means that the workers of a piece of work were lost, so that it can start again."""
        return isinstance(error, self._lost)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._pool.shutdown(wait=False)
        self._client.close()


class Batch:
    """Submit pieces of work together and collect their results as they come.

    Parameters
    ----------
    where : LocalJobs or ClusterJobs
    function : callable
    arguments : {name: tuple}
        Arguments of each piece of work, by its name.
    """

    def __init__(self, where, function, arguments):
        self._where, self._function, self._arguments = where, function, arguments
        self._resubmissions = dict.fromkeys(arguments, N_RESUBMISSIONS)
        self._pending = {}
        for name in arguments:
            self._submit(name)

    def _submit(self, name):
        try:
            future = self._where.submit(self._function, *self._arguments[name])
        except BrokenProcessPool as error:
            future = Future()
            future.set_exception(error)
        self._pending[future] = name

    @property
    def unfinished(self):
        """Return the names of the pieces whose results have not been taken."""
        return list(self._pending.values())

    def results(self, timeout=None):
        """Return the pieces that have ended; wait for one if there is none yet.

        A piece that lost its worker is started again, up to `N_RESUBMISSIONS` times, and is not returned. If it loses
        its worker more often, if a process was ended from outside, or if the scheduler is lost, the piece is returned
        with an OSError that says what to do.

        Parameters
        ----------
        timeout : float, optional
            Wait no longer than this (s).

        Returns
        -------
        list of (name, result, error)
            The error is None if the piece succeeded; otherwise the result is None.
        """
        ended = []
        for future in wait(self._pending, timeout, FIRST_COMPLETED).done:
            name = self._pending.pop(future)
            error = OSError(LOST_SCHEDULER) if future.cancelled() else future.exception()
            has_lost_worker = error is not None and self._where.has_lost_worker(error)
            if has_lost_worker and self._resubmissions[name]:
                self._resubmissions[name] -= 1
                self._submit(name)
            elif has_lost_worker or isinstance(error, BrokenProcessPool):
                ended.append((name, None, OSError(LOST_PROCESS)))
            else:
                ended.append((name, None if error else future.result(), error))
        return ended


def connect(n_jobs, scheduler=None, in_processes=False):
    """Return `ClusterJobs` if the address of a scheduler is given, else `LocalJobs`."""
    return ClusterJobs(scheduler) if scheduler else LocalJobs(n_jobs, in_processes)
