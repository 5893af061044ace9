"""The reproduction report: criteria, what is measured for them, and the pages.

Every criterion meets numbers that it must accept and numbers that it must refuse, and what is measured runs on logs,
activity and whole networks made by hand so that a finding is there, or is not.
"""

import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from rnn_maturation.analysis import reproduction_report
from rnn_maturation.analysis.decoding import cross_temporal_scores, window_rates
from rnn_maturation.analysis.dpca import demixed_pca
from rnn_maturation.analysis.report.data import (
    NotDecidable,
    Run,
    decoder_numbers,
    maturation_course,
    over_stages,
    rank_correlation,
    ring_distance,
    separation_ratio,
)
from rnn_maturation.analysis.report.findings import ANTI_SACCADE_RULES, DELAYED_RULES, FINDINGS, judge, show
from rnn_maturation.analysis.report.measures import MEASURES, measure
from rnn_maturation.analysis.report.report import (
    NOT_DECIDABLE,
    REPRODUCED,
    judge_run,
    median_numbers,
    network_names,
    summarise,
    wilson_interval,
)
from rnn_maturation.hyperparameters import complete_hp
from rnn_maturation.model_directory import save_hp, save_log
from rnn_maturation.network import Model, tf1
from rnn_maturation.stages import trials_by_stage
from rnn_maturation.task import rules_dict

FINDING = {finding.key: finding for finding in FINDINGS}
STEP = 1280
TRIALS = list(range(0, 300 * STEP, STEP))
ANTI_RISE = (30e3, 40e3, 60e3)  # trials at which a curve is at .35, .65, .95
DELAYED_RISE = (260e3, 280e3, 300e3)


def stages(early, mid, mature, error=None):
    errors = {} if error is None else {f"{stage}_se": error for stage in ("early", "mid", "mature")}
    return {"early": early, "mid": mid, "mature": mature, **errors}


# ----------------------------------------------------------------------------------------------------------- criteria

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
}


def test_every_finding_has_a_measure_a_tolerance_and_a_reason():
    assert set(FINDING) == set(MEASURES) == set(ACCEPTED_AND_REFUSED)
    for finding in FINDINGS:
        assert finding.claim and finding.criterion and finding.reason and finding.needs


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
        assert judge(finding, {"chance": 0.125, **finding.published}) in (True, None), finding.key
    failing = {
        finding.key: [judge(finding, {"chance": 0.125, **numbers}) for numbers in finding.references]
        for finding in FINDINGS
    }
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


# --------------------------------------------------------------------------------------------------------------- logs


def curve(rise, noise, end=1.0):
    """Performance at chance that rises through .35, .65 and .95 at three trial numbers."""
    early, mid, mature = rise
    trials = [0, early - 15e3, early, mid, mature, mature + 10e3]
    levels = np.interp(TRIALS, trials, [0.2, 0.2, 0.35, 0.65, 0.95, end])
    return np.clip(levels + noise * np.random.RandomState(0).randn(len(TRIALS)), 0, 1)


def write_log(folder, curves, **hp):
    rules = rules_dict["all_new"]
    save_hp(complete_hp({"ruleset": "all_new", "n_rnn": 32, "activation": "softplus", "seed": 1, **hp}), folder)
    known = {rule: list(map(float, curves[rule])) for rule in rules if rule in curves}
    lowest = np.min(list(known.values()), axis=0).tolist()
    length = len(lowest)
    save_log({"trials": TRIALS[:length], "perf_min": lowest, **{f"perf_{r}": c for r, c in known.items()}}, folder)
    return folder


def all_curves(anti=ANTI_RISE, delayed=DELAYED_RISE, noise=0.018):
    anti_curves = {rule: curve(anti, noise) for rule in ANTI_SACCADE_RULES}
    return {**anti_curves, **{rule: curve(delayed, noise) for rule in DELAYED_RULES}}


def verdict_of(key, run):
    return judge(FINDING[key], measure(key, run).numbers)


LEARNING = ("order", "synchrony", "plateau", "coupling", "retention")


def test_log_with_all_findings_of_learning(tmp_path):
    run = Run(write_log(tmp_path, all_curves()))
    assert {key: verdict_of(key, run) for key in LEARNING} == dict.fromkeys(LEARNING, True)
    numbers = measure("coupling", run).numbers
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
    assert verdict_of(key, Run(write_log(tmp_path, curves))) is False


def test_log_that_ends_before_odr_rises_decides_the_order_only_when_it_is_long(tmp_path):
    long = {rule: values[:150] for rule, values in all_curves().items()}
    found = measure("order", Run(write_log(tmp_path / "long", long)))
    assert judge(FINDING["order"], found.numbers) is True and "not mature when the log ends" in found.note
    short = {rule: values[:70] for rule, values in all_curves().items()}
    run = Run(write_log(tmp_path / "short", short))
    with pytest.raises(NotDecidable, match="too short to tell"):
        measure("order", run)
    with pytest.raises(NotDecidable, match="did not both go through all stages"):
        measure("coupling", run)


def test_anti_saccades_that_never_mature_are_not_before_odr(tmp_path):
    curves = {**all_curves(), "gap": np.full(len(TRIALS), 0.2)}
    run = Run(write_log(tmp_path, curves))
    assert verdict_of("order", run) is False
    with pytest.raises(NotDecidable, match="gap never reached the mid level"):
        measure("synchrony", run)
    with pytest.raises(NotDecidable, match="maturity of all anti-saccade rules"):
        measure("plateau", run)


@pytest.mark.parametrize("key", [finding.key for finding in FINDINGS])
def test_network_of_odr_alone_without_checkpoints_decides_nothing(tmp_path, key):
    run = Run(write_log(tmp_path, {"odr": curve(DELAYED_RISE, 0.018)}))
    with pytest.raises(NotDecidable):
        measure(key, run)


def test_course_of_maturation_goes_from_the_plateau_to_some_time_after_maturity(tmp_path):
    run = Run(write_log(tmp_path, all_curves(noise=0)))
    course = maturation_course(TRIALS, run.performance("gap"), run.hp)
    assert 10e3 < course[0] < ANTI_RISE[0] and abs(course[-1] - (ANTI_RISE[2] + 38_400)) < 15e3
    assert maturation_course(TRIALS, np.full(len(TRIALS), 0.2), run.hp) == []


# ------------------------------------------------------------------------------------------------------------- arrays


def test_stage_means_leave_out_checkpoints_without_units():
    numbers = over_stages({1: 1.0, 2: 3.0, 3: np.nan, 4: 5.0, 5: np.nan}, {"early": [1, 2, 3], "mid": [4, 5]})
    assert numbers["early"] == 2 and numbers["early_se"] == 1 and np.isnan([numbers["mid"], numbers["mid_se"]]).all()


def test_rank_correlation_is_with_performance():
    log = {"trials": [0, 1, 2, 3], "perf_odr": [0.1, 0.5, 0.3, 0.9]}
    assert rank_correlation({0: 1.0, 1: 3.0, 2: 2.0, 3: 9.0}, log, "odr")["rho"] == pytest.approx(1)
    assert rank_correlation({0: 9.0, 1: 2.0, 2: 3.0, 3: np.nan}, log, "odr") == {"rho": -1.0, "n_checkpoints": 3}
    assert np.isnan(rank_correlation({0: 1.0, 1: 1.0, 2: 1.0}, log, "odr")["rho"])


@pytest.mark.parametrize("n_ring, most", [(8, 4), (7, 3)])
def test_ring_distances(n_ring, most):
    distance = ring_distance(n_ring).reshape(n_ring, n_ring)
    assert distance.max() == most and (np.diag(distance) == 0).all() and distance[0, n_ring - 1] == 1
    np.testing.assert_array_equal(distance, distance.T)


EPOCHS = {"fix1": (None, 50), "stim1": (50, 75), "delay1": (75, 150), "go1": (150, None)}
LOCATIONS = np.repeat(np.arange(8), 8)


def population(rotating, leak=0.0, noise=0.3):
    """Activity (175, 64, 40) with the location in it from the cue on, in the same units all the time, or in others."""
    rng = np.random.RandomState(0)
    patterns = rng.randn(20, 8, 40)  # one every 140 ms
    activity = noise * rng.randn(175, 64, 40)
    for step in range(175):
        pattern = patterns[(step - 50) // 7 if rotating and step >= 50 else 0]
        activity[step] += (1 if step >= 50 else leak) * pattern[LOCATIONS]
    return activity


@pytest.mark.parametrize(
    "rotating, leak, expected",
    [(True, 0, (True, True, True)), (False, 0, (True, True, False)), (True, 1, (False, True, True))],
)
def test_decoder_tells_dynamic_from_stable_codes_and_finds_leaks(rotating, leak, expected):
    scores = cross_temporal_scores(window_rates(population(rotating, leak), 10, 3), LOCATIONS, 4, "everywhere")
    lags = {f"lag{lag}": lag // 60 for lag in (60, 120, 180, 300, 600)}
    numbers = {**decoder_numbers(scores, EPOCHS, 10, 3, lags), "chance": 0.125}
    keys = ("decoder_before", "decoder_delay", "decoder_dynamic")
    assert tuple(judge(FINDING[key], numbers) for key in keys) == expected


def test_decoder_numbers_take_windows_that_lie_within_their_period():
    n_windows = (175 - 10) // 3 + 1
    starts = np.arange(n_windows) * 3
    scores = np.full((n_windows, n_windows), 0.5)
    np.fill_diagonal(scores, np.where(starts + 10 <= 50, 0.1, np.where((starts >= 75) & (starts <= 140), 1.0, 0.7)))
    numbers = decoder_numbers(scores, EPOCHS, 10, 3, {"lag60": 1, "lag60000": 1000})
    assert numbers["before"] == pytest.approx(0.1) and numbers["diagonal"] == 1 and numbers["lag60"] == 0.5
    assert np.isnan(numbers["lag60000"])


@pytest.mark.parametrize("leak, expected", [(0.0, True), (1.0, False)])
def test_demixed_components_apart_before_the_cue_are_noticed(leak, expected):
    trials = population(rotating=False, leak=leak, noise=0.1).reshape(175, 8, 8, 40).transpose(2, 3, 1, 0)
    ratio = separation_ratio(demixed_pca(trials).components["s"], EPOCHS)
    assert judge(FINDING["dpca"], {"ratio": ratio}) is expected


# --------------------------------------------------------------------------------------------------- whole networks


def answers(right_share):
    """Where the read-out sends each location: a share of them to itself, the others at least 90 degrees away."""
    sent = np.arange(8)
    wrong = sent[round(8 * right_share) :]
    sent[len(sent) - len(wrong) :] = np.roll(wrong, len(wrong) // 2)
    return sent


def set_variables(session, variables, values):
    feed = {v.initializer.inputs[1]: value for v, value in zip(variables, values, strict=True)}
    session.run([v.initializer for v in variables], feed)


def made_network(folder, gains, right_share, answers_opposite):
    """A run whose checkpoints are set by hand: units with a memory, their gain and read-out a function of the stage.

    Four units a location take up the ring with a gain and forget with a time constant of 500 ms. The read-out sends
    each location's units to it, or to the opposite one; a share of the locations is sent to a wrong one.
    """
    write_log(folder, all_curves(noise=0))
    run = Run(folder)
    model = Model(str(folder), hp=run.hp)
    location = np.repeat(np.arange(8), 4)
    with tf1.Session() as session:
        model.initialize()
        for rule in ("odr", "gap"):
            course = maturation_course(TRIALS, run.performance(rule), run.hp)
            for stage, trials in trials_by_stage(course, run.hp, run.log, rule).items():
                for number, trial in enumerate([trials[i] for i in (0, len(trials) // 2, -1)]):
                    kernel, bias, w_out, b_out = (np.zeros(v.shape.as_list(), "float32") for v in model.var_list)
                    kernel[1 + location, np.arange(32)] = gains[stage] * (1 + 0.02 * number)
                    kernel[run.hp["n_input"] + np.arange(32), np.arange(32)] = 0.8
                    bias[:] = 1
                    answer = answers(right_share[stage]) + (4 if answers_opposite else 0)
                    w_out[np.arange(32), 1 + answer[location] % 8] = 0.3
                    b_out[0] = -5
                    set_variables(session, model.var_list, (kernel, bias, w_out, b_out))
                    model.save(folder / str(trial))
    return folder


SHARES = {"early": 0.25, "mid": 0.5, "mature": 1.0}


@pytest.fixture(scope="module")
def growing(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made") / "growing"
    return made_network(folder, {"early": 1.0, "mid": 2.0, "mature": 3.0}, SHARES, answers_opposite=True)


@pytest.fixture(scope="module")
def shrinking(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made") / "shrinking"
    return made_network(folder, {"early": 3.0, "mid": 2.0, "mature": 1.0}, SHARES, answers_opposite=False)


@pytest.fixture(scope="module")
def report_of_growing(growing, tmp_path_factory):
    return reproduction_report(growing, folder=tmp_path_factory.mktemp("report"))


@pytest.fixture(scope="module")
def report_of_shrinking(shrinking):
    return judge_run(Run(shrinking, checkpoints_per_stage=2))


def verdicts(report):
    return {finding["key"]: finding["verdict"] for finding in report["findings"]}


GROWING = ("odrd_cue", "odr_delay", "odrd_delay2", "anti_saccade", "tuning_height")


def test_network_made_to_mature(report_of_growing):
    found = verdicts(report_of_growing)
    there = {*LEARNING, *GROWING, "tuning_width", "n_selective", "same_location", "saccade"}
    there |= {"decoder_before", "decoder_delay", "dpca"}
    assert {key for key, verdict in found.items() if verdict == REPRODUCED} >= there
    assert found["decoder_dynamic"] != REPRODUCED  # its memory is stable
    assert found["distractor_stage"] != REPRODUCED  # it answers opposite to the cue
    assert sum(report_of_growing["counts"].values()) == len(FINDINGS)


def test_network_made_to_fade(report_of_shrinking):
    found = verdicts(report_of_shrinking)
    assert {found[key] for key in (*GROWING, "saccade")} == {"not reproduced"}
    assert found["tuning_width"] == found["same_location"] == REPRODUCED


def test_stage_without_checkpoints_is_said_not_raised(growing, tmp_path):
    hp, log = (json.loads((growing / name).read_text()) for name in ("hp.json", "log.json"))
    (tmp_path / "cut").mkdir()
    for name, content in (("hp.json", hp), ("log.json", log)):
        (tmp_path / "cut" / name).write_text(json.dumps(content))
    report = reproduction_report(tmp_path / "cut", folder=tmp_path)
    assert report["counts"] == {REPRODUCED: 5, "not reproduced": 0, NOT_DECIDABLE: len(FINDINGS) - 5}
    notes = {finding["key"]: finding["note"] for finding in report["findings"]}
    assert notes["odrd_cue"] == "odrd has 0 early checkpoints on disk, 2 are needed"


def test_model_directory_stays_as_it_is(growing, report_of_growing):
    assert {path.name for path in growing.iterdir() if not path.name.isdigit()} == {"hp.json", "log.json"}
    assert not [path for path in growing.rglob("*.pkl")]


class _Page(HTMLParser):
    """What a page refers to, its tags, and the texts of its table rows."""

    def __init__(self, text):
        super().__init__()
        self.addresses, self.tags = [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.addresses += [value for name, value in attributes if name in ("src", "href", "action", "srcset", "data")]


def test_page_needs_nothing_else_and_has_all_rows_and_figures(report_of_growing):
    text = open(report_of_growing["files"]["html"], encoding="utf-8").read()
    page = _Page(text)
    assert page.addresses and all(address.startswith("data:image/png;base64,") for address in page.addresses)
    assert not {"script", "link", "iframe", "object", "base"} & set(page.tags) and "url(" not in text
    assert page.tags.count("figure") == page.tags.count("img") == 14
    for finding in report_of_growing["findings"]:
        assert re.search(re.escape(finding["claim"]).replace("'", "&#x27;"), text)


def test_json_and_markdown_say_the_same(report_of_growing):
    read = json.loads(open(report_of_growing["files"]["json"], encoding="utf-8").read())
    assert verdicts(read) == verdicts(report_of_growing) and read["files"] == report_of_growing["files"]
    markdown = open(report_of_growing["files"]["md"], encoding="utf-8").read()
    rows = [line for line in markdown.splitlines() if line.startswith("| ")]
    assert len(rows) == 1 + len(FINDINGS) and len({row.count("|") for row in rows}) == 1


def test_names_are_shown_not_interpreted(growing, tmp_path):
    folder = tmp_path / "<b>&run"
    folder.mkdir()
    for name in ("hp.json", "log.json"):
        (folder / name).write_bytes((growing / name).read_bytes())
    text = open(reproduction_report(folder, folder=tmp_path)["files"]["html"], encoding="utf-8").read()
    assert "<b>" not in text and "&lt;b&gt;&amp;run" in text


# -------------------------------------------------------------------------------------------------- several networks


def test_counts_over_networks(report_of_growing, report_of_shrinking):
    report = summarise({"growing": report_of_growing, "shrinking": report_of_shrinking})
    rows = {finding["key"]: finding for finding in report["findings"]}
    assert (rows["odrd_cue"]["n_reproduced"], rows["odrd_cue"]["n_decidable"]) == (1, 2)
    assert rows["odrd_cue"]["interval"] == pytest.approx([0.0945, 0.9055], abs=1e-3)
    both = [rows["tuning_width"]["numbers"][name]["mature"] for name in ("growing", "shrinking")]
    assert rows["tuning_width"]["medians"]["mature"] == pytest.approx(np.mean(both))
    assert list(report["networks"]) == ["growing", "shrinking"]


def test_page_of_several_networks(tmp_path):
    write_log(tmp_path / "good", all_curves())
    write_log(tmp_path / "late", {**all_curves(), "gap": curve((150e3, 170e3, 190e3), 0)})
    report = reproduction_report([tmp_path / "good", str(tmp_path / "late")], folder=tmp_path)
    text = open(report["files"]["html"], encoding="utf-8").read()
    assert "1 of 2" in text and "0.09–0.91" in text and "0 of 0" in text and not _Page(text).addresses
    read = json.loads(open(report["files"]["json"], encoding="utf-8").read())
    order = next(finding for finding in read["findings"] if finding["key"] == "order")
    assert order["verdicts"] == {"good": "reproduced", "late": "not reproduced"}
    assert "good: seed 1" in open(report["files"]["md"], encoding="utf-8").read()


def test_wilson_interval():
    assert wilson_interval(0, 0) == [0.0, 1.0]
    assert wilson_interval(5, 5) == pytest.approx([0.5655, 1.0], abs=1e-3)


def test_medians_skip_what_a_network_lacks():
    assert median_numbers([{"a": 1.0, "a_se": 0.1}, {"a": 3.0, "b": np.nan}, {"a": 8.0}]) == {"a": 3.0}


def test_bad_input(growing, tmp_path):
    with pytest.raises(FileNotFoundError, match="has no hp.json: train a run"):
        reproduction_report(tmp_path)
    with pytest.raises(ValueError, match="empty list"):
        reproduction_report([])
    with pytest.raises(ValueError, match="more than once"):
        reproduction_report([growing, growing / ".." / "growing"])
    with pytest.raises(ValueError, match="at least 2"):
        reproduction_report(growing, checkpoints_per_stage=1)


def test_networks_of_the_same_name_are_told_apart(tmp_path):
    assert network_names([tmp_path / "a" / "run", tmp_path / "b" / "other"]) == ["run", "other"]
    names = network_names([tmp_path / "a" / "run", tmp_path / "b" / "run"])
    assert names == [str(tmp_path / "a" / "run"), str(tmp_path / "b" / "run")]
