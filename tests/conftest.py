import pytest
from fork_server import Server
from processes import Processes


@pytest.fixture(scope="session")
def server():
    """Starts training in processes of its own."""
    with Server() as server:
        yield server


@pytest.fixture
def processes():
    """Starts processes that end with the test."""
    processes = Processes()
    yield processes
    processes.end()
