"""Independent pieces of work on all cores, results in order."""

from concurrent.futures import ThreadPoolExecutor

from threadpoolctl import threadpool_limits
from tqdm import tqdm

from rnn_maturation.cpu import n_cores


def in_order(function, items, description=None):
    """Yield function(item) for each item, in order, computed by one thread a core.

    The work behind it (TensorFlow, numpy, libsvm) runs outside Python's lock, so threads fill the cores without the
    start-up time and memory of processes. At most two results a core wait to be taken, so memory does not grow.
    A bar is shown on a terminal when `description` is given. The first error stops the work and is raised as it is.
    """
    items = list(items)
    workers = n_cores()
    progress = tqdm(total=len(items), desc=description, leave=False, disable=None if description else True)
    with progress, threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(workers) as pool:
        waiting = []
        try:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) > 2 * workers:
                    yield waiting.pop(0).result()
                    progress.update()
            while waiting:
                yield waiting.pop(0).result()
                progress.update()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
