"""Measure how training runs share the cores best, and how long it takes to hand out a piece of work.

    python -m benchmarks.sweep throughput [--pairs 3] [--intervals 6]      about 6 minutes on two cores
    python -m benchmarks.sweep overhead [--tasks 500]                      half a minute; needs dask.distributed

throughput compares two main runs side by side, each with half of the cores, with one main run on all cores. The two are
measured in turn, and the ratio is the median over pairs. Start-up is left out: only trials between the second and the
last evaluation count. overhead hands out tasks that do nothing, in the way in which a sweep hands out runs and
checkpoints.
"""

import argparse
import contextlib
import io
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rnn_maturation.cpu import n_cores
from rnn_maturation.hyperparameters import BATCH_SIZE, N_EVALUATION_BATCHES, PAPER_INTERVAL
from rnn_maturation.model_directory import load_log
from rnn_maturation.sweep import choose_runs, train_runs
from rnn_maturation.sweep.cluster import Batch, LocalJobs, connect
from rnn_maturation.sweep.variants import MAIN_RUN


def train(n_runs, threads, intervals):
    """Return the trials per second of main runs side by side, and the wall time per run including start-up (s)."""
    with tempfile.TemporaryDirectory() as root, contextlib.redirect_stdout(io.StringIO()):
        runs = choose_runs([MAIN_RUN], range(n_runs), root)
        start = time.perf_counter()
        train_runs(runs, jobs=n_runs, threads=threads, max_trials=intervals * PAPER_INTERVAL)
        wall = time.perf_counter() - start
        logs = [load_log(run.model_dir) for run in runs]
    rates = [(log["trials"][-1] - log["trials"][1]) / (log["times"][-1] - log["times"][1]) for log in logs]
    return sum(rates), wall / n_runs


def throughput(pairs, intervals):
    """Print the trials per second of two runs side by side and of one run alone."""
    cores = n_cores()
    half = max(1, cores // 2)
    ratios = []
    print(f"{cores} cores; main runs of {intervals * PAPER_INTERVAL:,} trials")
    for _ in range(pairs):
        (many, many_wall), (one, one_wall) = train(2, half, intervals), train(1, cores, intervals)
        ratios.append(many / one)
        print(
            f"2 jobs x {half}: {many:5.0f} trials/s ({many_wall:4.0f} s per run with its start)   "
            f"1 job x {cores}: {one:5.0f} trials/s ({one_wall:4.0f} s)   ratio {ratios[-1]:.2f}",
            flush=True,
        )
    print(f"2 jobs x {half} thread(s) / 1 job x {cores} thread(s): {statistics.median(ratios):.2f} (median of {pairs})")


@contextlib.contextmanager
def dask_cluster(folder, n_workers=2):
    """Start a Dask scheduler and workers of one thread, in processes of their own; yield the scheduler's address."""
    file = Path(folder) / "scheduler.json"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}

    def start(*arguments):
        command = [sys.executable, "-m", "dask", *arguments, "--scheduler-file", str(file), "--no-dashboard"]
        return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    processes = [start("scheduler", "--port", "0")]
    processes += [start("worker", "--no-nanny", "--nthreads", "1") for _ in range(n_workers)]
    try:
        while not (file.exists() and file.stat().st_size):
            time.sleep(0.1)
        yield json.loads(file.read_text())["address"]
    finally:
        for process in processes:
            process.kill()
            process.wait()


def ms_per_task(where, n_tasks):
    """Return the milliseconds per task: handed out all together, and one after the other."""

    def run(numbers):
        batch = Batch(where, abs, {number: (number,) for number in numbers})
        while batch.unfinished:
            batch.results()

    run(range(10))
    start = time.perf_counter()
    run(range(n_tasks))
    together = time.perf_counter() - start
    start = time.perf_counter()
    for number in range(n_tasks // 10):
        run([number])
    return 1000 * together / n_tasks, 1000 * (time.perf_counter() - start) / (n_tasks // 10)


def start_up():
    """Return the seconds of a run that has nothing to train: a new process, TensorFlow, the main run's network."""
    with tempfile.TemporaryDirectory() as root, contextlib.redirect_stdout(io.StringIO()):
        train_runs(
            choose_runs([MAIN_RUN], root=root), max_trials=BATCH_SIZE, hp={"batch_size_test": N_EVALUATION_BATCHES}
        )
        start = time.perf_counter()
        train_runs(
            choose_runs([MAIN_RUN], root=root), max_trials=BATCH_SIZE, hp={"batch_size_test": N_EVALUATION_BATCHES}
        )
        return time.perf_counter() - start


def overhead(n_tasks):
    """Print how long it takes to hand out a task on this machine and on a Dask cluster."""
    with LocalJobs(2) as where:
        print_times("this machine, 2 jobs", ms_per_task(where, n_tasks))
    with tempfile.TemporaryDirectory() as folder, dask_cluster(folder) as address:
        with connect(1, address) as where:
            print_times("Dask, 2 workers", ms_per_task(where, n_tasks))
    print(f"start of a run: {start_up():.1f} s, wherever it runs")


def print_times(where, times):
    """Print the result of `ms_per_task`."""
    print("{}: {:.2f} ms per task when handed out together, {:.2f} one after the other".format(where, *times))


def main():
    """Run the benchmark that the arguments name."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("throughput")
    command.add_argument("--pairs", type=int, default=3, help="number of comparisons (default: %(default)s)")
    command.add_argument(
        "--intervals",
        type=int,
        default=6,
        help=f"length of each run, in intervals of {PAPER_INTERVAL:,} trials (default: %(default)s)",
    )
    command = commands.add_parser("overhead")
    command.add_argument("--tasks", type=int, default=500, help="number of tasks (default: %(default)s)")
    options = vars(parser.parse_args())
    {"throughput": throughput, "overhead": overhead}[options.pop("command")](*options.values())


if __name__ == "__main__":
    main()
