"""What many runs leave behind: their model directories and nothing else."""

import tempfile
from pathlib import Path

import pytest

from rnn_maturation.sweep import choose_runs, train_runs

pytestmark = pytest.mark.slow

TINY = {"n_rnn": 8, "batch_size_train": 4, "batch_size_test": 16, "target_perf": 1.0}
N_RUNS = 50


def processes_that_name(text):
    """Command lines of this machine's processes that have a text."""
    commands = (path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists())
    return [command.decode(errors="replace") for command in commands if text.encode() in command]


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="processes are looked up in /proc")
def test_fifty_runs_leave_no_process_no_lock_and_no_temporary_file(tmp_path, monkeypatch):
    root, temporary = tmp_path / "data", tmp_path / "temporary"
    root.mkdir()
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    monkeypatch.setattr(tempfile, "tempdir", None)  # so that TMPDIR is read again
    runs = choose_runs(["indi_gap"], range(N_RUNS), root)
    table = train_runs(runs, threads=1, hp=TINY, max_trials=16, display_step=2)
    assert table["state"].tolist() == ["limit"] * N_RUNS
    assert not processes_that_name(str(root))
    assert not list(tmp_path.rglob(".*")) and not list(temporary.iterdir())
    assert {str(path) for path in root.iterdir() if path.is_dir()} == {run.model_dir for run in runs}
