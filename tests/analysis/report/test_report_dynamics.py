"""What the report measures of the dynamics, on tables of eigenvalues and of held delays made by hand."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from made_runs import TRIALS, all_curves, write_log

from rnn_maturation.analysis.report.data import TrainedRun
from rnn_maturation.analysis.report.dynamics import DYNAMICS
from rnn_maturation.analysis.report.finding import NotDecidable, judge

FINDING = {finding.key: finding for finding in DYNAMICS.findings}


def table(**columns):
    """Return what the report uses of a result: its table."""
    frame = pd.DataFrame(columns)
    return SimpleNamespace(to_frame=lambda: frame)


@pytest.fixture
def run(tmp_path):
    """A run with all checkpoints on disk whose plateau goes from about 60,000 to about 260,000 trials."""
    run = TrainedRun(write_log(tmp_path, all_curves(noise=0)), checkpoints_per_stage=40)
    run.on_disk = set(TRIALS)
    return run


def give_eigenvalues(run, memory_time_s, **changed):
    """Give a run a table with a memory time, in s, that is a function of the number of trials."""
    trials = np.array(TRIALS)
    columns = {"largest_modulus": 0.99, "largest_is_complex": True, "frequency_hz": 0.7, "n_fixed_points": 1}
    columns |= {"n_starts": 64, "n_converged": 60, "memory_time_s": memory_time_s(trials.astype(float)), **changed}
    run.eigenvalue_growth = table(trial=trials, **columns)
    return run


def verdict_of(key, run):
    return judge(FINDING[key], FINDING[key].measure(run).numbers)


def test_plateau_lies_between_the_maturity_of_anti_saccades_and_the_rise_of_odr(run):
    start, end = (TRIALS[position] for position in run.plateau("odr"))
    assert abs(start - 60e3) < 10e3 and abs(end - 260e3) < 10e3


@pytest.mark.parametrize("last, expected", [(0.46, True), (0.4, False), (0.1, False), (np.inf, True)])
def test_progress_on_the_plateau_is_its_last_fifth_over_its_first(run, last, expected):
    give_eigenvalues(run, lambda trials: np.where(trials < 105_000, 0.3, np.where(trials < 210_000, 0.1, last)))
    found = FINDING["hidden_progress"].measure(run)
    assert judge(FINDING["hidden_progress"], found.numbers) is expected
    assert found.numbers["first"] == 0.3 and found.numbers["last"] == last


def test_progress_is_not_decided_on_a_short_plateau_or_from_a_few_checkpoints(run, tmp_path):
    short = TrainedRun(write_log(tmp_path / "short", all_curves(delayed=(150e3, 180e3, 200e3), noise=0)))
    with pytest.raises(NotDecidable, match="100,000 are needed"):
        FINDING["hidden_progress"].measure(give_eigenvalues(short, lambda trials: trials))
    rows = give_eigenvalues(run, lambda trials: np.where(trials > 100_000, np.nan, 0.3))
    with pytest.raises(NotDecidable, match="and 0 in the last have a pair"):
        FINDING["hidden_progress"].measure(rows)


def test_progress_is_not_decided_when_odr_never_rises(tmp_path):
    curves = {**all_curves(noise=0), "odr": np.full(len(TRIALS), 0.2)}
    with pytest.raises(NotDecidable, match="odr never rose"):
        FINDING["hidden_progress"].measure(TrainedRun(write_log(tmp_path, curves)))


def test_memory_at_the_end_of_the_plateau(run):
    trial = run.first_risen_odr
    for before, at, expected in ((0.2, 0.6, True), (0.9, 0.4, False), (0.1, np.inf, True)):
        give_eigenvalues(run, lambda trials, before=before, at=at: np.where(trials < trial, before, at))
        assert verdict_of("plateau_ends", run) is expected
    with pytest.raises(NotDecidable, match="all eigenvalues are real"):
        FINDING["plateau_ends"].measure(give_eigenvalues(run, lambda trials: np.full(len(trials), np.nan)))


@pytest.mark.parametrize(
    "changed, expected",
    [
        ({}, True),
        ({"frequency_hz": 1.3}, False),
        ({"largest_is_complex": False}, False),
        ({"frequency_hz": 0.3}, False),
    ],
)
def test_mode_is_that_of_the_largest_eigenvalue(run, changed, expected):
    give_eigenvalues(run, np.ones_like, **changed)
    found = FINDING["oscillating_mode"].measure(run)
    assert judge(FINDING["oscillating_mode"], found.numbers) is expected
    assert found.note == f"checkpoint {run.first_mature_odr}: 60 of 64 starts converged"


def test_search_without_a_fixed_point_decides_nothing(run):
    give_eigenvalues(run, np.ones_like, n_fixed_points=0, n_converged=0)
    for key in ("oscillating_mode", "plateau_ends"):
        with pytest.raises(NotDecidable, match="no fixed point was found .*0 of 64 starts converged"):
            FINDING[key].measure(run)


@pytest.mark.parametrize("correct, expected", [((0, 0.95, 0.1), True), ((0.9, 0.95, 0.9), False), ((0, 0.5, 0), False)])
def test_delays_are_asked_at_the_first_mature_checkpoint(run, correct, expected):
    run.held_delays = table(trial=run.first_mature_odr, delay_ms=[1000, 1500, 2000], performance=correct)
    found = FINDING["times_the_delay"].measure(run)
    assert judge(FINDING["times_the_delay"], found.numbers) is expected
    mature = np.flatnonzero(run.performance("odr") >= 0.95)[0]
    assert found.note == f"checkpoint {TRIALS[mature]}"


def give_activity(run, activity, size):
    """Give a run units whose mean activity and a rotation whose size are functions of the number of trials."""
    n_time = run.epochs("odr")["go1"][0] + 10
    trials = [trial for of_stage in run.stages["odr"].values() for trial in of_stage]
    run._units["odr"] = {trial: {"delay1": {"psths": np.full((3, n_time), activity(trial))}} for trial in trials}
    return give_eigenvalues(run, np.ones_like, rotation_size=[size(trial) for trial in TRIALS])


def test_activity_and_rotation_are_compared_over_the_rise_only(run):
    first, last = (TRIALS[run.crossing("odr", stage)] for stage in ("early", "mature"))

    def falls_outside(trial):
        return float(trial if first <= trial <= last else -trial)

    found = FINDING["grows_with_rotation"].measure(give_activity(run, float, falls_outside))
    assert found.numbers["rho"] == pytest.approx(1) and found.numbers["n_checkpoints"] >= 10
    give_activity(run, float, lambda trial: -float(trial))
    assert verdict_of("grows_with_rotation", run) is False


def test_activity_and_rotation_are_not_compared_over_few_checkpoints(run):
    run.stages["odr"] = {stage: trials[-3:] for stage, trials in run.stages["odr"].items()}
    with pytest.raises(NotDecidable, match="10 are needed"):
        FINDING["grows_with_rotation"].measure(give_activity(run, float, float))
