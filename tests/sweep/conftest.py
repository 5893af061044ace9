import contextlib
import os
import signal

import pytest
from dask_cluster import Cluster
from small_runs import processes_of


@pytest.fixture(autouse=True)
def no_training_is_left(tmp_path):
    """End the training processes of a test that failed."""
    yield
    for number in processes_of(tmp_path):
        with contextlib.suppress(ProcessLookupError):
            os.kill(number, signal.SIGKILL)


@pytest.fixture(scope="session")
def cluster(tmp_path_factory):
    pytest.importorskip("distributed")
    with contextlib.closing(Cluster(tmp_path_factory.mktemp("cluster"))) as cluster:
        yield cluster
