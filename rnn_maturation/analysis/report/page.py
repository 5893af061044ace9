"""Write the reproduction report as a page of HTML that needs no other file, and as Markdown."""

import base64
from html import escape
from io import BytesIO

from rnn_maturation.analysis.report.data import BEHAVIOR_CHECKPOINTS, DYNAMICS_CHECKPOINTS, MATURE_TRIALS
from rnn_maturation.analysis.report.finding import FAMILIES, NOT_DECIDABLE, NOT_REPRODUCED, REPRODUCED

MARKS = {REPRODUCED: ("✓", "yes"), NOT_REPRODUCED: ("✗", "no"), NOT_DECIDABLE: ("?", "open")}
DPI = 110
STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; color: #1a1a1a; background: #fff; max-width: 1240px; margin: 2em auto;
  padding: 0 1em }
h1 { font-size: 1.5em; margin-bottom: .2em } h2 { font-size: 1.15em; margin-top: 2em }
.summary { font-size: 1.15em } .scroll { overflow-x: auto }
table { border-collapse: collapse; width: 100% }
th, td { text-align: left; vertical-align: top; padding: .45em .6em; border-bottom: 1px solid #ddd }
thead th { border-bottom: 2px solid #888; font-size: .9em } th[scope=row] { font-weight: 600; min-width: 14em }
th.group { background: #f0f2f5; padding-top: .7em } td { min-width: 7em; font-size: .93em }
.small { color: #555; font-size: .86em; font-weight: 400 } details { margin-top: .2em } summary { cursor: pointer }
.verdict { white-space: nowrap; font-weight: 600 }
.yes { color: #17672d } .no { color: #a51a1a } .open { color: #5c5c5c }
figure { margin: 1.2em 0; display: inline-block; vertical-align: top; width: min(600px, 100%) }
figure.wide { width: min(1150px, 100%) } figure img { max-width: 100%; height: auto }
figcaption { color: #444; font-size: .9em }
"""
HOW = (
    "The stages are those of the paper: a checkpoint is mature if the logged performance of the rule is above {mid:g}, "
    "mid if it is above {early:g}, and early otherwise. The report uses checkpoints from the end of a rule's plateau "
    "to {after:,} trials after its maturity, evenly spread, at most {number} per stage; for behavior, at most {few} "
    "per stage. Numbers are means over units, and then over checkpoints. Activity is {activity}."
)
REFERENCE_TEXT = (
    "The reference networks A and B were trained with the code of the original program and TensorFlow 2.21 (seeds 0 "
    "and 2). A mark beside their numbers says whether they meet the criterion."
)
DYNAMICS_TEXT = (
    "The findings of the dynamics are not those of the paper. They say what else changes in the networks of this "
    "program while delay activity grows, and their criteria were fixed on three networks. They use more checkpoints: "
    f"up to {DYNAMICS_CHECKPOINTS} each before, on and after the plateau of ODR, and all that the report uses from the "
    "end of the plateau to maturity."
)
INTERVALS = (
    "A finding is counted among the networks in which it can be decided. The interval is Wilson's 95 % interval of "
    "the proportion. It treats the networks as independent, which is the case if they differ in their seed only."
)


def one_network(report, figures):
    """Return the report of one network.

    Parameters
    ----------
    report : dict
        As `report.judge_run` returns it.
    figures : iterable of (caption, Figure)

    Returns
    -------
    {'html': str, 'md': str}
    """
    title = f"Which findings does {report['network']['name']} reproduce?"
    facts = [_counted(report["counts"]), _network_text(report), REFERENCE_TEXT, DYNAMICS_TEXT]
    activity = (
        "relative to the baseline (fixation) rate (rate / baseline − 1)" if report["normalized"] else "not normalized"
    )
    most = {"number": report["network"]["checkpoints_per_stage"], "few": BEHAVIOR_CHECKPOINTS, "after": MATURE_TRIALS}
    how = HOW.format(activity=activity, **most, **report["levels"])
    tables = _tables(report["findings"], _cells)
    shown = "".join(_html_figure(caption, figure) for caption, figure in figures)
    html = [f"<h2>Figures</h2>{shown}<h2>How it was measured</h2><p>{escape(how)}</p>", _html_stages(report["stages"])]
    markdown = ["## How it was measured", how, _md_criteria(report["findings"])]
    return {"html": _html(title, facts, tables, html), "md": _md(title, facts, tables, markdown)}


def several_networks(report):
    """Return the report over several networks, {'html': str, 'md': str}, from what `report.summarize` returns."""
    title = f"Which findings do {len(report['networks'])} networks reproduce?"
    facts = [INTERVALS, DYNAMICS_TEXT]
    tables = _tables(report["findings"], _counted_cells)
    networks = [f"{_network_text(each)} {_counted(each['counts'])}" for each in report["networks"].values()]
    html = ["<h2>Networks</h2>", *(f"<p>{escape(text)}</p>" for text in networks)]
    markdown = ["## Networks", *networks, _md_criteria(report["findings"])]
    return {"html": _html(title, facts, tables, html), "md": _md(title, facts, tables, markdown)}


# ------------------------------------------------------------------------------------------------- texts and tables


def _counted(counts):
    texts = []
    for family, verdicts in counts.items():
        numbers = ", ".join(f"{number} {verdict}" for verdict, number in verdicts.items())
        texts.append(f"Of {sum(verdicts.values())} {FAMILIES[family]}: {numbers}.")
    return " ".join(texts)


def _network_text(report):
    network, settings = report["network"], report["settings"]
    final = ", ".join(f"{rule} {value:.3f}" for rule, value in network["final_performance"].items())
    text = (
        f"{network['name']}: seed {network['seed']}, {network['trials']:,} training trials, performance at the end "
        f"{final}. "
        f"{network['n_checkpoints_used']} of its {network['n_checkpoints_on_disk']} checkpoints were used."
    )
    if settings:
        changed = ", ".join(f"{key} {ours!r} (paper: {paper!r})" for key, (paper, ours) in settings.items())
        text += f" Settings other than the paper's: {changed}."
    return text


def _tables(findings, cells):
    """Return one table per family, (heading, [(finding, {column: (text, note)})])."""
    tables = []
    for family, name in FAMILIES.items():
        rows = [(finding, cells(finding)) for finding in findings if finding["family"] == family]
        tables.append((f"{len(rows)} {name}", rows))
    return tables


def _cells(finding):
    """Return the cells of a row; only findings of the paper have cells for published numbers and reference networks."""
    marks = {True: "meets it ✓", False: "does not ✗", None: ""}
    cells = {"Criterion": (finding["criterion"], "")}
    if finding["family"] == "paper":
        cells["Published"] = (finding["published"], "")
        cells |= {name: (ref["shown"], marks[ref["meets_criterion"]]) for name, ref in finding["references"].items()}
    return cells | {"This network": (finding["shown"], finding["note"]), "Verdict": (finding["verdict"], "")}


def _counted_cells(finding):
    """Return the cells of a row in the report over several networks."""
    low, high = finding["interval"]
    cells = {}
    if finding["family"] == "paper":
        known = [f"{name}: {ref['shown']}" for name, ref in finding["references"].items() if ref["shown"] != "–"]
        cells["Published (small: reference networks)"] = (finding["published"], "; ".join(known))
    cells["Median"] = (finding["medians_shown"], "")
    cells["Reproduced by"] = (f"{finding['n_reproduced']} of {finding['n_decidable']}", "")
    cells["95 % interval"] = (f"{low:.2f}–{high:.2f}" if finding["n_decidable"] else "–", "")
    return cells | {name: (verdict, finding["shown"][name]) for name, verdict in finding["verdicts"].items()}


# --------------------------------------------------------------------------------------------------------------- HTML


def _html(title, facts, tables, body):
    summary, *rest = (escape(fact) for fact in facts)
    paragraphs = "".join(f"<p>{fact}</p>" for fact in rest)
    shown = "".join(_html_table(*table) for table in tables)
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head><body>"
        f'<h1>{escape(title)}</h1><p class="summary">{summary}</p>{paragraphs}{shown}{"".join(body)}</body></html>\n'
    )


def _html_table(heading, rows):
    head = ["Finding", *rows[0][1]]
    columns = "".join(f'<th scope="col">{escape(name)}</th>' for name in head)
    lines, group = [], None
    for finding, cells in rows:
        if finding["group"] != group:
            group = finding["group"]
            lines.append(f'<tr><th class="group" scope="rowgroup" colspan="{len(head)}">{escape(group)}</th></tr>')
        source = f' <span class="small">{escape(finding["source"])}</span>' if finding["source"] else ""
        why = f"{escape(finding['criterion'])}. <i>Why:</i> {escape(finding['reason'])}"
        why = f'<details class="small"><summary>Criterion, and why</summary>{why}</details>'
        line = f'<th scope="row">{escape(finding["claim"])}{source}{why}</th>'
        for text, note in cells.values():  # one line per part between semicolons, and the note below in small print
            shown = "<br>".join(map(escape, text.split("; ")))
            if text in MARKS:
                mark, color = MARKS[text]
                shown = f'<span class="verdict {color}">{mark} {escape(text)}</span>'
            line += f"<td>{shown}" + (f'<div class="small">{escape(note)}</div>' if note else "") + "</td>"
        lines.append(f"<tr>{line}</tr>")
    table = f"<table><thead><tr>{columns}</tr></thead><tbody>{''.join(lines)}</tbody></table>"
    return f'<h2>{escape(heading)}</h2><div class="scroll">{table}</div>'


def _html_figure(caption, figure):
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI, metadata={"Software": None})
    data = base64.b64encode(buffer.getvalue()).decode("ascii")
    wide = ' class="wide"' if figure.get_figwidth() > 8 else ""
    image = f'<img alt="{escape(caption)}" src="data:image/png;base64,{data}">'
    return f"<figure{wide}>{image}<figcaption>{escape(caption)}</figcaption></figure>"


def _html_stages(stages):
    items = []
    for rule, of_rule in stages.items():
        texts = [f"{stage} {', '.join(f'{trial:,}' for trial in trials)}" for stage, trials in of_rule.items()]
        items.append(f"<li>{escape(rule)}: {escape('; '.join(texts) or 'none')}</li>")
    return f'<details class="small"><summary>Checkpoints used</summary><ul>{"".join(items)}</ul></details>'


# ----------------------------------------------------------------------------------------------------------- Markdown


def _md(title, facts, tables, body):
    shown = []
    for heading, rows in tables:
        head = ["Finding", *rows[0][1]]
        lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
        for finding, cells in rows:
            texts = [f"{MARKS[text][0]} {text}" if text in MARKS else text for text, _ in cells.values()]
            notes = [f" ({note})" if note else "" for _, note in cells.values()]
            texts = [(text + note).replace("|", "/") for text, note in zip(texts, notes, strict=True)]
            lines.append(f"| {' | '.join([finding['claim'], *texts])} |")
        shown += [f"## {heading}", "\n".join(lines)]
    return "\n\n".join([f"# {title}", *facts, *shown, *body]) + "\n"


def _md_criteria(findings):
    reasons = [f"- {finding['claim']}: {finding['criterion']}. {finding['reason']}" for finding in findings]
    return "\n".join(["## Criteria, and why", "", *reasons])
