import inspect

import numpy as np
import pytest

from rnn_maturation import analysis
from rnn_maturation.checks import check_path, check_whole_number, checks_run_arguments, quoted

CHECKED = {  # analyses of a run
    name: function
    for name in analysis.__all__
    if {"hp", "model_dir"} & {*inspect.signature(function := getattr(analysis, name)).parameters}
    and name not in ("reproduction_report", "kept_to_disk", "nearest_to_target")  # one path, or no analysis
}


def test_short_values_are_quoted_whole():
    assert quoted("n_rnn") == "'n_rnn'" and quoted(None) == "None" and quoted([1, 2]) == "[1, 2]"
    assert quoted("x" * 78) == repr("x" * 78)


def test_long_values_are_cut():
    log = {"trials": list(range(10_000))}
    assert quoted(log) == repr(log)[:79] + "…"
    assert len(quoted("x" * 79)) == 80 and len(quoted(log, limit=20)) == 20


@pytest.mark.parametrize("value", [1, 7, np.int64(3), np.uint8(3), np.int32(1)])
def test_whole_numbers_become_python_integers(value):
    number = check_whole_number("n", value)
    assert number == value and type(number) is int


def test_the_smallest_number_may_be_another():
    assert check_whole_number("n", 0, at_least=0) == 0 and check_whole_number("n", -3, at_least=-3) == -3
    with pytest.raises(ValueError, match="^n must be a whole number of at least 5, not 4.$"):
        check_whole_number("n", 4, at_least=5)


WRONG = [0, -1, True, np.True_, 2.0, 1.5, "3", None, [1], np.array([1]), {"trials": [0] * 999}]


@pytest.mark.parametrize("value", WRONG)
def test_anything_else_is_an_error_that_names_it(value):
    with pytest.raises(ValueError, match="^threads must be a whole number of at least 1, not ") as error:
        check_whole_number("threads", value)
    assert len(str(error.value)) < 150


@pytest.mark.parametrize("value, number", [(1e7, 10_000_000), (np.float64(3), 3), (5, 5)])
def test_whole_floats_are_accepted_where_asked_for(value, number):
    accepted = check_whole_number("max_steps", value, floats=True)
    assert accepted == number and type(accepted) is int


@pytest.mark.parametrize("value", [1.5, float("nan"), float("inf"), True, "1e7", 0.0, 1 + 2j])
def test_other_floats_are_not(value):
    with pytest.raises(ValueError, match="max_steps must be a whole number"):
        check_whole_number("max_steps", value, floats=True)


def test_paths(tmp_path):
    check_path("model_dir", "data/6tasks")
    check_path("model_dir", tmp_path)
    for wrong in (None, 3, {"trials": [0] * 999}, ["data"]):
        with pytest.raises(ValueError, match="^model_dir must be a path, not .*order of the arguments") as error:
            check_path("model_dir", wrong)
        assert len(str(error.value)) < 200


def test_arguments_of_an_analysis_in_the_wrong_order_are_named_and_cut():
    hp, log, folder = {"dt": 20}, {"trials": list(range(9999))}, "data/6tasks"

    @checks_run_arguments
    def example(hp, log, model_dir, rule, epoch="delay1"):
        return hp, log, model_dir, rule, epoch

    assert example(hp, log, folder, rule="odr") == (hp, log, folder, "odr", "delay1")
    for wrong, name in (
        ((log, hp, folder, "odr"), "hp must be the hyper-parameters"),
        ((hp, folder, log, "odr"), "log must be the log"),
        ((hp, log, "odr", 435200), "rule must be the name of a rule, not 435200"),
        ((hp, log, None, "odr"), "model_dir must be the path of a model directory, not None"),
    ):
        with pytest.raises(ValueError, match=f"^{name}.*example.hp, log, model_dir, rule, epoch") as error:
            example(*wrong)
        assert len(str(error.value)) < 250
    with pytest.raises(TypeError, match="example.* missing 1 required positional argument: 'rule'"):
        example(hp, log, folder)


@pytest.mark.parametrize("name", CHECKED)
def test_every_analysis_of_a_run_checks_them(name):
    swapped = {"hp": {"trials": [0] * 9999}, "log": {"dt": 20}, "model_dir": {"trials": [0] * 9999}}
    parameters = inspect.signature(CHECKED[name]).parameters.values()
    required = [parameter.name for parameter in parameters if parameter.default is inspect.Parameter.empty]
    with pytest.raises(ValueError, match=r"(hp|log|model_dir) must be .* The arguments are ") as error:
        CHECKED[name](**{key: swapped.get(key, "odr") for key in required})
    assert len(str(error.value)) < 600
