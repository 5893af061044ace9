import re

import numpy as np
import pytest

from rnn_maturation.checks import check_whole_number, quoted


@pytest.mark.parametrize("value", [1, 7, np.int64(3), np.uint8(2)])
def test_a_whole_number_is_returned_as_a_python_int(value):
    number = check_whole_number("n", value)
    assert type(number) is int and number == value


@pytest.mark.parametrize("value", [0, -1, 2.0, 1.5, np.float64(3), True, "3", None, [1], float("nan")])
def test_anything_else_is_named(value):
    with pytest.raises(ValueError, match=re.escape(f"n_jobs is {value!r}: it must be a whole number of at least 1.")):
        check_whole_number("n_jobs", value)


def test_the_smallest_number_can_be_chosen():
    assert check_whole_number("window", 0, at_least=0) == 0
    with pytest.raises(ValueError, match="window is 1: .* of at least 2"):
        check_whole_number("window", 1, at_least=2)


def test_long_values_are_shortened_in_the_middle():
    assert quoted("short") == "'short'"
    assert quoted("x" * 78) == f"'{'x' * 78}'"
    text = quoted(list(range(10_000)))
    assert len(text) <= 80 and text.startswith("[0, 1, 2") and text.endswith("9998, 9999]") and " … " in text
    assert len(quoted("y" * 200, limit=21)) <= 21
    with pytest.raises(ValueError) as error:
        check_whole_number("n", list(range(10_000)))
    assert len(str(error.value)) < 150
