"""Model cards and lists of checksums: of a run, and of every network that the repository has."""

import hashlib
import subprocess
from pathlib import Path

import pytest

from rnn_maturation.model_card import describe
from rnn_maturation.model_directory import load_log
from rnn_maturation.train import train

DATA = Path(__file__).parents[1] / "data"
SHIPPED = [DATA / "6tasks_pretrained", *sorted((DATA / "seeds").glob("*"))]


def listed(folder):
    """Return {file name: checksum} of a list of checksums."""
    lines = (folder / "SHA256SUMS").read_text().splitlines()
    return {name: checksum for checksum, name in (line.split("  ", 1) for line in lines)}


@pytest.mark.parametrize("folder", SHIPPED, ids=lambda folder: folder.name)
def test_every_file_of_a_shipped_network_has_its_checksum(folder):
    tracked = subprocess.run(["git", "ls-files", "."], cwd=folder, capture_output=True, text=True, check=False)
    files = tracked.stdout.splitlines() or [f.relative_to(folder).as_posix() for f in folder.rglob("*") if f.is_file()]
    checksums = listed(folder)
    assert set(files) - set(checksums) <= {"SHA256SUMS", ".lock"}
    for name, checksum in checksums.items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == checksum, name


@pytest.mark.parametrize("folder", SHIPPED, ids=lambda folder: folder.name)
def test_card_of_a_shipped_network_says_what_it_can_do(folder):
    card, log = (folder / "README.md").read_text(), load_log(folder)
    assert f"The network {'reached' if log['perf_min'][-1] > 0.995 else 'had not reached'} its target" in card
    assert f"{log['trials'][-1]:,} trials" in card
    for part in ("Tasks", "Training", "Performance", "Checkpoints", "Limits", "Files"):
        assert f"**{part}.**" in card


def test_a_run_that_did_not_reach_its_target_is_described_as_such(tmp_path):
    hp = {"n_rnn": 8, "batch_size_train": 4, "batch_size_test": 16}
    log = train(tmp_path / "run", hp=hp, rule_trains=["overlap", "gap"], max_steps=2, display_step=1)
    describe(tmp_path / "run", {"end of the run": 8})
    card = (tmp_path / "run" / "README.md").read_text()
    assert "The network had not reached its target" in card and "| 8 | end of the run |" in card
    assert f"| Gap | – | – | – | {log['perf_gap'][-1]:.3f} |" in card
    assert {"hp.json", "log.json", "README.md", "8/checkpoint"} <= set(listed(tmp_path / "run"))
