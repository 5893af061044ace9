"""sweep.csv: what the folders of runs and earlier sweeps tell."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from small_runs import GOLDEN_RUN, change_log, cut, put_run

from rnn_maturation.files import lock
from rnn_maturation.model_directory import load_log
from rnn_maturation.sweep import (
    TrainingRun,
    find_runs,
    plot_sweep_summary,
    sweep_table,
    table_text,
    trials_to_criterion,
    write_table,
)
from rnn_maturation.sweep.table import CRITERIA

CROSSINGS = {  # of the original's run, thousand trials
    "overlap": (24, 55, 61), "zero_gap": (26, 55, 61), "gap": (35, 50, 61), "gap500": (26, 50, 61),
    "odr": (396, 425, 474), "odrd": (397, 452, 486),
}  # fmt: skip


@pytest.mark.parametrize("rule", CROSSINGS)
def test_trials_to_criterion_are_those_told_of_the_originals_run(rule):
    log = load_log(GOLDEN_RUN)
    found = [round(trials_to_criterion(log, rule, criterion) / 1000) for criterion in CRITERIA]
    assert tuple(found) == CROSSINGS[rule]


def test_a_criterion_that_is_never_reached_is_none():
    assert trials_to_criterion({"trials": [0, 4], "perf_odr": [0.1, 0.2]}, "odr", 0.35) is None


def test_the_table_tells_what_folders_tell(tmp_path):
    put_run(tmp_path, "6tasks", target_perf=0.99)
    cut(put_run(tmp_path, "6tasks_seed3", target_perf=0.99), 100)
    (put_run(tmp_path, "indi_odr") / "log.json").write_text("{")
    (put_run(tmp_path, "indi_gap") / "log.json").unlink()
    table = sweep_table(find_runs(tmp_path)).set_index(["variant", "seed"])
    assert table["state"].to_dict() == {
        ("6tasks", 0): "trained", ("6tasks", 3): "unfinished", ("indi_odr", 0): "failed", ("indi_gap", 0): "unfinished"
    }  # fmt: skip
    log = load_log(tmp_path / "6tasks")
    row = table.loc["6tasks", 0]
    assert (row["trials"], row["perf_min"], row["perf_odrd"]) == (488960, log["perf_min"][-1], log["perf_odrd"][-1])
    assert row["wall_s"] == round(log["times"][-1], 1) and row["odr_to_0.35"] == 395520
    assert pd.isna(table.loc["6tasks", 3]["odr_to_0.35"]) and "damaged" in table.loc["indi_odr", 0]["message"]


def test_how_earlier_runs_ended_stays_in_the_file_until_they_are_trained(tmp_path):
    for seed in (1, 2, 3):
        cut(put_run(tmp_path, f"6tasks_seed{seed}", target_perf=0.99), 100)
    ended = {TrainingRun("6tasks", seed, str(tmp_path)): ("limit", f'line {seed}\n, "x"') for seed in (1, 2)}
    write_table(tmp_path, ended)
    shutil.rmtree(tmp_path / "6tasks_seed2")
    put_run(tmp_path, "6tasks_seed2", target_perf=0.99)
    (tmp_path / "6tasks_seed4").mkdir()
    shutil.copy(tmp_path / "6tasks_seed1" / "hp.json", tmp_path / "6tasks_seed4")  # ended before its first evaluation
    write_table(tmp_path, {TrainingRun("6tasks", 4, str(tmp_path)): ("failed", "no room")})
    write_table(tmp_path, {TrainingRun("6tasks", 3, str(tmp_path)): ("diverged", "")})
    table = pd.read_csv(tmp_path / "sweep.csv").set_index("seed")
    assert table["state"].to_dict() == {1: "limit", 2: "trained", 3: "diverged", 4: "failed"}
    assert table.loc[4, "message"] == "no room"
    assert table.loc[1, "message"] == 'line 1\n, "x"'
    assert sorted(os.listdir(tmp_path)) == [*(f"6tasks_seed{seed}" for seed in (1, 2, 3, 4)), "sweep.csv"]


@pytest.mark.parametrize("content", ["variant,seed\n6tasks\n,,\nx,y,z\n", "variant,seed\n" + "x" * 200_000, "\0"])
def test_a_damaged_file_of_earlier_sweeps_does_no_harm(tmp_path, content):
    put_run(tmp_path, "6tasks", target_perf=0.99)
    (tmp_path / "sweep.csv").write_text(content)
    assert write_table(tmp_path)["state"].tolist() == ["trained"]


def test_a_run_that_cannot_be_read_is_a_line_of_the_table_and_left_out_of_figures(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    put_run("data", "6tasks", target_perf=0.99)
    damages = [
        {"trials": [0]}, {"perf_min": "no"}, {"times": "no"}, {"perf_min": 0.5}, {"perf_gap": 1},
        {"times": [1e300] * 383}, {"times": [10**400] * 383},
    ]  # fmt: skip
    for seed, changes in enumerate(damages, 1):
        change_log(put_run("data", f"indi_odr_seed{seed}"), **changes)
    (put_run("data", "indi_gap") / "hp.json").write_text("{")
    (put_run("data", "indi_gap_seed1") / "log.json").unlink()
    Path("data/indi_gap_seed1/log.json").mkdir()
    table = write_table("data")
    assert table["state"].tolist() == ["trained"] + ["failed"] * 9
    assert table["message"][1:].str.contains("log.json|hp.json").all()
    assert len(table_text(table).splitlines()) == 11
    with pytest.warns(UserWarning, match="A run is left out: .*(log|hp).json") as warned:
        assert plot_sweep_summary()["variant"].tolist() == ["6tasks"]
    assert len([w for w in warned if "left out" in str(w.message)]) == 9


def test_a_run_that_is_being_trained_is_running_whatever_was_said_of_it(tmp_path):
    run = TrainingRun("6tasks", 0, str(tmp_path))
    cut(put_run(tmp_path, "6tasks", target_perf=0.99), 100)
    for state in ("limit", "stopped", "refused", "waiting", "running"):
        with lock(run.model_dir):
            told = write_table(tmp_path, {run: (state, "earlier")})
        assert told[["state", "message"]].values.tolist() == [["running", ""]]
    for earlier in ("limit", "diverged"):
        write_table(tmp_path, {run: (earlier, "why")})
        with lock(run.model_dir):
            assert write_table(tmp_path)["state"].tolist() == ["running"]
            assert sweep_table([run])["state"].tolist() == ["running"]
        assert sweep_table([run])["state"].tolist() == ["unfinished"]
    # another sweep has written how it ended, which this one, that was not let in, must not replace
    write_table(tmp_path, {run: ("limit", "why")})
    assert write_table(tmp_path, {run: ("running", "in use")})["message"].tolist() == ["why"]


def test_a_lock_file_of_a_killed_process_is_no_training(processes, tmp_path):
    command = [sys.executable, "-c", "import sys, time; from rnn_maturation.files import lock\n"
               "with lock(sys.argv[1]):\n    print(flush=True); time.sleep(600)", str(tmp_path / "6tasks")]  # fmt: skip
    run = TrainingRun("6tasks", 0, str(tmp_path))
    process = processes.start(command, stdout=subprocess.PIPE)
    process.stdout.readline()
    assert sweep_table([run])["state"].tolist() == ["running"]
    process.kill()
    process.communicate()
    text = (tmp_path / "6tasks" / ".lock").read_text()
    assert sweep_table([run])["state"].tolist() == ["unfinished"]
    assert text == f"{process.pid}\n" == (tmp_path / "6tasks" / ".lock").read_text()
    assert sweep_table([TrainingRun("6tasks", 1, str(tmp_path))])["state"].tolist() == ["unfinished"]
    assert os.listdir(tmp_path) == ["6tasks"]


def test_what_another_sweep_has_trained_to_its_target_is_trained(tmp_path):
    put_run(tmp_path, "6tasks", target_perf=0.99)
    run = TrainingRun("6tasks", 0, str(tmp_path))
    assert write_table(tmp_path, {run: ("limit", "why")})["state"].tolist() == ["trained"]
    assert write_table(tmp_path, {run: ("refused", "why")})["state"].tolist() == ["refused"]


def test_the_printed_table_has_a_line_a_run(tmp_path):
    put_run(tmp_path, "6tasks", target_perf=0.99)
    runs = [TrainingRun("6tasks", 0, str(tmp_path)), TrainingRun("6tasks", 1, str(tmp_path))]
    lines = table_text(sweep_table(runs, {runs[1]: ("refused", "why")})).splitlines()
    assert lines[1].split()[:3] == ["6tasks", "trained", "488,960"]
    assert lines[2].split()[:2] == ["6tasks_seed1", "refused"]
