"""Measure and judge which findings of the paper and of the dynamics a network reproduces, and write this as a page."""

import json
from pathlib import Path

import numpy as np
from statsmodels.stats.proportion import proportion_confint

from rnn_maturation.analysis.report import page
from rnn_maturation.analysis.report.data import FEWEST_CHECKPOINTS, TrainedRun
from rnn_maturation.analysis.report.figures import report_figures
from rnn_maturation.analysis.report.finding import (
    FAMILIES,
    NOT_DECIDABLE,
    REFERENCES,
    REPRODUCED,
    VERDICTS,
    NotDecidable,
    has_needed,
    is_number,
    judge,
    show,
)
from rnn_maturation.analysis.report.findings import FINDINGS
from rnn_maturation.checks import check_whole_number, quoted
from rnn_maturation.files import atomic_write
from rnn_maturation.hyperparameters import PAPER_HP, PAPER_RULESET, changed_keys, complete_hp, plain
from rnn_maturation.model_directory import figure_dir

NOT_A_SETTING = {"seed", "rule_trains", "rules", "rule_probs", "save_name", "c_intsyn", "ksi_intsyn"}


def reproduction_report(model_dir, checkpoints_per_stage=40, folder=None, save=True):
    """Judge which findings one network, or each of several networks, reproduces; write report.html, .md and .json.

    The findings of the paper and those of the dynamics behind ODR's delay are counted separately. Activity is computed
    at some checkpoints of each rule and stage, from the end of the rule's plateau to 38,400 trials after its maturity.
    A finding for which checkpoints or rules are missing is 'not decidable here'. `findings.FINDINGS` has the criteria,
    with tolerance and reason. Nothing is written to the model directory.

    Parameters
    ----------
    model_dir : str or list of str
        One run, or a list of runs. For a list, findings are counted over the networks, with Wilson's 95 % interval, and
        numbers are medians.
    checkpoints_per_stage : int
        Maximum number of checkpoints per rule and stage, at least 2.
    folder : str, optional
        Folder for the report; default: figure/figure_<model>, or figure/figure_of_<n>_networks for a list.
    save : bool
        Write the report. If False, it is only returned, without 'files'.

    Returns
    -------
    dict
        The content of report.json. For one run: 'network', 'settings', 'stages', 'normalized', 'levels', 'findings' (a
        list of dicts with the claim, the published, reference and own numbers, 'verdict' and 'note'), 'counts'
        ({family: {verdict: number}}) and 'files'. For a list: 'networks', 'findings' (with 'n_reproduced',
        'n_decidable', 'interval', 'medians', and 'verdicts' of each network) and 'files'.

    Raises
    ------
    FileNotFoundError
        If a directory is not that of a run.
    ValueError
        If the list is empty or has a directory twice, or if checkpoints_per_stage is less than 2.
    """
    check_whole_number("checkpoints_per_stage", checkpoints_per_stage, at_least=FEWEST_CHECKPOINTS)
    if isinstance(model_dir, str | Path):
        run = TrainedRun(model_dir, checkpoints_per_stage)
        report = judge_run(run)
        pages = page.one_network(report, report_figures(run))
        default = figure_dir(model_dir)
    else:
        model_dirs = list(model_dir)
        names = network_names(model_dirs)
        reports = (judge_run(TrainedRun(one, checkpoints_per_stage)) for one in model_dirs)  # one in memory at a time
        report = summarize(dict(zip(names, reports, strict=True)))
        pages = page.several_networks(report)
        default = Path("figure") / f"figure_of_{len(names)}_networks"
    if not save:
        return report
    folder = Path(folder or default)
    folder.mkdir(parents=True, exist_ok=True)
    files = {ending: str(folder / f"report.{ending}") for ending in ("html", "md", "json")}
    report = {**report, "files": files}
    text = json.dumps(json_ready(report), indent=1, ensure_ascii=False, allow_nan=False)
    for ending, content in {**pages, "json": text}.items():
        with atomic_write(files[ending]) as temporary:
            temporary.write_text(content, encoding="utf-8")
    return report


# ------------------------------------------------------------------------------------------------------- one network


def judge_run(run):
    """Return everything that the report says about one network, apart from its figures."""
    findings = [judge_finding(finding, run) for finding in FINDINGS]
    verdicts = {family: [found["verdict"] for found in findings if found["family"] == family] for family in FAMILIES}
    changed = changed_keys(complete_hp({**PAPER_HP, "ruleset": PAPER_RULESET}), run.hp)  # {key: (paper's, this one's)}
    return {
        "network": {
            "model_dir": run.model_dir,
            "name": figure_dir(run.model_dir).name.removeprefix("figure_"),
            "seed": plain(run.hp.get("seed")),
            "trials": run.log["trials"][-1],
            "n_checkpoints_on_disk": len(run.on_disk),
            "n_checkpoints_used": len({t for stages in run.stages.values() for ts in stages.values() for t in ts}),
            "checkpoints_per_stage": run.checkpoints_per_stage,
            "final_performance": {rule: float(run.performance(rule)[-1]) for rule in run.rules},
        },
        "settings": {key: list(values) for key, values in changed.items() if key not in NOT_A_SETTING},
        "stages": run.stages,
        "normalized": run.norm,
        "levels": {stage: run.hp[f"{stage}_target_perf"] for stage in ("early", "mid")},
        "findings": findings,
        "counts": {f: {verdict: of_f.count(verdict) for verdict in VERDICTS.values()} for f, of_f in verdicts.items()},
    }


def judge_finding(finding, run):
    """Return a row of the report: a finding with the numbers of a run and the verdict."""
    try:
        measured = finding.measure(run)
        numbers, note = measured.numbers, measured.note
        holds = judge(finding, numbers)
        if holds is None:
            why_open = "a number of the criterion is missing: too few checkpoints, or no such units, in a stage"
            if has_needed(finding, numbers):
                why_open = "a step is less than twice its standard error: a larger checkpoints_per_stage may tell"
            note = "; ".join(filter(None, [note, why_open]))
    except NotDecidable as reason:
        numbers, note, holds = {}, str(reason), None
    return {
        **described(finding),
        "numbers": {name: float(value) for name, value in numbers.items()},
        "shown": show(finding, numbers),
        "verdict": VERDICTS[holds],
        "note": note,
    }


def described(finding):
    """Return what is known about a finding without a network: claim, criterion, published and reference numbers."""
    texts = ("key", "family", "group", "claim", "source", "criterion", "reason")
    return {
        **{name: getattr(finding, name) for name in texts},
        "published": show(finding, finding.published),
        "references": {
            name: {"shown": show(finding, numbers), "meets_criterion": judge(finding, numbers)}
            for name, numbers in zip(REFERENCES, finding.references, strict=True)
        },
    }


# -------------------------------------------------------------------------------------------------- several networks


def network_names(model_dirs):
    """Return a name for each directory: its last part, or the whole path where several have the same.

    Raises
    ------
    ValueError
        If there is no directory, or if one is given more than once.
    """
    if not model_dirs:
        raise ValueError("reproduction_report was given an empty list: name at least one model directory.")
    paths = [Path(model_dir).resolve() for model_dir in model_dirs]
    twice = {str(path) for path in paths if paths.count(path) > 1}
    if twice:
        raise ValueError(f"Name each model directory once. Given more than once: {quoted(sorted(twice), limit=300)}.")
    last = [path.name for path in paths]
    return [str(m) if last.count(name) > 1 else name for m, name in zip(model_dirs, last, strict=True)]


def summarize(reports):
    """Return the findings counted over networks.

    Parameters
    ----------
    reports : {name: dict}
        What `judge_run` returned for each network.
    """
    findings = [count_finding(number, finding, reports) for number, finding in enumerate(FINDINGS)]
    networks = {
        name: {key: report[key] for key in ("network", "settings", "stages", "counts")}
        for name, report in reports.items()
    }
    return {"networks": networks, "findings": findings}


def count_finding(number, finding, reports):
    """Return a row of the report over several networks."""
    rows = {name: report["findings"][number] for name, report in reports.items()}
    verdicts = [row["verdict"] for row in rows.values()]
    n_reproduced = verdicts.count(REPRODUCED)
    n_decidable = len(verdicts) - verdicts.count(NOT_DECIDABLE)
    medians = median_numbers([row["numbers"] for row in rows.values()])
    return {
        **described(finding),
        "n_reproduced": n_reproduced,
        "n_decidable": n_decidable,
        "interval": wilson_interval(n_reproduced, n_decidable),
        "medians": medians,
        "medians_shown": show(finding, medians),
        "verdicts": {name: row["verdict"] for name, row in rows.items()},
        "numbers": {name: row["numbers"] for name, row in rows.items()},
        "shown": {name: row["shown"] for name, row in rows.items()},
        "notes": {name: row["note"] for name, row in rows.items()},
    }


def wilson_interval(n_successes, n):
    """Return Wilson's 95 % interval of a proportion, or [0, 1] if nothing was counted."""
    if n == 0:
        return [0.0, 1.0]
    return [float(bound) for bound in proportion_confint(n_successes, n, alpha=0.05, method="wilson")]


def median_numbers(numbers_of_networks):
    """Return the median of each number over the networks that have it.

    Standard errors are left out, because they are those of single networks.
    """
    names = dict.fromkeys(name for numbers in numbers_of_networks for name in numbers if not name.endswith("_se"))
    known = {name: [n[name] for n in numbers_of_networks if is_number(n.get(name))] for name in names}
    return {name: float(np.median(values)) for name, values in known.items() if values}


def json_ready(value):
    """Return a copy of a value with text as keys, and with None for nan and infinite numbers, which JSON lacks."""
    if isinstance(value, dict):
        return {str(key): json_ready(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [json_ready(item) for item in value]
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return plain(value)
