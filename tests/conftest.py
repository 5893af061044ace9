import pytest
from fork_server import Server
from processes import Processes

pytest.register_assert_rewrite("small_networks", "training_runs")


@pytest.fixture(scope="session")
def server():
    """Start training in processes of its own."""
    with Server() as server:
        yield server


@pytest.fixture
def processes():
    """Starts processes that end with the test."""
    processes = Processes()
    yield processes
    processes.end()


@pytest.fixture(scope="session")
def whole(tmp_path_factory):
    """Return a run that was never interrupted, to the end of max_steps; copy it before you change it."""
    from training_runs import SETTINGS, STEPS

    from rnn_maturation.train import train

    directory = tmp_path_factory.mktemp("whole") / "run"
    train(directory, max_steps=STEPS, **SETTINGS)
    return directory
