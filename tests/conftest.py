import pytest
from fork_server import Server


@pytest.fixture(scope="session")
def server():
    """Starts training in processes of its own."""
    with Server() as server:
        yield server
