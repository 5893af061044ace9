"""Processor cores: how many this process may use, and the environment of processes that share them."""

import os

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")

_core_limit = None


def n_cores():
    """Processor cores that this process may use: those the system gives it, no more than `use_cores` said."""
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return available if _core_limit is None else min(available, _core_limit)


def use_cores(limit):
    """Let this process use so many cores at the most; None: all it gets."""
    global _core_limit
    _core_limit = limit


def thread_environment(threads):
    """Environment of a process that is to use so many threads, and to keep quiet about TensorFlow's start."""
    return {"TF_CPP_MIN_LOG_LEVEL": "3", **os.environ, **{name: str(threads) for name in THREAD_VARIABLES}}
