"""The figures over runs, and the median over seeds."""

import os

import numpy as np
import pytest
from small_runs import cut, put_run

from rnn_maturation import figures
from rnn_maturation.sweep import find_runs, plot_sweep_summary
from rnn_maturation.sweep.summary import growth_curves, median_growth


def test_the_median_holds_the_end_of_trained_runs_and_ends_with_the_first_other():
    a = (np.array([0, 10, 20]), np.array([0.0, 0.5, 1.0]), True)
    b = (np.array([0, 20, 40]), np.array([0.0, 0.4, 0.8]), False)
    trials, median = median_growth([a, b])
    assert trials.tolist() == [0, 10, 20, 40]
    assert median == pytest.approx([0, 0.35, 0.7, 0.9])
    trials, _ = median_growth([a[:2] + (False,), b])
    assert trials.tolist() == [0, 10, 20]


def test_the_summary_draws_growth_over_seeds_and_trials_to_criterion(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    put_run("data", "6tasks", target_perf=0.99)
    cut(put_run("data", "6tasks_seed1", target_perf=0.99), 200)
    put_run("data", "set1_exp2")
    table = plot_sweep_summary()
    assert table["seed"].tolist() == [0, 1, 0]
    names = {"growth_6tasks", "growth_set1_exp2", "trials_to_criterion"}
    expected = {f"{name}.{ending}" for name in names for ending in figures.FORMATS}
    assert set(os.listdir("figure/figure_sweep")) == expected
    assert plot_sweep_summary(patterns=["set1*"])["variant"].tolist() == ["set1_exp2"]
    with pytest.raises(FileNotFoundError, match="the folder data has no run of these variants"):
        plot_sweep_summary(patterns=["indi_*"])


def test_growth_over_seeds_has_a_line_a_run_and_the_median(tmp_path):
    for name in ("6tasks", "6tasks_seed1", "6tasks_seed2"):
        put_run(tmp_path, name, target_perf=0.99)
    curves = growth_curves(find_runs(tmp_path))
    medians = {rule: median_growth(of_runs) for rule, of_runs in curves.items()}
    figure = figures.growth_over_seeds(curves, medians, dict.fromkeys(curves, "rule"), "title")
    axes = [ax for ax in figure.axes if ax.get_visible()]
    assert len(axes) == 6 and all(len(ax.lines) == 4 for ax in axes)


# ------------------------------------------------------------------------------------------------- on this machine
