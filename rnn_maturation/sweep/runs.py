"""Train many runs (variants and seeds) in parallel, on this machine or on a cluster.

Runs are independent. The table <root>/sweep.csv has one line per run, which says how the run ended. A network that
diverges or does not learn is a result, too. A run that is refused or fails is reported, and the other runs continue.

Each run is trained by its own process (`single_run`), with its own threads and its own log file. If the standard input
of this process ends, because the parent process closed it or has ended itself, the process saves the run and ends. Thus
no run continues, on any machine, without a parent that waits for it.
"""

import contextlib
import json
import os
import secrets
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
from tqdm import tqdm

from rnn_maturation.checks import check_whole_number
from rnn_maturation.cpu import n_cores, thread_environment
from rnn_maturation.files import is_locked, open_no_link, refuse_link
from rnn_maturation.hyperparameters import PAPER_DISPLAY_STEP, complete_hp
from rnn_maturation.model_directory import has_log
from rnn_maturation.sweep.cluster import Batch, connect
from rnn_maturation.sweep.table import reached, sweep_table, table_text, with_earlier, write_table

BYTES_PER_RUN = 1.5e9  # memory that is reserved for one run; 0.9 GB were measured with 256 units
PATIENCE_S = 300  # time for which a run waits for a model directory that another process uses
LOOK_S = 2  # time between two checks of the progress
SAVE_S = 30  # time between two updates of the table while no run ends
NOT_IN_HP = {  # what `hp` cannot change, and how it is chosen instead
    "seed": "seeds are chosen with --seeds",
    **dict.fromkeys(
        ("ruleset", "rule_trains", "rules", "rule_probs", "rng"),
        "it belongs to the variant; choose a variant with --only, or add one in rnn_maturation/sweep/variants.py",
    ),
}
OUTPUT_FILE = "training.log"  # file in the model directory with what the run prints
# states in which a run can end, and the exit code of its process ("running": another process is training the run)
EXIT_CODES = {"trained": 0, "limit": 10, "diverged": 11, "refused": 12, "failed": 13, "running": 14}
STATES = {code: state for state, code in EXIT_CODES.items()}
STOPPED_CODES = {128 + signal.SIGTERM, -signal.SIGTERM}


def train_runs(
    runs,
    jobs=None,
    threads=None,
    scheduler=None,
    max_trials=None,
    slim=True,
    hp=None,
    display_step=PAPER_DISPLAY_STEP,
    patience=PATIENCE_S,
):
    """Train each run in its own process, and keep <root>/sweep.csv up to date.

    Unfinished runs on disk are resumed, and finished runs are left as they are. After Ctrl-C each run is saved and
    stopped. At the end the table is printed.

    Parameters
    ----------
    runs : list of TrainingRun
        Runs to train.
    jobs : int, optional
        Number of runs at the same time on this machine; by default as many as its cores and memory allow.
    threads : int, optional
        Processor cores of each run; default: an equal share of the cores, or 1 on a cluster.
    scheduler : str, optional
        Address of a Dask scheduler whose workers train the runs instead; they must see the same folders.
    max_trials : int, optional
        Maximum number of trials of each run; default: as its variant says.
    slim : bool
        See `rnn_maturation.train.train`.
    hp : dict, optional
        Hyper-parameters that replace those of the table of variants, in all runs.
    display_step : int
        Training steps between two checkpoints.
    patience : float
        Seconds to wait for a model directory that another process uses. After this time the run is not trained here.

    Returns
    -------
    pandas.DataFrame
        The table of these runs, see `sweep_table`.

    Raises
    ------
    ValueError
        If numbers or hyper-parameters are not allowed, or the scheduler does not answer.
    OSError
        If <root>/sweep.csv cannot be written. No run has begun then.
    """
    display_step = check_whole_number("display_step", display_step, floats=True)
    if max_trials is not None:
        max_trials = check_whole_number("max_trials", max_trials, floats=True)
    for key, who in NOT_IN_HP.items():
        if key in (hp or {}):
            raise ValueError(f"--hp cannot set {key}: {who}")
    jobs, threads = _shares(len(runs), jobs, threads, scheduler)
    common = {"threads": threads, "slim": slim, "display_step": display_step, "patience": patience}
    tasks = {run: {**_task(run, hp or {}, max_trials, bool(scheduler)), **common} for run in runs}
    with connect(jobs, scheduler) as where:
        print(f"runs: {len(runs)}, {where.description}; threads per run: {threads}")
        return _Sweep(where, tasks).work()


def _shares(n_runs, jobs, threads, scheduler):
    """Return the number of runs at a time and the number of threads of each run."""
    for name, value in (("jobs", jobs), ("threads", threads)):
        if value is not None:
            check_whole_number(name, value)
    if scheduler and jobs:
        raise ValueError("--jobs is for this machine and --scheduler for a cluster: give one of them")
    if scheduler:
        return n_runs, threads or 1
    if jobs is None:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else np.inf
        jobs = max(1, int(min(n_cores() // (threads or 1), memory // BYTES_PER_RUN)))
    jobs = max(1, min(jobs, n_runs))
    return jobs, threads or max(1, n_cores() // jobs)


def _task(run, hp, max_trials, is_elsewhere):
    """Return the arguments with which a process trains a run, as paths, numbers and strings."""
    variant = run.settings
    hp = {**variant.whole_hp, **hp}
    batch_size = complete_hp({**hp, "ruleset": variant.ruleset})["batch_size_train"]  # wrong values raise here
    if max_trials is not None and max_trials < batch_size:
        raise ValueError(
            f"max_trials {max_trials} is less than the {batch_size} trials of one training step: give at least "
            f"{batch_size}"
        )
    return {
        "model_dir": os.path.abspath(run.model_dir) if is_elsewhere else run.model_dir,
        "hp": hp,
        "ruleset": variant.ruleset,
        "rule_trains": variant.trained_rules,
        "seed": run.seed,
        "max_trials": variant.max_trials if max_trials is None else max_trials,
    }


class _Sweep:
    """Submit runs, watch their training, and record how each run ended."""

    def __init__(self, where, tasks):
        self.where, self.tasks = where, tasks
        self.outcomes = dict.fromkeys(tasks, ("waiting", ""))  # {run: (state, message)}
        self.roots = {run.root for run in tasks}
        self.training = set()  # runs that were being trained at the last check
        self.name = secrets.token_hex(8)
        self.progress = tqdm(total=len(tasks), unit=" runs", disable=None, dynamic_ncols=True)

    def work(self):
        """Train until all runs have ended, or have been asked to stop; return the table."""
        self._write()
        try:
            with self.progress:
                self._train()
        except KeyboardInterrupt:  # a second Ctrl-C
            self.where.everywhere(kill, self.name)
            raise
        finally:
            self._save()
            known = self.outcomes
            for root in self.roots:
                known = with_earlier(root, known)
            table = sweep_table(list(self.tasks), known)
            print(table_text(table))
        return table

    def _train(self):
        batch = Batch(self.where, train_in_process, {run: (self.name, task) for run, task in self.tasks.items()})
        try:
            while batch.unfinished:
                self._take(batch.results(LOOK_S))
                training = {run for run in batch.unfinished if is_locked(run.model_dir)}
                self._show([run for run in batch.unfinished if run in training])
                if training - self.training or time.monotonic() > self.saved + SAVE_S:
                    self._save()
                self.training = training
        except KeyboardInterrupt:  # let each run save itself; a second Ctrl-C ends them at once
            tqdm.write("stopping: each run is being saved (press Ctrl-C again to end at once)")
            while batch.unfinished and self.where.everywhere(stop, self.name):
                self._take(batch.results(timeout=1))

    def _take(self, results):
        """Record how runs ended."""
        for run, outcome, error in results:
            state, message = ("failed", f"{type(error).__name__}: {error}") if error else checked_outcome(run, *outcome)
            self.outcomes[run] = state, message
            self._save()
            self.progress.update()
            tqdm.write(f"{run.name}: {state}" + (f" ({message})" if message else ""))

    def _show(self, training):
        """Show the progress of the runs that are being trained, in one line."""
        if self.progress.disable:
            return
        shown = []
        for run in training:
            with contextlib.suppress(OSError, ValueError):
                row = reached(run)
                shown.append(f"{run.name} {row['trials']:,} {row['perf_min']:.2f}")
        self.progress.set_postfix_str(" | ".join(shown))

    def _write(self):
        for root in self.roots:
            write_table(root, {run: outcome for run, outcome in self.outcomes.items() if run.root == root})
        self.saved = time.monotonic()

    def _save(self):
        """Write the table; if that fails, for example on a full disk, print the error and let the runs continue."""
        try:
            self._write()
        except OSError as error:
            tqdm.write(str(error))


def checked_outcome(run, state, message):
    """Return the outcome of a run; it is 'failed' if a worker saved the run in a folder that this machine lacks."""
    if state in ("trained", "limit") and not has_log(run.model_dir):
        return "failed", f"trained, but there is no log in {run.model_dir}: all machines must see the same folders"
    return state, message


# ------------------------------------------------------------------------------------------------------- one process

_running = {}  # the processes that this one has started, {process: name of the sweep}
_stopped_sweeps = set()
_lock = threading.Lock()


def train_in_process(sweep, task):
    """Train a run in a new process and wait for its end.

    Parameters
    ----------
    sweep : str
        Name of the sweep, by which `stop` and `kill` find the process.
    task : dict
        model_dir, max_trials, patience (s to wait for a model directory that is in use), and these arguments of
        `rnn_maturation.train.train`: hp, ruleset, rule_trains, seed, display_step, threads, slim.

    Returns
    -------
    state : {'trained', 'limit', 'diverged', 'refused', 'failed', 'running', 'stopped', 'waiting'}
        How the run ended. 'running': another process is training it. 'waiting': the sweep was stopped before the run
        began.
    message : str
        The reason, or '' if the state says everything.

    Raises
    ------
    ValueError, OSError
        If the log file is a link or cannot be written.
    """
    model_dir = Path(task["model_dir"])
    if sweep in _stopped_sweeps:
        return "waiting", "not begun"
    model_dir.mkdir(parents=True, exist_ok=True)
    refuse_link(model_dir / OUTPUT_FILE)
    with open(model_dir / OUTPUT_FILE, "ab", opener=open_no_link) as log_file:
        process = _start(sweep, task, log_file)
    with process.stdout:
        message = process.stdout.read().decode(errors="replace")
    code = process.wait()
    with _lock:
        del _running[process]
        process.stdin.close()
        is_told_to_stop = sweep in _stopped_sweeps
    if code in STATES:
        return STATES[code], message
    if code in STOPPED_CODES or is_told_to_stop:
        return "stopped", "the same command resumes it"
    return "failed", f"its process ended with exit code {code}; its messages are in {model_dir / OUTPUT_FILE}"


def _start(sweep, task, log_file):
    package_root = str(Path(__file__).parents[2])
    environment = thread_environment(task["threads"])
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [package_root, os.environ.get("PYTHONPATH")]))
    with _lock:
        process = subprocess.Popen(
            [sys.executable, "-u", "-m", f"{__package__}.single_run", json.dumps(task)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,  # only for the last message, see `single_run`
            stderr=log_file,
            env=environment,
            start_new_session=True,  # Ctrl-C is for the parent, which stops its processes in its own way
        )
        _running[process] = sweep
        if sweep in _stopped_sweeps:  # the sweep was stopped in the meantime
            process.stdin.close()
    return process


def stop(sweep):
    """Tell the processes of a sweep to save and end, and start no new ones; return how many still run."""
    with _lock:
        _stopped_sweeps.add(sweep)
        processes = [process for process, its in _running.items() if its == sweep]
        for process in processes:
            process.stdin.close()
    return len(processes)


def kill(sweep):
    """End the processes of a sweep at once; their last checkpoints are kept."""
    stop(sweep)
    with _lock:
        for process, its in _running.items():
            if its == sweep:
                process.kill()
