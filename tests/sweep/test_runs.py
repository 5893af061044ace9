"""Training runs side by side on this machine: how each ends, Ctrl-C, kills, locks, links; the script's options."""

import contextlib
import os
import signal
import sys
import threading
import time
from pathlib import Path

import pandas as pd
import pytest
from small_runs import (
    HP_OPTION,
    LONG,
    TINY,
    assert_same_run,
    cut,
    evaluations,
    processes_of,
    put_run,
    start_script,
    train_alone,
    wait_for,
)

import Training_with_diff_HyperParameters
from rnn_maturation import cpu
from rnn_maturation.files import lock, open_no_link
from rnn_maturation.model_directory import load_log
from rnn_maturation.sweep import TrainingRun, choose_runs, train_runs
from rnn_maturation.sweep import runs as sweep_runs
from rnn_maturation.sweep.cluster import connect
from rnn_maturation.sweep.variants import COMMON

ENDLESS = ["--hp", *HP_OPTION, "--max_trials", 10**6, "--display_step", "20"]  # more than can be done before a signal


def test_shares_fill_the_cores():
    cores = cpu.n_cores()
    assert sweep_runs._shares(100, None, None, None)[0] <= cores
    assert sweep_runs._shares(1, None, None, None) == (1, cores)
    assert sweep_runs._shares(3, 2, 5, None) == (2, 5)
    assert sweep_runs._shares(3, None, None, "tcp://somewhere") == (3, 1)
    with pytest.raises(ValueError, match="jobs must be a whole number of at least 1"):
        sweep_runs._shares(3, 0, None, None)


def test_each_run_has_its_state_and_none_ends_the_others(tmp_path, capfd):
    root = str(tmp_path)
    (tmp_path / "indi_overlap").write_text("not a folder")
    cut(put_run(tmp_path, "indi_odr"), 100)
    limit, failed, refused = (TrainingRun(name, 0, root) for name in ("indi_gap", "indi_overlap", "indi_odr"))
    table = train_runs([limit, failed, refused], jobs=2, threads=1, hp=TINY, max_trials=40, display_step=5)
    assert table["state"].tolist() == ["limit", "failed", "refused"]
    assert "reached its maximum of 40 trials" in table["message"][0] and "exists" in table["message"][1].lower()
    assert "other hyper-parameters" in table["message"][2]
    diverging = {**TINY, "learning_rate": 1e30, "activation": "relu", "optimizer": "sgd"}
    table = train_runs([TrainingRun("indi_zero_gap", 3, root)], hp=diverging, max_trials=400)
    assert table["state"].tolist() == ["diverged"]
    easy = {**TINY, "target_perf": 0}
    table = train_runs([TrainingRun("indi_zero_gap", 4, root)], hp=easy, max_trials=4000, display_step=5)
    assert table["state"].tolist() == ["trained"]

    saved = pd.read_csv(tmp_path / "sweep.csv").set_index(["variant", "seed"])["state"]
    assert saved.to_dict() == {
        ("indi_gap", 0): "limit", ("indi_odr", 0): "refused", ("indi_zero_gap", 3): "diverged",
        ("indi_zero_gap", 4): "trained",
    }  # fmt: skip
    printed = capfd.readouterr().out
    assert "indi_gap: limit" in printed and "Now training" not in printed
    assert "Now training" in (tmp_path / "indi_gap" / "training.log").read_text()
    assert not list(tmp_path.rglob(".*")) and not processes_of(tmp_path)


def test_the_file_tells_how_far_runs_are_while_they_are_trained(tmp_path, monkeypatch):
    monkeypatch.setattr(sweep_runs, "SAVE_S", 1e9)
    file, runs = tmp_path / "sweep.csv", choose_runs(["indi_gap", "indi_overlap"], root=tmp_path)
    settings = {"hp": TINY, "max_trials": 1600, "display_step": 20, "jobs": 1}
    thread = threading.Thread(target=train_runs, args=(runs,), kwargs=settings)
    thread.start()
    try:
        wait_for(lambda: file.exists() and (pd.read_csv(file)["state"] == "running").any(), 60)
        monkeypatch.setattr(sweep_runs, "SAVE_S", 0)
        wait_for(lambda: (pd.read_csv(file)["trials"] > 0).any(), 60)
    finally:
        thread.join(120)
    assert pd.read_csv(file)["state"].tolist() == ["limit", "limit"]


def test_hyper_parameters_that_no_run_can_have_are_refused_before_anything_begins(tmp_path):
    with pytest.raises(ValueError, match="unknown key 'n_rn'"):
        train_runs([TrainingRun("indi_gap", 0, str(tmp_path / "data"))], hp={"n_rn": 8})
    assert not (tmp_path / "data").exists()


def test_ctrl_c_saves_all_runs_and_the_same_command_goes_on(processes, tmp_path):
    names = ["indi_gap", "indi_overlap"]
    command = [
        "--root", tmp_path / "data", "--only", *names, "--hp", *HP_OPTION, "--display_step", "20", "--jobs", "2",
        "--threads", "1", "--max_trials",
    ]  # fmt: skip
    process = start_script(processes, *command, 10**6, cwd=tmp_path)  # more than it can do before the signal
    wait_for(lambda: all(evaluations(tmp_path / "data" / name) > 1 for name in names))
    process.send_signal(signal.SIGINT)
    output = process.communicate(timeout=60)[0]
    assert process.returncode == 130, output
    assert not processes_of(tmp_path)
    for name in names:
        assert f"{name}: stopped" in output
        assert "stopped and saved at trial" in (tmp_path / "data" / name / "training.log").read_text()
    command.remove("indi_overlap")
    trials = load_log(tmp_path / "data" / "indi_gap")["trials"]
    limit = trials[-1] + 2 * trials[1]
    process = start_script(processes, *command, limit, cwd=tmp_path)
    output = process.communicate(timeout=120)[0]
    assert process.returncode == 0, output
    train_alone(tmp_path / "alone", ["gap"], limit, display_step=20, slim=True)
    assert_same_run(tmp_path / "data" / "indi_gap", tmp_path / "alone")
    assert (tmp_path / "figure" / "figure_sweep" / "trials_to_criterion.png").exists()


def test_a_run_can_be_stopped_though_the_sweep_was_started_with_signals_ignored(tmp_path):
    """As a shell starts background jobs; it is stopped before TensorFlow is loaded, when nothing handles signals."""
    task = {"model_dir": str(tmp_path / "run"), "hp": {**COMMON, **TINY}, "ruleset": "all_new", "rule_trains": ["gap"],
            "seed": 0, "slim": True, "threads": 1, "display_step": 20, "max_trials": 80, "patience": 60}  # fmt: skip
    handlers = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        with connect(1) as where:
            outcome = where.submit(sweep_runs.train_in_process, "ignoring", task)
            wait_for(lambda: sweep_runs._running)
            assert sweep_runs.stop("ignoring") == 1
            assert outcome.result(120)[0] == "stopped"
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    assert not (tmp_path / "run" / "log.json").exists()


def test_runs_save_themselves_when_the_sweep_is_killed(processes, tmp_path):
    process = start_script(processes, "--root", tmp_path, "--only", "indi_gap", *ENDLESS)
    wait_for(lambda: evaluations(tmp_path / "indi_gap") > 1)
    process.kill()
    process.communicate()
    wait_for(lambda: not processes_of(tmp_path))
    assert "stopped and saved at trial" in (tmp_path / "indi_gap" / "training.log").read_text()


@contextlib.contextmanager
def another_process_writing(path):
    """Meanwhile, lines of another process in a log file."""
    ended = threading.Event()

    def write():
        while not ended.is_set():
            with open(path, "a") as file:
                file.write("a line of another process\n")
            time.sleep(0.005)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def test_a_model_directory_in_use_is_waited_for_and_then_left_to_the_other_process(tmp_path, capfd):
    run = TrainingRun("indi_gap", 0, str(tmp_path))
    with lock(run.model_dir), another_process_writing(Path(run.model_dir, "training.log")):
        table = train_runs([run], hp=TINY, max_trials=4, patience=0)
    assert table["state"].tolist() == ["running"]
    assert pd.read_csv(tmp_path / "sweep.csv")["state"].tolist() == ["running"]
    told = capfd.readouterr().out
    assert f"indi_gap: running ({run.model_dir} is in use by another process (ID {os.getpid()})" in told
    assert "in use" not in Path(run.model_dir, "training.log").read_text()  # it is that process's


def test_nothing_is_written_through_a_log_file_that_is_a_link(tmp_path):
    (tmp_path / "data" / "indi_gap").mkdir(parents=True)
    (tmp_path / "elsewhere").write_text("as it was")
    (tmp_path / "data" / "indi_gap" / "training.log").symlink_to(tmp_path / "elsewhere")
    table = train_runs([TrainingRun("indi_gap", 0, str(tmp_path / "data"))], hp=TINY, max_trials=4)
    assert table["state"].tolist() == ["failed"]
    assert "training.log is a link to" in table["message"][0] and "delete it" in table["message"][0]
    assert (tmp_path / "elsewhere").read_text() == "as it was"
    with pytest.raises(OSError):  # should the link come between look and opening
        open(tmp_path / "data" / "indi_gap" / "training.log", "ab", opener=open_no_link)


def test_the_table_is_printed_and_saved_though_the_sweep_is_ended_by_force(processes, tmp_path):
    process = start_script(processes, "--root", tmp_path, "--only", "indi_gap", *ENDLESS)
    wait_for(lambda: evaluations(tmp_path / "indi_gap") > 1)
    process.send_signal(signal.SIGINT)
    for line in process.stdout:
        if line.startswith("stopping"):
            break
    process.send_signal(signal.SIGINT)
    output = process.communicate(timeout=60)[0]
    wait_for(lambda: not processes_of(tmp_path))
    assert process.returncode == 130, output
    assert "worst rule" in output and "Traceback" not in output
    assert pd.read_csv(tmp_path / "sweep.csv")["trials"].tolist() > [0]


def test_a_folder_in_place_of_the_table_is_told_before_anything_begins(tmp_path, monkeypatch):
    (tmp_path / "sweep.csv").mkdir()
    with pytest.raises(SystemExit, match="^Training_with_diff_HyperParameters.py: [^\n]*sweep.csv[^\n]*$"):
        run_script(monkeypatch, "--root", tmp_path, "--only", "indi_gap")
    assert os.listdir(tmp_path) == ["sweep.csv"]


def run_script(monkeypatch, *arguments):
    """The script in this process: its exit code or last message."""
    monkeypatch.setattr(sys, "argv", ["Training_with_diff_HyperParameters.py", *map(str, arguments)])
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    return Training_with_diff_HyperParameters.main()


@pytest.mark.slow
def test_a_run_that_is_handed_out_twice_is_trained_once(tmp_path):
    run = TrainingRun("indi_gap", 0, str(tmp_path / "twice"))
    hp = {**COMMON, **TINY}
    task = {"model_dir": run.model_dir, "hp": hp, "ruleset": "all_new", "rule_trains": ["gap"], "seed": 0, "slim": True,
            "threads": 1, "display_step": 20, "max_trials": LONG, "patience": 60}  # fmt: skip
    with connect(2) as where:
        both = [where.submit(sweep_runs.train_in_process, "sweep", task) for _ in range(2)]
        assert [future.result()[0] for future in both] == ["limit", "limit"]
    assert Path(run.model_dir, "training.log").read_text().count("Trial     400 ") == 1
    train_alone(tmp_path / "alone", ["gap"], LONG, display_step=20, slim=True)
    assert_same_run(run.model_dir, tmp_path / "alone")


def test_a_run_that_was_trained_where_it_is_not_seen_is_told(tmp_path):
    state, message = sweep_runs.checked_outcome(TrainingRun("indi_gap", 0, str(tmp_path)), "trained", "")
    assert state == "failed" and "must see the same folders" in message


def test_the_list_of_variants_says_what_differs(monkeypatch, capsys):
    assert run_script(monkeypatch, "--list") == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 27
    assert "n_rnn 64" in next(line for line in lines if line.startswith("set1_exp1"))


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--only", "set9"], "no variant is called 'set9'"),
        (["--seeds", "x"], "seeds 'x' are not understood"),
        (["--hp", "n_rnn"], "--hp takes KEY=VALUE"),
        (["--hp", "n_rnn=many"], ".*n_rnn .* is 'many'"),
        (["--jobs", "0"], "jobs must be a whole number of at least 1"),
        (["--jobs", "2", "--scheduler", "tcp://host:8786"], "--jobs is for this machine and --scheduler for a cluster"),
        (["--max_trials", "63"], "max_trials 63 is less than the 64 trials of one training step"),
        (["--max_trials", "-5"], "max_trials must be a whole number of at least 1"),
        (["--display_step", "0"], "display_step must be a whole number of at least 1"),
        (["--hp", "seed=3"], "--hp cannot set seed: seeds are chosen with --seeds"),
        *(
            (["--hp", f"{key}=[]"], f"--hp cannot set {key}: .*rnn_maturation/sweep/variants.py")
            for key in ("ruleset", "rule_trains", "rules", "rule_probs", "rng")
        ),
    ],
)
def test_bad_options_are_one_line(tmp_path, monkeypatch, arguments, message):
    with pytest.raises(SystemExit, match=f"^Training_with_diff_HyperParameters.py: {message}[^\n]*$"):
        run_script(monkeypatch, "--root", tmp_path / "data", *arguments)
    assert not (tmp_path / "data").exists()
