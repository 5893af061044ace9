"""The criteria of the report: each meets numbers that it must accept and numbers that it must refuse."""

import numpy as np
import pytest

from rnn_maturation.analysis.report.finding import FAMILIES, Group, Measurement, judge, show
from rnn_maturation.analysis.report.findings import FINDINGS, GROUPS

FINDING = {finding.key: finding for finding in FINDINGS}


def stages(early, mid, mature, error=None):
    errors = {} if error is None else {f"{stage}_se": error for stage in ("early", "mid", "mature")}
    return {"early": early, "mid": mid, "mature": mature, **errors}


def asked(*correct):
    return {f"after_{ms}": share for ms, share in zip((1000, 1500, 2000), correct, strict=True)}


PLATEAU = {"odr": 0.2, "odr_sd": 0.02, "odrd": 0.21, "odrd_sd": 0.02}
ACCEPTED_AND_REFUSED = {
    "order": ([{"ratio": 0.15}, {"ratio": 0.49}], [{"ratio": 0.5}, {"ratio": 1.2}]),
    "synchrony": ([{"ratio": 1.0}, {"ratio": 1.25}], [{"ratio": 1.26}]),
    "plateau": ([PLATEAU], [{**PLATEAU, "odr": 0.24}, {**PLATEAU, "odrd": 0.15}, {**PLATEAU, "odr_sd": 0.04}]),
    "coupling": ([{"ratio": 1.06}], [{"ratio": 1.11}]),
    "retention": ([{"worst": 0.95}], [{"worst": 0.94}]),
    "odrd_cue": ([stages(2, 3, 4, 0.2)], [stages(2, 4, 3, 0.2), stages(4, 3, 2, 0.2), stages(2, 2, 3, 0.2)]),
    "odr_delay": ([{**stages(0.5, 1, 1.5, 0.1), "rho": 0.7}], [{**stages(0.5, 1, 1.5, 0.1), "rho": 0.3}]),
    "odrd_delay2": ([{**stages(1, 2, 3, 0.1), "rho": 0.9}], [{**stages(3, 2, 1, 0.1), "rho": -0.9}]),
    "odrd_cue_units_delay2": ([stages(0, 0.5, 1.0)], [stages(0, 0.5, 0.9)]),
    "anti_saccade": (
        [{"n_rules": 1, "gap_early": 0.3, "gap_mid": 0.5, "gap_mature": 0.8}],
        [{"n_rules": 1, "gap_early": 0.3, "gap_mid": 0.5, "gap_mature": 0.4}],
    ),
    "tuning_height": ([stages(2, 3, 4, 0.2)], [stages(2, 4, 3, 0.2)]),
    "tuning_width": ([stages(1.3, 1.4, 1.5)], [stages(1.0, 1.3, 1.5)]),
    "n_selective": ([stages(215, 192, 199)], [stages(100, 150, 215), stages(0, 0, 0)]),
    "same_location": ([{"least": 0.8}], [{"least": 0.79}]),
    "distractor_stage": ([stages(0.3, 0.5, 0.8, 0.02)], [stages(0.3, 0.8, 0.5, 0.02)]),
    "distractor_distance": ([{"near": 0.6, "far": 0.66}], [{"near": 0.6, "far": 0.64}, {"near": 0.8, "far": 0.6}]),
    "saccade": ([stages(0.2, 0.5, 0.9, 0.02)], [stages(0.2, 0.9, 0.5, 0.02)]),
    "decoder_before": ([{"before": 0.18, "chance": 0.125}], [{"before": 0.19, "chance": 0.125}]),
    "decoder_delay": ([{"diagonal": 0.95}], [{"diagonal": 0.94}]),
    "decoder_dynamic": (
        [{"diagonal": 1.0, "lag300": 0.3, "lag600": 0.1, "chance": 0.125}],
        [
            {"diagonal": 1.0, "lag300": 0.9, "lag600": 0.1, "chance": 0.125},
            {"diagonal": 1.0, "lag300": 0.3, "lag600": 0.3, "chance": 0.125},
        ],
    ),
    "dpca": ([{"ratio": 0.02}], [{"ratio": 0.06}]),
    "times_the_delay": (
        [asked(0, 0.9, 0), asked(0.2, 1, 0.2)],
        [asked(0, 0.89, 0), asked(0.21, 1, 0), asked(0, 1, 0.21), asked(1, 1, 1), asked(0.2, 0.2, 0.2)],
    ),
    "oscillating_mode": (
        [{"modulus": 1.01, "frequency": 0.4}, {"modulus": 0.99, "frequency": 1.2}],
        [{"modulus": 1.01, "frequency": frequency} for frequency in (0.0, 0.39, 1.21, 25.0)],
    ),
    "hidden_progress": (
        [{"first": 0.2, "last": 0.3, "ratio": 1.5}, {"first": 0.2, "last": np.inf, "ratio": np.inf}],
        [{"first": 0.2, "last": 0.29, "ratio": 1.45}, {"first": 0.4, "last": 0.2, "ratio": 0.5}],
    ),
    "plateau_ends": ([{"memory": 0.5}, {"memory": np.inf}], [{"memory": 0.49}]),
    "grows_with_rotation": ([{"rho": 0.5}], [{"rho": 0.49}, {"rho": -0.8}]),
}


def test_every_finding_has_a_tolerance_and_a_reason_and_is_tested():
    assert len(FINDING) == len(FINDINGS) and set(FINDING) == set(ACCEPTED_AND_REFUSED)
    for finding in FINDINGS:
        assert finding.claim and finding.criterion and finding.reason and finding.needs


def test_families_and_groups_follow_each_other_in_the_order_of_the_report():
    assert [group.name for group in GROUPS] == list(dict.fromkeys(finding.group for finding in FINDINGS))
    families = [finding.family for finding in FINDINGS]
    assert families == ["paper"] * 21 + ["dynamics"] * 5 and set(families) == set(FAMILIES)
    assert not any(finding.published or any(finding.references) for finding in GROUPS[-1].findings)


def test_a_finding_is_added_beside_its_measure():
    group = Group("Sleep", family="dynamics")

    @group.finding(
        claim="It sleeps",
        shown="{hours:.0f} h",
        criterion="at least 8 h",
        reason="As recommended.",
        needs=("hours",),
        holds=lambda numbers: numbers["hours"] >= 8,
    )
    def sleep(run):
        return Measurement({"hours": run})

    (finding,) = group.findings
    assert (finding.key, finding.group, finding.family, finding.published) == ("sleep", "Sleep", "dynamics", {})
    assert [judge(finding, finding.measure(hours).numbers) for hours in (9, 7)] == [True, False]
    assert show(finding, sleep(9).numbers) == "9 h"


@pytest.mark.parametrize("key", ACCEPTED_AND_REFUSED)
def test_criterion_accepts_and_refuses(key):
    accepted, refused = ACCEPTED_AND_REFUSED[key]
    assert [judge(FINDING[key], numbers) for numbers in accepted] == [True] * len(accepted)
    assert [judge(FINDING[key], numbers) for numbers in refused] == [False] * len(refused)
    assert judge(FINDING[key], {}) is None
    assert judge(FINDING[key], dict.fromkeys(accepted[0], np.nan)) is None


def test_published_and_reference_networks_are_judged_as_is():
    """Published numbers meet every criterion that they decide; two findings fail in a reference network or both."""
    for finding in FINDINGS:
        assert judge(finding, finding.published) in (True, None), finding.key
    failing = {finding.key: [judge(finding, numbers) for numbers in finding.references] for finding in FINDINGS}
    failing = {key: verdicts for key, verdicts in failing.items() if False in verdicts}
    assert failing == {
        "odrd_cue": [False, True],
        "tuning_height": [False, True],
        "odrd_cue_units_delay2": [False, False],
    }


@pytest.mark.parametrize("key", ["odrd_cue", "tuning_height", "distractor_stage", "saccade"])
def test_step_within_its_standard_error_is_not_decided(key):
    assert judge(FINDING[key], stages(2, 3, 3.2, 0.2)) is None  # 0.2 against 2 * sqrt(2) * 0.2
    assert judge(FINDING[key], stages(2, 3, 3.6, 0.2)) is True
    assert judge(FINDING[key], stages(2, 3, 2.9, 0.2)) is False


def test_one_uncertain_rule_leaves_anti_saccades_open_and_one_falling_refuses():
    grown = {"n_rules": 2, "gap_early": 0.3, "gap_mid": 0.5, "gap_mature": 0.8}
    uncertain = {"overlap_early": 0.3, "overlap_mid": 0.5, "overlap_mature": 0.52, "overlap_mid_se": 0.1}
    assert judge(FINDING["anti_saccade"], {**grown, **uncertain}) is None
    assert judge(FINDING["anti_saccade"], {**grown, **uncertain, "overlap_mature": 0.4}) is False


def test_missing_numbers_are_dashes_and_parts_without_any_are_left_out():
    assert show(FINDING["odrd_cue"], {}) == "–"
    assert show(FINDING["odrd_cue"], {"early": 2.8, "mature": -0.5}) == "2.80 / – / −0.50"
    assert show(FINDING["odrd_cue"], stages(1, 2, 3, 0.1)) == "1.00 / 2.00 / 3.00; ± 0.10 / 0.10 / 0.10"
