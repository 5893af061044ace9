"""What the report measures on a log: when the tasks are learned."""

import numpy as np
import pytest
from made_runs import ANTI_RISE, DELAYED_RISE, TRIALS, all_curves, curve, write_log

from rnn_maturation.analysis.report.data import TrainedRun
from rnn_maturation.analysis.report.finding import NotDecidable, judge
from rnn_maturation.analysis.report.findings import FINDINGS

FINDING = {finding.key: finding for finding in FINDINGS}


def verdict_of(key, run):
    return judge(FINDING[key], FINDING[key].measure(run).numbers)


LEARNING = ("order", "synchrony", "plateau", "coupling", "retention")


def test_log_with_all_findings_of_learning(tmp_path):
    run = TrainedRun(write_log(tmp_path, all_curves()))
    assert {key: verdict_of(key, run) for key in LEARNING} == dict.fromkeys(LEARNING, True)
    numbers = FINDING["coupling"].measure(run).numbers
    assert abs(numbers["odr_early"] - 260) < 10 and abs(numbers["odr_mature"] - 300) < 10


@pytest.mark.parametrize(
    "key, changed",
    [
        ("order", {"gap": curve((150e3, 170e3, 190e3), 0)}),
        ("synchrony", {"gap": curve((60e3, 80e3, 100e3), 0)}),
        ("plateau", {"odr": curve(DELAYED_RISE, 0.018) + 0.05}),
        ("plateau", {"odrd": curve(DELAYED_RISE, 0.06)}),
        ("coupling", {"odrd": curve((320e3, 330e3, 350e3), 0)}),
        ("retention", {"gap500": np.where(np.array(TRIALS) > 200e3, 0.8, curve(ANTI_RISE, 0))}),
    ],
)
def test_log_without_a_finding(tmp_path, key, changed):
    curves = {rule: np.clip(values, 0, 1) for rule, values in {**all_curves(), **changed}.items()}
    assert verdict_of(key, TrainedRun(write_log(tmp_path, curves))) is False


def test_log_that_ends_before_odr_rises_decides_the_order_only_when_it_is_long(tmp_path):
    long = {rule: values[:150] for rule, values in all_curves().items()}
    found = FINDING["order"].measure(TrainedRun(write_log(tmp_path / "long", long)))
    assert judge(FINDING["order"], found.numbers) is True and "not mature when the log ends" in found.note
    short = {rule: values[:70] for rule, values in all_curves().items()}
    run = TrainedRun(write_log(tmp_path / "short", short))
    with pytest.raises(NotDecidable, match="too short to tell"):
        FINDING["order"].measure(run)
    with pytest.raises(NotDecidable, match="did not both go through all stages"):
        FINDING["coupling"].measure(run)


def test_anti_saccades_that_never_mature_are_not_before_odr(tmp_path):
    curves = {**all_curves(), "gap": np.full(len(TRIALS), 0.2)}
    run = TrainedRun(write_log(tmp_path, curves))
    assert verdict_of("order", run) is False
    with pytest.raises(NotDecidable, match="gap never reached the mid level"):
        FINDING["synchrony"].measure(run)
    with pytest.raises(NotDecidable, match="maturity of all anti-saccade rules"):
        FINDING["plateau"].measure(run)


@pytest.mark.parametrize("key", [finding.key for finding in FINDINGS])
def test_network_of_odr_alone_without_checkpoints_decides_nothing(tmp_path, key):
    run = TrainedRun(write_log(tmp_path, {"odr": curve(DELAYED_RISE, 0.018)}))
    with pytest.raises(NotDecidable):
        FINDING[key].measure(run)
