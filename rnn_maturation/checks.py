"""Checks of arguments that more than one module needs, and how a value is quoted in a message."""

import numpy as np


def quoted(value, limit=80):
    """Return the text of a value for an error message, shortened in its middle to `limit` characters.

    Parameters
    ----------
    value : object
    limit : int
        Largest number of characters.

    Returns
    -------
    str
    """
    text = repr(value)
    if len(text) <= limit:
        return text
    half = (limit - 3) // 2
    return f"{text[:half]} … {text[len(text) - half :]}"


def check_whole_number(name, value, at_least=1):
    """Return a whole number as a Python int, or raise an error that names it.

    Parameters
    ----------
    name : str
        What the message calls the value.
    value : int or numpy integer
    at_least : int
        Smallest value that is allowed.

    Returns
    -------
    int

    Raises
    ------
    ValueError
        If the value is not a whole number (a bool is none) or is too small.
    """
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < at_least:
        raise ValueError(f"{name} is {quoted(value)}: it must be a whole number of at least {at_least}.")
    return int(value)
