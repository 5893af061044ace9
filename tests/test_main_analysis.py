import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from rnn_maturation.task import TASKS_VARIABLE

ROOT = Path(__file__).parents[1]


def run_script(folder, *arguments):
    command = [sys.executable, str(ROOT / "Main_analysis.py"), *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=900)


def test_without_a_run_it_says_what_to_do(tmp_path):
    done = run_script(tmp_path, "--modeldir", "nowhere")
    assert done.returncode == 1
    assert "nowhere has no hp.json: train a run with Main_training.py first" in done.stderr
    assert "Traceback" not in done.stderr


OWN_TASKS = """
from rnn_maturation.task import Task, register_ruleset, register_task


def only_fixate(trial, stim1, is_test):
    trial.y[:, :, 0] = 0.8


register_task("hold", Task("Hold", {"fix1": 1000, "stim1": 500}, draw=only_fixate))
register_ruleset("own_set", ["odr", "two_items", "hold"])
"""
TRAIN = """
from rnn_maturation.model_directory import save_log
from rnn_maturation.train import train

hp = {"n_rnn": 12, "batch_size_train": 4, "batch_size_test": 16}
log = train("data/run", hp=hp, max_steps=6, display_step=1, ruleset="own_set", rule_trains=["two_items", "hold"])
log["perf_two_items"] = log["perf_hold"] = [0.2, 0.35, 0.35, 0.65, 0.65, 0.95, 0.95]  # as if it had learned them
save_log(log)
"""


def test_a_network_with_tasks_of_ones_own_is_analyzed_too(tmp_path):
    files = [str(ROOT / "examples" / "own_tasks.py"), str(tmp_path / "tasks.py")]  # odr is not trained, odrd not there
    Path(files[1]).write_text(OWN_TASKS)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), TASKS_VARIABLE: os.pathsep.join(files)}
    subprocess.run([sys.executable, "-c", TRAIN], cwd=tmp_path, env=environment, capture_output=True, check=True)
    done = run_script(tmp_path, "--tasks", *files, "--modeldir", "data/run")
    assert done.returncode == 0, done.stderr
    assert "hold: its activity is not analyzed. The trials of rule hold show no stimulus" in done.stdout
    folder = tmp_path / "figure" / "figure_run"
    for pattern in ("report.html", "two_items/stim1/*/*_PSTH.png", "two_items/delay2/*/*_tuning_analysis.png"):
        assert list(folder.glob(pattern)), pattern


@pytest.mark.slow
def test_all_figures_of_the_pretrained_run_from_any_working_directory(tmp_path):
    shutil.copytree(ROOT / "data/6tasks_pretrained", tmp_path / "data/6tasks_pretrained")
    done = run_script(tmp_path, "--formats", "png", "pdf", "svg")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].endswith("in figure/figure_6tasks_pretrained")
    assert "Warning" not in done.stderr and "Traceback" not in done.stderr
    folder = tmp_path / "figure/figure_6tasks_pretrained"
    by_format = [{file.with_suffix("") for file in folder.rglob(f"*.{ending}")} for ending in ("png", "pdf", "svg")]
    assert by_format[0] == by_format[1] == by_format[2] and len(by_format[0]) > 60
    for stem in (
        "growth_of_performance",
        "odrd/odrd_distractor_analysis_by_growth",
        "gap/saccade_distribut_analysis_by_growth",
    ):
        assert folder / stem in by_format[0]
    assert not list((tmp_path / "data").rglob("H_*.pkl"))
