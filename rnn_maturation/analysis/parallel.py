"""Run independent computations on all cores, with their results in order."""

from concurrent.futures import ThreadPoolExecutor

from threadpoolctl import threadpool_limits
from tqdm import tqdm

from rnn_maturation.cpu import n_cores


def in_order(function, items, description=None):
    """Return the list of ``function(item)``, in the order of the items, computed by one thread per core.

    The functions spend their time in TensorFlow, numpy and libsvm, which release Python's global interpreter lock.
    Threads therefore use all cores, without the start-up time and the memory of processes.

    Parameters
    ----------
    function : callable
        Function of one item.
    items : iterable
    description : str, optional
        Label of the progress bar that is shown on a terminal. Default: no progress bar.

    Returns
    -------
    list

    Raises
    ------
    Exception
        The error of the first item, in the order of the items, for which `function` fails; it is raised unchanged.
        After an error or Ctrl-C, computations that have not started are canceled.
    """
    items = list(items)
    bar = {"desc": description, "total": len(items), "leave": False, "disable": None if description else True}
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(n_cores()) as pool:
        try:
            return list(tqdm(pool.map(function, items), **bar))
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
