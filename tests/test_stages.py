import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnn_maturation.stages import (
    GROWTH_WINDOW,
    STAGES,
    evenly_thinned,
    first_reaching,
    flat_trials,
    performance_at,
    range_auto_select,
    smooth,
    stage_of,
    trials_by_stage,
)

GOLDEN = Path(__file__).parent / "golden"
HP = json.loads((GOLDEN / "run" / "hp.json").read_text())
LOG = json.loads((GOLDEN / "run" / "log.json").read_text())
STAGE_SELECT = json.loads((GOLDEN / "stage_select.json").read_text())


def small_log(*performances):
    return {"trials": [100 * i for i in range(len(performances))], "perf_odr": list(performances)}


# -------------------------------------------------------------------------------------------------------------- smooth


def test_smooth_gives_the_originals_numbers():
    expected = np.load(GOLDEN / "smooth.npz")
    for rule in expected.files:
        np.testing.assert_allclose(smooth(LOG["perf_" + rule], 5), expected[rule], atol=1e-12)


def test_smooth_looks_forward_and_shortens_at_the_end():
    np.testing.assert_allclose(smooth([1, 2, 6, 4], 1), [1.5, 4, 5, 4])
    np.testing.assert_allclose(smooth([1, 2, 6], 9), [3, 4, 6])
    np.testing.assert_allclose(smooth((1, 2, 6), 0), [1, 2, 6])
    assert smooth([], 3).shape == (0,)


@given(st.lists(st.floats(0, 1), max_size=30), st.integers(0, 40))
def test_smooth_stays_between_the_values_it_is_made_of(curve, window):
    result = smooth(curve, window)
    assert len(result) == len(curve)
    for i, value in enumerate(result):
        part = curve[i : i + window + 1]
        assert min(part) - 1e-12 <= value <= max(part) + 1e-12


@pytest.mark.parametrize("curve, window", [([1, 2], -1), ([1, 2], 1.5), ([[1, 2]], 1), ([1, 2], True)])
def test_smooth_refuses(curve, window):
    with pytest.raises(ValueError, match="smooth"):
        smooth(curve, window)


# --------------------------------------------------------------------------------------------------- range_auto_select


@pytest.mark.parametrize("key", STAGE_SELECT)
def test_range_auto_select_chooses_the_originals_checkpoints(key):
    rule, _, limit = key.partition("|")
    got = range_auto_select(HP, LOG, LOG["perf_" + rule], max_trial_num_limit=int(limit or 31))
    assert got == {stage: STAGE_SELECT[key][stage] for stage in STAGES}


def test_range_auto_select_limits():
    log = small_log(*[0.35] * 7, *[0.65] * 7, *[0.95] * 7)

    def chosen(limit):
        got = range_auto_select(HP, log, log["perf_odr"], avr_window=0, max_trial_num_limit=limit)
        return [[trial // 100 for trial in got[stage]] for stage in STAGES]

    assert chosen(7) == [[0, 1, 2, 3, 4, 5, 6], [7, 8, 9, 10, 11, 12, 13], [14, 15, 16, 17, 18, 19, 20]]
    # one over the limit: the original lost the whole middle stage
    assert chosen(6) == [[1, 2, 3, 4, 5, 6], [7, 8, 9, 10, 11, 12, 13], [14, 15, 16, 17, 18, 19]]
    assert chosen(5) == [[2, 3, 4, 5, 6], [8, 9, 10, 11, 12], [14, 15, 16, 17, 18]]
    assert chosen(1) == [[6], [10], [14]]


def test_range_auto_select_takes_the_averaged_checkpoints():
    log = small_log(0.2, 0.5, 0.2, 0.2, 0.2)
    assert range_auto_select(HP, log, log["perf_odr"], avr_window=1)["early"] == [0, 100, 200]
    assert range_auto_select(HP, small_log(0.95), [0.95], avr_window=9) == {"early": [], "mid": [], "mature": [0]}


@pytest.mark.parametrize(
    "perf, stage",
    [(0.299, None), (0.301, "early"), (0.399, "early"), (0.401, None), (0.599, None), (0.601, "mid"), (0.699, "mid"),
     (0.701, None), (0.899, None), (0.901, "mature"), (1.0, "mature")],
)  # fmt: skip
def test_range_auto_select_at_the_margins(perf, stage):
    got = range_auto_select(HP, small_log(perf), [perf])
    assert got == {name: [0] if name == stage else [] for name in STAGES}


@given(st.lists(st.floats(0, 1), max_size=60), st.integers(0, 12), st.floats(0, 0.3), st.integers(1, 10))
def test_range_auto_select_keeps_to_the_log_and_the_limit(curve, window, margin, limit):
    log = small_log(*curve)
    got = range_auto_select(HP, log, curve, window, margin, limit)
    assert list(got) == list(STAGES)
    for stage, trials in got.items():
        assert trials == sorted(set(trials)) and set(trials) <= set(log["trials"])
        assert len(trials) <= limit + (stage == "mid")


EXACT_HP = {"early_target_perf": 0.25, "mid_target_perf": 0.5, "mature_target_perf": 0.875}  # no rounding in binary
EXACT_MARGIN = 0.125


def described_ranges(curve, window, margin, limit):
    """The stages as they are described, a checkpoint after the other."""
    stages = {stage: [] for stage in STAGES}
    for i in range(len(curve)):
        part = curve[i : i + window + 1]
        perf = sum(part) / len(part)
        if 0.25 - margin <= perf <= 0.25 + margin:
            stage = "early"
        elif 0.5 - margin <= perf <= 0.5 + margin:
            stage = "mid"
        elif perf >= 0.875 - margin:
            stage = "mature"
        else:
            continue
        stages[stage] += [j for j in range(i, i + window + 1) if j < len(curve) and j not in stages[stage]]
    early, mid, mature = (sorted(stages[stage]) for stage in STAGES)
    aside = max(len(mid) - limit, 0) // 2
    return {"early": early[-limit:], "mid": mid[aside : len(mid) - aside], "mature": mature[:limit]}


@given(
    st.lists(st.integers(0, 16).map(lambda sixteenths: sixteenths / 16), max_size=60),
    st.sampled_from([0, 1, 3, 7]),
    st.sampled_from([0, EXACT_MARGIN]),
    st.integers(1, 12),
)
def test_range_auto_select_is_as_described_also_at_the_exact_thresholds(curve, window, margin, limit):
    """Means of 1, 2, 4 and 8 sixteenths are exact, so that many of them lie on a threshold."""
    got = range_auto_select(EXACT_HP, small_log(*curve), curve, window, margin, limit)
    wanted = described_ranges(curve, window, margin, limit)
    assert {stage: [trial // 100 for trial in trials] for stage, trials in got.items()} == wanted


@pytest.mark.parametrize(
    "perf, stage",
    [(0.125, "early"), (0.375, "early"), (0.625, "mid"), (0.75, "mature"), (1.0, "mature")]
    + [(np.nextafter(0.125, 0), None), (np.nextafter(0.375, 1), "mid"), (np.nextafter(0.625, 1), None)]
    + [(np.nextafter(0.75, 0), None)],
)
def test_range_auto_select_at_the_exact_thresholds(perf, stage):
    """0.375 is in the margins of early and mid: early comes first."""
    got = range_auto_select(EXACT_HP, small_log(perf), [perf], 0, EXACT_MARGIN)
    assert got == {name: [0] if name == stage else [] for name in STAGES}


def test_range_auto_select_refuses():
    with pytest.raises(ValueError, match="growth_curve has 2 values"):
        range_auto_select(HP, small_log(0.1), [0.1, 0.2])
    with pytest.raises(ValueError, match="max_trial_num_limit"):
        range_auto_select(HP, small_log(0.1), [0.1], max_trial_num_limit=0)


# -------------------------------------------------------------------------------------------------------------- stages


@pytest.mark.parametrize(
    "perf, stage", [(0, "early"), (0.35, "early"), (0.351, "mid"), (0.65, "mid"), (0.651, "mature"), (1, "mature")]
)
def test_stage_of_at_the_thresholds(perf, stage):
    assert stage_of(perf, HP) == stage


@pytest.mark.parametrize(
    "target, at, above", [("early_target_perf", "early", "mid"), ("mid_target_perf", "mid", "mature")]
)
def test_stages_change_just_above_the_target(target, at, above):
    for perf, stage in ((HP[target], at), (np.nextafter(HP[target], 1), above)):
        assert stage_of(perf, HP) == stage
        assert trials_by_stage([0], HP, small_log(perf), "odr") == {stage: [0]}


LISTS = [
    range(0, 400, 100),
    [0, 100, 200, 300],
    (300, 200, 100, 0, 0),
    np.arange(0, 400, 100),
    [np.int64(300), 0, 100, np.int32(200)],
]


@pytest.mark.parametrize("trial_list", LISTS, ids=lambda trial_list: type(trial_list).__name__)
def test_trial_lists_of_every_kind(trial_list):
    log = small_log(0.2, 0.9, 0.5, 0.7, 0.1)
    stages = trials_by_stage(trial_list, HP, log, "odr")
    assert stages == {"early": [0], "mid": [200], "mature": [100, 300]} and list(stages) == list(STAGES)
    assert flat_trials(trial_list, "odr") == [0, 100, 200, 300]
    assert all(type(trial) is int for trials in stages.values() for trial in trials)


def test_a_stage_without_checkpoints_is_absent():
    assert trials_by_stage([0], HP, small_log(0.9), "odr") == {"mature": [0]}
    assert trials_by_stage([], HP, small_log(0.9), "odr") == {}
    assert trials_by_stage({"odr": {"early": [], "mature": [5]}}, HP, {}, "odr") == {"mature": [5]}


def test_a_trial_in_several_stages_of_a_dict_counts_once():
    stages = {"early": [0, 100, 200], "mid": range(100, 400, 100), "mature": np.array([400, 300, 200])}
    expected = {"early": [0], "mid": [100], "mature": [200, 300, 400]}
    assert trials_by_stage({"odr": stages, "gap": {}}, HP, {}, "odr") == expected
    assert flat_trials({"odr": stages}, "odr") == [0, 100, 200, 300, 400]


def test_stage_dict_of_range_auto_select_is_understood():
    chosen = {"odr": range_auto_select(HP, LOG, LOG["perf_odr"])}
    stages = trials_by_stage(chosen, HP, LOG, "odr")
    assert sorted(sum(stages.values(), [])) == flat_trials(chosen, "odr")


@pytest.mark.parametrize(
    "trial_list, said",
    [
        (5, "trial_list"), ("0 100", "trial_list"), ({0, 100}, "trial_list"), (np.zeros((2, 2), int), "trial_list"),
        ([0.5], "0.5"), ([-100], "-100"), ([True], "True"), (["0"], "'0'"), (np.array([0.0]), "0.0"),
        ({"gap": {"early": [0]}}, "no stages of rule 'odr'. It has gap"), ({"odr": [0]}, "dict of the stages"),
        ({"odr": {"late": [0]}}, "dict of the stages"), ({"odr": {"early": 3}}, "trial_list"),
    ],
)  # fmt: skip
def test_wrong_trial_lists_are_refused(trial_list, said):
    with pytest.raises(ValueError, match=said):
        flat_trials(trial_list, "odr")
    with pytest.raises(ValueError, match=said):
        trials_by_stage(trial_list, HP, small_log(0.1), "odr")


def test_performance_at():
    log = small_log(0.1, 0.2, 0.3)
    assert performance_at(log, "odr", np.int64(200)) == 0.3
    with pytest.raises(ValueError, match="no evaluation at trial number 149. The nearest is 100"):
        performance_at(log, "odr", 149)
    with pytest.raises(ValueError, match="rule 'gap'. It has perf_odr"):
        performance_at(log, "gap", 0)
    with pytest.raises(ValueError, match="no performance of rule 'odr'. Check the order of the arguments"):
        performance_at(HP, "odr", 0)
    with pytest.raises(ValueError, match="The log is empty"):
        performance_at({"trials": [], "perf_odr": []}, "odr", 0)


# ------------------------------------------------------------------------------------------------------------ thinning


@given(st.lists(st.integers(0, 1000), max_size=30, unique=True).map(sorted), st.integers(1, 40))
def test_thinned_trials_are_some_of_them_with_both_ends(trials, number):
    thinned = evenly_thinned(trials, number)
    assert len(thinned) == min(number, len(trials)) and set(thinned) <= set(trials) and thinned == sorted(thinned)
    if trials:
        assert thinned[-1] == trials[-1] and (number == 1 or thinned[0] == trials[0])
    gaps = [trials.index(b) - trials.index(a) for a, b in zip(thinned, thinned[1:], strict=False)]
    assert not gaps or max(gaps) - min(gaps) <= 1


@pytest.mark.parametrize("number", [0, -1, 1.5, None])
def test_thinning_to_no_number_is_refused(number):
    with pytest.raises(ValueError, match="number must be a whole number of at least 1"):
        evenly_thinned([1, 2, 3], number)


def test_messages_quote_long_trial_lists_in_short():
    with pytest.raises(ValueError) as refused:
        flat_trials(set(range(100_000)), "odr")
    assert len(str(refused.value)) < 300


def test_a_level_is_first_reached_where_the_smoothed_curve_is_at_it():
    curve = [0.2] * 10 + [0.9, 0.2, 0.2, 0.2, 0.2, 0.2] + [1.0] * 8
    assert first_reaching(curve, 0.65, window=0) == 10
    smoothed = smooth(curve, GROWTH_WINDOW)
    position = first_reaching(curve, 0.65)
    assert smoothed[position] >= 0.65 and (smoothed[:position] < 0.65).all() and position > 10
    assert first_reaching(curve, 1.01) is None
