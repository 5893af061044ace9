"""Independent pieces of work on all cores, results in order."""

from concurrent.futures import ThreadPoolExecutor

from threadpoolctl import threadpool_limits
from tqdm import tqdm

from rnn_maturation.cpu import n_cores


def in_order(function, items, description=None):
    """Return the list of function(item), in the order of the items, computed by one thread per core.

    The functions spend their time in TensorFlow, numpy and libsvm, which release Python's lock. Threads therefore
    fill the cores, without the start-up time and the memory of processes.

    Parameters
    ----------
    function : callable
    items : iterable
    description : str, optional
        Shows a progress bar of that name on a terminal.

    Returns
    -------
    list

    Raises
    ------
    Exception
        The first error of the function, as it is. Work that has not begun by then, or by Ctrl-C, is not done.
    """
    items = list(items)
    bar = {"desc": description, "total": len(items), "leave": False, "disable": None if description else True}
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(n_cores()) as pool:
        try:
            return list(tqdm(pool.map(function, items), **bar))
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
