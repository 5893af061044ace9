"""Processor cores: how many this process may use, and the environment of processes that share them."""

import os

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")

_core_limit = None


def n_cores():
    """Return how many cores this process may use: all that the system gives it, or fewer after `use_cores`."""
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return available if _core_limit is None else min(available, _core_limit)


def use_cores(limit):
    """Limit the processor cores that this process uses.

    Parameters
    ----------
    limit : int or None
        Maximum number of cores. With None, all cores that the system gives to this process are used.
    """
    global _core_limit
    _core_limit = limit


def thread_environment(threads):
    """Return environment variables for a process whose numerical libraries will use `threads` threads.

    Parameters
    ----------
    threads : int

    Returns
    -------
    dict
        The environment of this process with the thread variables set.
    """
    return {**os.environ, **{name: str(threads) for name in THREAD_VARIABLES}}
