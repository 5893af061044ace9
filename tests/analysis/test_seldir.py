from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from rnn_maturation.analysis import seldir_analysis
from rnn_maturation.analysis.seldir import compute_shared_units, count_shared
from rnn_maturation.model_directory import load_pickle, neuron_info_file

TYPES = ("exh_neurons", "mix_neurons")


def test_shared_units_are_counted():
    first = np.array([1, 3, 5, 7]), np.array([0, 2, 4, 6])
    second = np.array([3, 5, 6, 7]), np.array([2, 5, 1, 6])
    assert count_shared(first, second) == (3, 2, 1)
    assert count_shared(first, (np.array([], int), np.array([], int))) == (0, 0, 0)


def test_table_and_files(run, trials):
    _, _, model_dir = run
    table = seldir_analysis(model_dir, "odr", "stim1", "gap", "stim1", trials, TYPES)
    assert list(table.columns) == ["inter", "samedir", "diffdir"] and list(table.index) == trials
    both = [load_pickle(neuron_info_file(model_dir, trials[2], rule, "stim1")) for rule in ("odr", "gap")]
    units = [{u: w for kind in TYPES for u, _, w in info[kind]} for info in both]
    shared = set(units[0]) & set(units[1])
    same = sum(units[0][unit] == units[1][unit] for unit in shared)
    assert table.loc[trials[2]].tolist() == [len(shared), same, len(shared) - same]
    stem = Path("figure/figure_run/odr_stim1_gap_stim1_exh_neurons_mix_neurons_seldir_analysis")
    assert stem.with_suffix(".png").exists()
    written = pd.read_excel(stem.with_suffix(".xlsx"), index_col=0)
    pd.testing.assert_frame_equal(written, table.data, check_dtype=False)
    assert "ODR stim1 and Gap stim1 (exh + mix)" in table.plot().axes[0].get_title()


def test_counts_of_other_recordings():
    first = {"a": (np.array([1, 3]), np.array([0, 2])), "b": (np.array([1]), np.array([0]))}
    second = {"a": (np.array([3, 4]), np.array([1, 2])), "b": (np.array([1]), np.array([0]))}
    result = compute_shared_units(first, second, ["a", "b", "c"])
    assert result.to_frame().columns.tolist() == ["trial", "inter", "samedir", "diffdir"]
    assert result.loc["a"].tolist() == [1, 0, 1] and result.loc["b"].tolist() == [1, 1, 0]
    assert result.loc["c"].isna().all()


def test_nothing_is_written_without_save(run, trials):
    _, _, model_dir = run
    table = seldir_analysis(model_dir, "odr", "stim1", "gap", "stim1", trials[:1], TYPES, save=False)
    assert len(table) == 1 and not Path("figure").exists()


def test_stage_dict_and_missing_checkpoints(run, trials):
    _, _, model_dir = run
    stages = {"odr": {"early": trials[:1], "mature": [trials[1], 999]}}
    with pytest.warns(UserWarning, match="leaves out .*: 999"):
        table = seldir_analysis(model_dir, "odr", "stim1", "odrd", "delay2", stages, TYPES)
    assert list(table.index) == [trials[0], 999, trials[1]] and table.loc[999].isna().all()


def test_errors(run, trials, tmp_path):
    _, _, model_dir = run
    with pytest.raises(ValueError, match="gap has no epoch 'delay2'"):
        seldir_analysis(model_dir, "odr", "stim1", "gap", "delay2", trials, TYPES)
    with pytest.raises(FileNotFoundError, match="no hp.json"):
        seldir_analysis(str(tmp_path), "odr", "stim1", "gap", "stim1", trials, TYPES)
