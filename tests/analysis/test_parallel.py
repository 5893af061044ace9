import threading
import time

import pytest

from rnn_maturation.analysis.parallel import in_order


def test_results_come_in_order_whatever_takes_longest():
    def work(i):
        time.sleep(0.02 if i % 3 == 0 else 0)
        return i * i

    assert list(in_order(work, range(10))) == [i * i for i in range(10)]
    assert list(in_order(work, [])) == []


def test_few_results_wait_to_be_taken():
    done = []
    results = in_order(lambda i: done.append(i), range(100))
    next(results)
    time.sleep(0.1)
    assert len(done) < 50
    results.close()
    time.sleep(0.1)
    assert len(done) < 50


def test_errors_are_raised_as_they_are_and_stop_the_work():
    done = []

    def work(i):
        done.append(i)
        if i == 3:
            raise ValueError("checkpoint 3 is damaged")

    with pytest.raises(ValueError, match="checkpoint 3 is damaged"):
        list(in_order(work, range(1000)))
    n_threads = threading.active_count()
    assert len(done) < 1000
    time.sleep(0.05)
    assert threading.active_count() <= n_threads
