"""What a delay rests on in a run: one row of numbers that the analyses of the dynamics give too."""

import shutil

import pandas as pd
import pytest
from processes import ROOT

from rnn_maturation.model_directory import checkpoint_trials, load_log
from rnn_maturation.stages import performance_at
from rnn_maturation.sweep.delays import analyze_delay, save_delay_table
from rnn_maturation.sweep.variants import VARIANTS, TrainingRun

RANGES = {"odr": {"early": [352000, 354560], "mid": [386560, 392960], "mature": [441600, 449280]}}


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory):
    """Run 6tasks with the stages' checkpoints of the bundled network, and the first mature one."""
    root, bundled = tmp_path_factory.mktemp("data"), ROOT / "data" / "6tasks_pretrained"
    kept = {str(trial) for trials in RANGES["odr"].values() for trial in trials} | {"0", "107520", "405760"}
    ignored = [str(trial) for trial in checkpoint_trials(bundled) if str(trial) not in kept]
    shutil.copytree(bundled, root / "6tasks", ignore=shutil.ignore_patterns("*.pkl", *ignored))
    return TrainingRun("6tasks", 0, str(root))


def test_row_of_a_mature_network_that_times_the_delay(pretrained, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    row = analyze_delay(pretrained, "odr", RANGES)
    log = load_log(pretrained.model_dir)
    mature = [t for t in checkpoint_trials(pretrained.model_dir) if performance_at(log, "odr", t) >= 0.95]
    assert (row["variant"], row["seed"], row["rule"], row["trial"]) == ("6tasks", 0, "odr", mature[0])
    assert row["trained_delay_ms"] == 1500 and row["correct_trained"] >= 0.9
    assert row["correct_two_thirds"] == row["correct_four_thirds"] == 0  # after 1 s and after 2 s
    assert row["largest_is_complex"] and row["frequency_hz"] == pytest.approx(0.7, abs=0.05)
    assert row["period_s"] == pytest.approx(1 / row["frequency_hz"])
    assert row["activity_early"] < row["activity_mid"] < row["activity_mature"]
    table = save_delay_table([row])
    assert list(table["trial"]) == list(pd.read_csv("figure/figure_sweep/delays.csv")["trial"]) == [mature[0]]
    names = {path.name for path in (tmp_path / "figure" / "figure_6tasks" / "odr" / "delay1").glob("*.png")}
    assert any("eigenvalue_growth" in name for name in names) and any("delay_generalization" in name for name in names)


def test_a_rule_that_is_not_mature_has_no_eigenvalues(pretrained, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    early = tmp_path / "data" / "6tasks"
    shutil.copytree(pretrained.model_dir, early, ignore=shutil.ignore_patterns("386560", "39*", "40*", "44*"))
    row = analyze_delay(TrainingRun("6tasks", 0, str(early.parent)), "odr", {"odr": {"early": [352000, 354560]}})
    assert row["activity_early"] > 0 and pd.isna(row["activity_mature"]) and "frequency_hz" not in row


def test_rules_with_a_single_delay():
    assert VARIANTS["set1_exp1"].delay_rules == ["odr"] and VARIANTS["set6_exp1"].delay_rules == ["odr3000"]
    assert VARIANTS["indi_odrd"].delay_rules == [] and VARIANTS["indi_gap"].delay_rules == []
