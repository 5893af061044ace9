"""Runs on a Dask cluster: workers and schedulers that are lost, with real processes."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pandas as pd
import pytest
from dask_cluster import Cluster
from processes import ENVIRONMENT, ROOT
from small_runs import (
    HP_OPTION,
    LONG,
    TINY,
    assert_same_run,
    evaluations,
    processes_of,
    put_run,
    start_script,
    train_alone,
    wait_for,
)

from rnn_maturation.sweep import choose_runs, train_runs
from rnn_maturation.sweep import cluster as jobs


def test_without_dask_only_the_scheduler_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ValueError, match="pip install -r requirements-cluster.txt"):
        jobs.connect(1, "tcp://127.0.0.1:1")
    assert jobs.connect(1).submit(max, 1, 2).result() == 2


@pytest.mark.parametrize("script", ["Training_with_diff_HyperParameters.py", "Analysis_with_diff_HyperParameters.py"])
def test_an_address_without_port_is_named_and_the_script_ends(tmp_path, script):
    pytest.importorskip("distributed")
    put_run(tmp_path, "6tasks")
    command = [sys.executable, ROOT / script, "--root", tmp_path, "--only", "6tasks", "--scheduler", "localhost"]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=100)
    assert done.returncode == 1 and "start `dask scheduler`, and give its address like tcp://host:8786" in done.stderr


def test_a_scheduler_that_does_not_answer_is_named(monkeypatch):
    pytest.importorskip("distributed")
    monkeypatch.setattr(jobs, "CONNECT_S", 1)
    with pytest.raises(ValueError, match="no Dask scheduler answers at tcp://127.0.0.1:1"):
        jobs.connect(1, "tcp://127.0.0.1:1")


def worker_of(cluster, root, n_evaluations):
    """The worker that trains a run below a folder that has been evaluated so often, or None."""
    for number, command in processes_of(root).items():
        task = json.loads(command.rstrip("\0").split("\0")[-1])
        parent = int(Path(f"/proc/{number}/stat").read_text().rsplit(")")[-1].split()[1])
        if evaluations(task["model_dir"]) >= n_evaluations:
            return next((worker for worker in cluster.workers if worker.pid == parent), None)
    return None


@contextlib.contextmanager
def killing_a_worker(cluster, root, is_time=lambda: True):
    """Meanwhile, kill the worker of a run that has begun, once it is time."""

    killed, ended = [], threading.Event()

    def kill():
        while not (killed or ended.is_set()):
            worker = worker_of(cluster, root, n_evaluations=2) if is_time() else None
            if worker:
                worker.kill()
                cluster.workers.remove(worker)
                killed.append(worker)
            time.sleep(0.02)

    thread = threading.Thread(target=kill)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
    assert killed


def test_a_lost_workers_run_goes_on_elsewhere_from_where_it_was(cluster, tmp_path):
    runs = choose_runs(["indi_gap", "indi_overlap"], root=str(tmp_path))
    with killing_a_worker(cluster, tmp_path):
        table = train_runs(runs, scheduler=cluster.address, hp=TINY, max_trials=LONG, display_step=20)
    cluster.workers.append(cluster.add_worker())
    assert table["state"].tolist() == ["limit"] * 2 and table["trials"].tolist() == [LONG] * 2
    logs = [Path(run.model_dir, "training.log").read_text() for run in runs]
    assert sum("stopped and saved at trial" in log and "resuming from trial" in log for log in logs) == 1
    lost = next(run for run, log in zip(runs, logs, strict=True) if "resuming from" in log)
    train_alone(tmp_path / "alone", lost.settings.trained_rules, LONG, display_step=20, slim=True)
    assert_same_run(lost.model_dir, tmp_path / "alone")
    assert not processes_of(tmp_path)


def test_a_lost_process_is_told_with_what_to_do():
    with jobs.connect(1, in_processes=True) as where:
        batch = jobs.Batch(where, os._exit, {name: (1,) for name in range(3)})
        told = []
        while batch.unfinished:
            told += batch.results()
        told += jobs.Batch(where, abs, {3: (1,)}).results()  # to a pool that is broken already
    assert sorted(name for name, _, _ in told) == [0, 1, 2, 3]
    for _, _, error in told:
        assert isinstance(error, OSError) and "ended from outside" in str(error) and "the same command" in str(error)


def test_lost_workers_and_a_lost_scheduler_are_told_with_what_to_do(tmp_path, monkeypatch, capfd):
    pytest.importorskip("distributed")
    monkeypatch.setattr(jobs, "N_RESUBMISSIONS", 0)
    cluster = Cluster(tmp_path, n_workers=1, DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES="0")
    with contextlib.closing(cluster):
        with jobs.connect(1, cluster.address) as where:
            [(_, _, error)] = jobs.Batch(where, os._exit, {"name": (1,)}).results()
        assert isinstance(error, OSError) and "ended from outside" in str(error)
        cluster.add_worker()
        runs = choose_runs(["indi_gap", "indi_overlap"], root=str(tmp_path / "data"))

        def end_the_scheduler():
            try:
                wait_for(lambda: evaluations(runs[0].model_dir) + evaluations(runs[1].model_dir) > 1)
            finally:  # else the runs would go on for long
                cluster.scheduler.kill()

        thread = threading.Thread(target=end_the_scheduler)
        thread.start()
        table = train_runs(runs, scheduler=cluster.address, hp=TINY, max_trials=10**6, display_step=20)
        thread.join()
    assert set(table["state"]) <= {"failed", "running"} and "failed" in set(table["state"])
    told = capfd.readouterr().out
    assert told.count("the connection to the scheduler was lost") == 2 and "worst rule" in told
    wait_for(lambda: not processes_of(tmp_path))


@pytest.mark.slow
def test_ctrl_c_stops_the_runs_on_a_cluster(cluster, processes, tmp_path):
    process = start_script(processes, "--root", tmp_path, "--only", "indi_*", "--hp", *HP_OPTION, "--max_trials", 10**6,
                           "--display_step", "20", "--scheduler", cluster.address)  # fmt: skip
    wait_for(lambda: len(processes_of(tmp_path)) == 2 and len(list(tmp_path.glob("*/log.json"))) == 2)
    process.send_signal(signal.SIGINT)
    output = process.communicate(timeout=60)[0]
    assert process.returncode == 130 and output.count(": stopped") == 2, output
    assert not processes_of(tmp_path)
    states = pd.read_csv(tmp_path / "sweep.csv")["state"].value_counts().to_dict()
    assert states == {"stopped": 2, "waiting": 4} and len(list(tmp_path.glob("*/"))) == 2


@pytest.mark.slow
def test_twenty_runs_on_two_workers_end_complete_though_one_is_killed(tmp_path):
    pytest.importorskip("distributed")
    cluster = Cluster(tmp_path)
    runs = choose_runs(["indi_*"], range(4), str(tmp_path / "data"))[:20]
    with killing_a_worker(cluster, tmp_path / "data", lambda: len(list(tmp_path.glob("data/*/log.json"))) > 9):
        table = train_runs(runs, scheduler=cluster.address, hp=TINY, max_trials=400, display_step=20)
    cluster.close()
    assert table["state"].tolist() == ["limit"] * 20 and table["trials"].tolist() == [400] * 20
    assert not processes_of(tmp_path) and not list(tmp_path.glob("data/*/.*"))
