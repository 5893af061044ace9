"""Check single arguments, and quote wrong values in error messages; all modules use these functions."""

import functools
import inspect
import numbers
import os
from collections.abc import Mapping


def quoted(value, limit=80):
    """Return a value as an error message quotes it: its repr, cut after `limit` characters.

    Parameters
    ----------
    value : object
        Any object, for example a whole log or array that was given by mistake.
    limit : int
        Maximum number of characters.

    Returns
    -------
    str
    """
    text = repr(value)
    return text if len(text) <= limit else text[: limit - 1] + "…"


def check_whole_number(name, value, at_least=1, floats=False):
    """Return a whole number as an int.

    Parameters
    ----------
    name : str
        What the number is called in the error.
    value : object
        Integers of numpy are accepted, booleans are not.
    at_least : int
        Smallest number that is accepted.
    floats : bool
        Whether floats without a fraction, such as 1e7, are accepted too.

    Returns
    -------
    int

    Raises
    ------
    ValueError
        If `value` is not a whole number of at least `at_least`.
    """
    kind = numbers.Real if floats else numbers.Integral
    is_whole = isinstance(value, kind) and not isinstance(value, bool) and value % 1 == 0
    if not is_whole or value < at_least:
        raise ValueError(f"{name} must be a whole number of at least {at_least}, not {quoted(value)}.")
    return int(value)


def check_path(name, value):
    """Raise an error if an argument is not the path of a file or folder but, for example, a log or an hp.

    Raises
    ------
    ValueError
        If `value` is neither a string nor a path. The message names the argument.
    """
    if not isinstance(value, str | os.PathLike):
        raise ValueError(f"{name} must be a path, not {quoted(value)}: check the order of the arguments.")


def checks_run_arguments(function):
    """Decorate an analysis so that it names hp, log, model_dir or rule if one is given in the place of another."""
    signature = inspect.signature(function)
    expected = {
        "hp": ("the hyper-parameters from load_hp", lambda value: isinstance(value, Mapping) and "trials" not in value),
        # gen_task_info does not use its log, so None is enough
        "log": (
            "the log from load_log",
            lambda value: value is None or isinstance(value, Mapping) and "trials" in value,
        ),
        "model_dir": ("the path of a model directory", lambda value: isinstance(value, str | os.PathLike)),
        "rule": ("the name of a rule", lambda value: isinstance(value, str)),
    }
    of_function = {name: expected[name] for name in signature.parameters if name in expected}

    @functools.wraps(function)
    def checked(*args, **kwargs):
        arguments = signature.bind_partial(*args, **kwargs).arguments
        for name, (wanted, is_right) in of_function.items():
            if name in arguments and not is_right(arguments[name]):
                call = f"{function.__name__}({', '.join(signature.parameters)})"
                raise ValueError(f"{name} must be {wanted}, not {quoted(arguments[name])}. The arguments are {call}.")
        return function(*args, **kwargs)

    return checked
