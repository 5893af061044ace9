"""README is short, and lists every finding; the page on many networks says what the logs of the five seeds say."""

from pathlib import Path

import pandas as pd

from rnn_maturation.analysis.report.findings import FINDINGS
from rnn_maturation.sweep import find_runs, sweep_table

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
MANY_NETWORKS = (ROOT / "docs" / "many-networks.md").read_text(encoding="utf-8")


def test_readme_is_short():
    assert len(README.splitlines()) <= 150


def test_readme_has_one_row_per_finding():
    table = README.split("## What was found")[1].split("\n## ")[0]
    rows = [line.split("|")[1:-1] for line in table.splitlines() if line.startswith("| ") and "| finding |" not in line]
    heading = [row[0].strip().startswith("**") for row in rows]
    dynamics = next(number for number, row in enumerate(rows) if row[0].strip().startswith("**Dynamics**"))
    assert all(len(row) == 3 for row in rows)
    for part, family in ((slice(dynamics), "paper"), (slice(dynamics, None), "dynamics")):
        n_rows = heading[part].count(False)
        assert n_rows == sum(finding.family == family for finding in FINDINGS), family
    assert all(row[2].strip() for row, is_heading in zip(rows, heading, strict=True) if not is_heading)


def test_what_holds_over_seeds_is_told_by_the_logs_that_come_along():
    table = sweep_table(find_runs(ROOT / "docs" / "seeds"))
    written = pd.read_csv(ROOT / "docs" / "seeds" / "sweep.csv")
    told = [column for column in table if column not in ("message", "wall_s")]
    assert table[told].astype(object).to_numpy().tolist() == written[told].astype(object).to_numpy().tolist()
    text = " ".join(MANY_NETWORKS.split())
    *most, last = sorted(table["odr_to_0.35"])
    assert f"after {', '.join(f'{n:,}' for n in most)} and {last:,} trials, a factor of {last / most[0]:.1f}" in text
    anti_saccades = table[[f"{rule}_to_0.95" for rule in ("overlap", "zero_gap", "gap", "gap500")]]
    assert f"within {anti_saccades.min().min():,} to {anti_saccades.max().max():,} trials" in text
    assert (anti_saccades.max(axis=1) < table[["odr_to_0.35", "odrd_to_0.35"]].min(axis=1)).all()
    assert f"{table['trials'].min():,} to {table['trials'].max():,} trials" in text
