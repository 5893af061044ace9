import pytest
from threadpoolctl import threadpool_limits


@pytest.fixture(autouse=True, scope="package")
def one_thread():
    """Matrix products of this size are slower when they are shared out among busy cores."""
    with threadpool_limits(1, user_api="blas"):
        yield
