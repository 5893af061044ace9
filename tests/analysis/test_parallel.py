import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from rnn_maturation.analysis.parallel import in_order


def test_results_come_in_order_whatever_takes_longest():
    def work(i):
        time.sleep(0.02 if i % 3 == 0 else 0)
        return i * i

    assert in_order(work, range(10)) == [i * i for i in range(10)]
    assert in_order(work, []) == []


def test_errors_are_raised_as_they_are_and_stop_the_work():
    done = []

    def work(i):
        done.append(i)
        time.sleep(0.002)
        if i == 3:
            raise ValueError("checkpoint 3 is damaged")

    with pytest.raises(ValueError, match="checkpoint 3 is damaged"):
        in_order(work, range(1000))
    n_threads = threading.active_count()
    assert len(done) < 1000
    time.sleep(0.05)
    assert threading.active_count() <= n_threads


def test_control_c_leaves_the_rest_undone():
    """SIGINT, as a terminal sends it, in a process of its own with the default handler."""
    code = """
import signal, time
signal.signal(signal.SIGINT, signal.default_int_handler)
from rnn_maturation.analysis.parallel import in_order

def work(i):
    print(i, flush=True)
    time.sleep(0.2)

try:
    in_order(work, range(500))
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""
    root = Path(__file__).parents[2]
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=root)
    try:
        child.stdout.readline()
        child.send_signal(signal.SIGINT)
        out, _ = child.communicate(timeout=20)
    finally:
        child.kill()
    assert out.splitlines()[-1] == "interrupted" and len(out.splitlines()) < 50
