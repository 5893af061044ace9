"""The report on whole networks made by hand, on several networks, and its pages."""

import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from made_runs import all_curves, curve, made_network, write_log

from rnn_maturation.analysis import reproduction_report
from rnn_maturation.analysis.report.data import TrainedRun
from rnn_maturation.analysis.report.finding import NOT_DECIDABLE, REPRODUCED
from rnn_maturation.analysis.report.findings import FINDINGS, LEARNING
from rnn_maturation.analysis.report.report import (
    judge_run,
    median_numbers,
    network_names,
    summarize,
    wilson_interval,
)
from rnn_maturation.task import rules_dict

TOTALS = {"paper": 21, "dynamics": 5}
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
    return judge_run(TrainedRun(shrinking, checkpoints_per_stage=2))


def verdicts(report):
    return {finding["key"]: finding["verdict"] for finding in report["findings"]}


LEARNED = {finding.key for finding in LEARNING.findings}
GROWING = ("odrd_cue", "odr_delay", "odrd_delay2", "anti_saccade", "tuning_height")


def test_network_made_to_mature(report_of_growing):
    found = verdicts(report_of_growing)
    there = {*LEARNED, *GROWING, "tuning_width", "n_selective", "same_location", "saccade"}
    there |= {"decoder_before", "decoder_delay", "dpca"}
    assert {key for key, verdict in found.items() if verdict == REPRODUCED} >= there
    assert found["decoder_dynamic"] != REPRODUCED  # its memory is stable
    assert found["distractor_stage"] != REPRODUCED  # it answers opposite to the cue
    assert found["oscillating_mode"] != REPRODUCED  # and does not rotate
    assert {family: sum(counts.values()) for family, counts in report_of_growing["counts"].items()} == TOTALS


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
    assert report["counts"] == {
        "paper": {REPRODUCED: 5, "not reproduced": 0, NOT_DECIDABLE: 16},
        "dynamics": {REPRODUCED: 0, "not reproduced": 0, NOT_DECIDABLE: 5},
    }
    notes = {finding["key"]: finding["note"] for finding in report["findings"]}
    assert notes["odrd_cue"] == "odrd has 0 early checkpoints on disk, 2 are needed"


@pytest.mark.parametrize("ruleset", [name for name in rules_dict if {*rules_dict[name]} & {*rules_dict["all_new"]}])
def test_rules_that_a_network_does_not_have_are_said_not_raised(ruleset, tmp_path):
    curves = {rule: values for rule, values in all_curves().items() if rule in rules_dict[ruleset]}
    report = reproduction_report(write_log(tmp_path / "run", curves, ruleset=ruleset), folder=tmp_path)
    notes = {finding["key"]: finding["note"] for finding in report["findings"]}
    for rule, finding in (("odrd", "distractor_stage"), ("gap", "saccade")):
        assert (f"not trained on {rule}" in notes[finding]) == (rule not in rules_dict[ruleset])


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
    assert page.tags.count("figure") == page.tags.count("img") == 15
    for finding in report_of_growing["findings"]:
        assert re.search(re.escape(finding["claim"]).replace("'", "&#x27;"), text)


def test_json_and_markdown_say_the_same(report_of_growing):
    read = json.loads(open(report_of_growing["files"]["json"], encoding="utf-8").read())
    assert verdicts(read) == verdicts(report_of_growing) and read["files"] == report_of_growing["files"]
    markdown = open(report_of_growing["files"]["md"], encoding="utf-8").read()
    rows = [line for line in markdown.splitlines() if line.startswith("| ")]
    heads = [number for number, row in enumerate(rows) if row.startswith("| Finding |")]
    assert heads == [0, 22] and len(rows) == 2 + len(FINDINGS)
    assert all(len({row.count("|") for row in table}) == 1 for table in (rows[:22], rows[22:]))
    assert "Published" in rows[0] and "Published" not in rows[22]


def test_families_are_counted_apart(report_of_growing):
    for ending in ("html", "md"):
        text = open(report_of_growing["files"][ending], encoding="utf-8").read()
        assert re.search(r"Of 21 findings of the paper: \d+ reproduced", text)
        assert re.search(r"Of 5 findings of the dynamics: \d+ reproduced", text)
        headings = ("21 findings of the paper", "5 findings of the dynamics")
        marks = ("<h2>{}</h2>", "\n## {}\n")[ending == "md"]
        assert all(marks.format(heading) in text for heading in headings)


def test_names_are_shown_not_interpreted(growing, tmp_path):
    folder = tmp_path / "<b>&run"
    folder.mkdir()
    for name in ("hp.json", "log.json"):
        (folder / name).write_bytes((growing / name).read_bytes())
    text = open(reproduction_report(folder, folder=tmp_path)["files"]["html"], encoding="utf-8").read()
    assert "<b>" not in text and "&lt;b&gt;&amp;run" in text


# -------------------------------------------------------------------------------------------------- several networks


def test_counts_over_networks(report_of_growing, report_of_shrinking):
    report = summarize({"growing": report_of_growing, "shrinking": report_of_shrinking})
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
    markdown = open(report["files"]["md"], encoding="utf-8").read()
    assert "good: seed 1" in markdown and "Of 21 findings of the paper: 5 reproduced, 0 not reproduced" in markdown


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
