"""What the report reads of a run, and the arithmetic of its measures."""

import numpy as np
import pytest
from made_runs import ANTI_RISE, TRIALS, all_curves, write_log

from rnn_maturation.analysis.report.data import (
    TrainedRun,
    maturation_course,
    over_stages,
    rank_correlation,
)
from rnn_maturation.analysis.report.finding import NotDecidable


def test_course_of_maturation_goes_from_the_plateau_to_some_time_after_maturity(tmp_path):
    run = TrainedRun(write_log(tmp_path, all_curves(noise=0)))
    course = maturation_course(TRIALS, run.performance("gap"), run.hp)
    assert 10e3 < course[0] < ANTI_RISE[0] and abs(course[-1] - (ANTI_RISE[2] + 38_400)) < 15e3
    assert maturation_course(TRIALS, np.full(len(TRIALS), 0.2), run.hp) == []


def test_stage_means_leave_out_checkpoints_without_units():
    numbers = over_stages({1: 1.0, 2: 3.0, 3: np.nan, 4: 5.0, 5: np.nan}, {"early": [1, 2, 3], "mid": [4, 5]})
    assert numbers["early"] == 2 and numbers["early_se"] == 1 and np.isnan([numbers["mid"], numbers["mid_se"]]).all()


def test_rank_correlation_is_over_the_checkpoints_that_both_have():
    performance = {0: 0.1, 1: 0.5, 2: 0.3, 3: 0.9}
    assert rank_correlation({0: 1.0, 1: 3.0, 2: 2.0, 3: 9.0}, performance) == (pytest.approx(1), 4)
    assert rank_correlation({0: 9.0, 1: 2.0, 2: 3.0, 3: np.nan, 7: 1.0}, performance) == (-1.0, 3)
    assert np.isnan(rank_correlation({0: 1.0, 1: 1.0, 2: 1.0}, performance)[0])


def test_first_checkpoint_on_disk(tmp_path):
    run = TrainedRun(write_log(tmp_path, all_curves(noise=0)))
    reached = np.array(TRIALS) >= 128_000
    with pytest.raises(NotDecidable, match="no checkpoint with that performance is on disk at 128,000 trials or later"):
        run.first_on_disk(reached)
    run.on_disk = {0, 1280, 140_800, 142_080}
    assert run.first_on_disk(reached) == run.first_on_disk(reached, within=12_800) == 140_800
    with pytest.raises(NotDecidable, match="or at most 12,799 later"):
        run.first_on_disk(reached, within=12_799)
    with pytest.raises(NotDecidable, match="never reached"):
        run.first_on_disk(np.zeros(len(TRIALS), dtype=bool))
