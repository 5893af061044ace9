import pytest
from fork_server import Server
from processes import Processes

pytest.register_assert_rewrite("small_networks", "training_runs")

QUICK_FILES = {  # of `python -m pytest -m quick`: a minute that tells whether an installation computes what it should
    "test_main_module.py", "test_pretrained.py", "test_task.py", "test_stages.py", "test_hyperparameters.py",
    "test_recurrence.py", "test_selectivity.py", "test_psth.py", "test_decoding.py", "test_dpca.py",
}  # fmt: skip


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Mark the tests of `QUICK_FILES`."""
    for item in items:
        if item.path.name in QUICK_FILES:
            item.add_marker(pytest.mark.quick)


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
