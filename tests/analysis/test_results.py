import copy
import pickle

import numpy as np
import pandas as pd
import pytest

from rnn_maturation.analysis.overview import GrowthOfPerformance
from rnn_maturation.analysis.psth import EpochGrowth, EpochTTests, PSTHResult
from rnn_maturation.analysis.results import Result

STAGES = {"early": {"PSTH": np.arange(4.0), "growth": 0.4, "n_num": 3.0}}
EPOCHS = {"fix1": (None, 2), "stim1": (2, 3), "go1": (3, None)}


def test_a_mapping_result_is_used_as_the_dict_that_the_original_returned():
    result = PSTHResult(STAGES, EPOCHS, 20)
    assert list(result) == list(result.keys()) == ["early"] and len(result) == 1 and "early" in result
    assert next(iter(result.values())) is STAGES["early"] and dict(result.items()) == {**result} == STAGES
    assert result.get("mid") is None and result["early"]["growth"] == 0.4
    with pytest.raises(KeyError):
        result["mid"]
    ranges = {"odr": {"mid": [1, 2]}}
    assert GrowthOfPerformance(ranges, np.array([1, 2]), {}, {}) == ranges


def test_a_table_result_is_used_as_a_dataframe():
    table = pd.DataFrame({"trial": [0, 20], "mean_activity": [1.0, np.nan], "stage": ["early", None]})
    result = EpochGrowth(table)
    assert list(result) == list(result.columns) == list(table) and len(result) == result.shape[0] == 2
    assert result["trial"].tolist() == [0, 20] and result.loc[1, "trial"] == result.iloc[1]["trial"] == 20
    assert isinstance(result.values, np.ndarray) and result.values[0, 1] == 1.0
    np.testing.assert_array_equal(np.asarray(EpochGrowth(table[["trial"]]), float), [[0], [20]])
    p = EpochTTests(pd.DataFrame([[1.0, 0.01], [0.01, 1.0]], [0, 20], [0, 20]), {})
    for computed, wanted in (
        (p < 0.05, p.data < 0.05),
        (1 - p, 1 - p.data),
        (np.log(p), np.log(p.data)),
        (p == p, p.data == p.data),
    ):
        pd.testing.assert_frame_equal(computed, wanted)
    changed = result.to_frame()
    changed["trial"] = 0
    assert result["trial"].tolist() == [0, 20] and repr(result) == repr(table)
    with pytest.raises(AttributeError):
        print(result.no_such_column)


def test_results_are_frozen_copied_and_pickled():
    table = EpochGrowth(pd.DataFrame({"trial": [0], "mean_activity": [1.0], "stage": ["mid"]}), False, "title")
    for result in (table, PSTHResult(STAGES, EPOCHS, 20, title="title")):
        with pytest.raises(AttributeError):
            result.title = "another"
        for again in (copy.deepcopy(result), pickle.loads(pickle.dumps(result))):
            assert type(again) is type(result) and again.title == "title"
            pd.testing.assert_frame_equal(again.to_frame(), result.to_frame())


def test_a_notebook_shows_the_figure_and_prints_no_arrays():
    result = PSTHResult(STAGES, EPOCHS, 20)
    assert result._repr_png_().startswith(b"\x89PNG")
    assert repr(result) == "PSTHResult of 'early'"


def test_the_base_promises_a_table_and_a_figure():
    for method in (Result().to_frame, Result().plot):
        with pytest.raises(NotImplementedError):
            method()
