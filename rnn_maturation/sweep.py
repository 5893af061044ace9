"""Many training runs side by side: variants of the network and seeds, on this machine or on a cluster.

Runs are independent. How each ended is a line of <root>/sweep.csv: a network that diverges or does not learn is a
result, a run that is refused or fails is told, and none of them ends the others.
"""

import contextlib
import csv
import numbers
import os
import secrets
import time
import warnings
from datetime import timedelta
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from rnn_maturation import figures
from rnn_maturation.cpu import n_cores
from rnn_maturation.hyperparameters import complete_hp
from rnn_maturation.jobs import Batch, connect
from rnn_maturation.model_directory import atomic_write, figure_dir, is_locked, load_hp, load_log
from rnn_maturation.stages import smooth
from rnn_maturation.task import rule_name
from rnn_maturation.training_process import kill, stop, train_in_process
from rnn_maturation.variants import DISPLAY_STEP, VARIANTS, Run, choose_runs, find_runs, parse_seeds

__all__ = [
    "VARIANTS",
    "Run",
    "choose_runs",
    "find_runs",
    "parse_seeds",
    "plot_sweep_summary",
    "sweep_table",
    "table_text",
    "train_runs",
    "trials_to_criterion",
    "write_table",
]

CRITERIA = (0.35, 0.65, 0.95)  # performance
SMOOTH_WINDOW = 5  # evaluations, as `print_basic_info` smooths growth curves and the report its crossings
BYTES_A_JOB = 1.5e9  # memory of one run, generously: 0.9 GB were measured with 256 units
PATIENCE_S = 300  # how long a run waits for a model directory that another process still holds
LOOK_S = 2  # between two looks at how far the runs are
SAVE_S = 30  # between two tables while nothing ends
TABLE_FILE = "sweep.csv"
NOT_IN_HP = {  # what `hp` cannot change of a run, and what does
    "seed": "seeds are chosen with --seeds",
    **dict.fromkeys(
        ("ruleset", "rule_trains", "rules", "rule_probs", "rng"),
        "it belongs to the variants, which --only chooses (their table: rnn_maturation/variants.py)",
    ),
}


# --------------------------------------------------------------------------------------------------------- running


def train_runs(
    runs,
    jobs=None,
    threads=None,
    scheduler=None,
    max_trials=None,
    slim=True,
    hp=None,
    display_step=DISPLAY_STEP,
    patience=PATIENCE_S,
):
    """Train runs, each in a process of its own, and keep <root>/sweep.csv up to date.

    Runs that are on disk go on where they stand; finished ones are left as they are. Ctrl-C lets each save itself.
    At the end the table is printed.

    Parameters
    ----------
    runs : list of Run
        Below one root.
    jobs : int, optional
        Runs side by side on this machine; default: what its cores and memory have room for.
    threads : int, optional
        Processor cores of each run; default: the cores shared out, or 1 on a cluster.
    scheduler : str, optional
        Address of a Dask scheduler whose workers train the runs instead; they must see the same folders.
    max_trials : int, optional
        Where a run that does not learn is given up; default: as its variant says.
    slim : bool
        See `train.train`.
    hp : dict, optional
        Hyper-parameters that differ from the table's in all runs.
    display_step : int
        Steps between two checkpoints.
    patience : float
        Seconds to wait for a model directory that another process holds before the run is left to that.

    Returns
    -------
    pandas.DataFrame
        As `sweep_table`, of these runs.

    Raises
    ------
    ValueError
        For numbers or hyper-parameters that no run could have, or a scheduler that does not answer.
    OSError
        If <root>/sweep.csv cannot be written, before anything has begun.
    """
    _check_counts(max_trials=max_trials, display_step=display_step)
    for key, who in NOT_IN_HP.items():
        if key in (hp or {}):
            raise ValueError(f"--hp cannot set {key}: {who}")
    jobs, threads = _shares(len(runs), jobs, threads, scheduler)
    common = {"threads": threads, "slim": slim, "display_step": display_step, "patience": patience}
    tasks = {run: {**_task(run, hp or {}, max_trials, bool(scheduler)), **common} for run in runs}
    outcomes = dict.fromkeys(runs, ("waiting", ""))
    with connect(jobs, scheduler) as where:
        print(f"{len(runs)} runs, {where.description}; threads of each: {threads}")
        return _Sweep(where, tasks, outcomes).work()


def _check_counts(**counts):
    for name, value in counts.items():
        is_number = isinstance(value, numbers.Real) and not isinstance(value, bool)
        if value is not None and not (is_number and value >= 1 and value % 1 == 0):
            raise ValueError(f"{name} must be 1 or more and whole, got {value!r}")


def _shares(n_runs, jobs, threads, scheduler):
    """How many runs side by side, and threads for each."""
    _check_counts(jobs=jobs, threads=threads)
    if scheduler and jobs:
        raise ValueError("--jobs is for this machine and --scheduler for a cluster: give one of them")
    if scheduler:
        return n_runs, threads or 1
    if jobs is None:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else np.inf
        jobs = max(1, int(min(n_cores() // (threads or 1), memory // BYTES_A_JOB)))
    jobs = max(1, min(jobs, n_runs))
    return jobs, threads or max(1, n_cores() // jobs)


def _task(run, hp, max_trials, is_elsewhere):
    """What a process needs to know of a run: paths, numbers and texts."""
    variant = run.settings
    hp = {**variant.whole_hp, **hp}
    batch_size = complete_hp({**hp, "ruleset": variant.ruleset})["batch_size_train"]  # raises before anything has begun
    if max_trials is not None and max_trials < batch_size:
        raise ValueError(f"max_trials {max_trials} is less than a batch, {batch_size} trials")
    return {
        "model_dir": os.path.abspath(run.model_dir) if is_elsewhere else run.model_dir,
        "hp": hp,
        "ruleset": variant.ruleset,
        "rule_trains": variant.trained_rules,
        "seed": run.seed,
        "max_trials": variant.max_trials if max_trials is None else max_trials,
    }


class _Sweep:
    """Runs being trained: hands them out, watches them, writes down how each ended."""

    def __init__(self, where, tasks, outcomes):
        self.where, self.tasks, self.outcomes = where, tasks, outcomes
        self.roots = {run.root for run in tasks}
        self.training = set()  # runs at the last look
        self.name = secrets.token_hex(8)
        self.progress = tqdm(total=len(tasks), unit=" runs", disable=None, dynamic_ncols=True)

    def work(self):
        """Until each run has ended, or all were asked to stop; the table at the end."""
        self._write()
        try:
            with self.progress:
                self._train()
        except KeyboardInterrupt:  # the second one, wherever it found us
            self.where.everywhere(kill, self.name)
            raise
        finally:
            self._save()
            table = self._table()
            print(table_text(table))
        return table

    def _train(self):
        batch = Batch(self.where, train_in_process, {run: (self.name, task) for run, task in self.tasks.items()})
        try:
            while batch.unfinished:
                self._take(batch.results(LOOK_S))
                self._show(batch.unfinished)
                training = {run for run in batch.unfinished if is_locked(run.model_dir)}
                if training - self.training or time.monotonic() > self.saved + SAVE_S:
                    self._save()
                self.training = training
        except KeyboardInterrupt:
            self._stop(batch)

    def _table(self):
        known = self.outcomes
        for root in self.roots:
            known = _with_earlier(root, known)
        return sweep_table(list(self.tasks), known)

    def _write(self):
        for root in self.roots:
            write_table(root, {run: outcome for run, outcome in self.outcomes.items() if run.root == root})
        self.saved = time.monotonic()

    def _save(self):
        """Write the table; a disk that is full now does not end the runs."""
        try:
            self._write()
        except OSError as error:
            tqdm.write(str(error))

    def _take(self, results):
        for run, outcome, error in results:
            self.outcomes[run] = ("failed", f"{type(error).__name__}: {error}") if error else _checked(run, *outcome)
            self._save()
            self.progress.update()
            state, message = self.outcomes[run]
            tqdm.write(f"{run.name}: {state}" + (f" ({message})" if message else ""))

    def _stop(self, batch):
        """Let each run save itself and end; a second Ctrl-C ends them at once."""
        tqdm.write("stopping: each run saves itself (Ctrl-C again does not wait)")
        while batch.unfinished and self.where.everywhere(stop, self.name):
            self._take(batch.results(timeout=1))

    def _show(self, unfinished):
        """One line of how far the runs are that are being trained."""
        if self.progress.disable:
            return
        shown = []
        for run in unfinished:
            if is_locked(run.model_dir):
                with contextlib.suppress(OSError, ValueError):
                    reached = _reached(run)
                    shown.append(f"{run.name} {reached['trials']:,} {reached['perf_min']:.2f}")
        self.progress.set_postfix_str(" | ".join(shown))


# ----------------------------------------------------------------------------------------------------------- table


def sweep_table(runs, outcomes=None):
    """A line a run: how far it is, how well it performs, how long it took.

    Parameters
    ----------
    runs : list of Run
    outcomes : {Run: (state, message)}, optional
        How the runs ended; without, what their folders tell. A run that a process trains now is 'running'.

    Returns
    -------
    pandas.DataFrame
        variant, seed, state, trials, perf_min, wall_s (s of training), message, and for each rule perf_<rule>, the
        performance at the end, and <rule>_to_0.35, _0.65, _0.95, see `trials_to_criterion`.
    """
    rows = [_row(run, *(outcomes or {}).get(run, (None, ""))) for run in runs]
    table = pd.DataFrame(rows, columns=[*_COLUMNS, *_rule_columns(rows)])
    return table.convert_dtypes()


_COLUMNS = ("variant", "seed", "state", "trials", "perf_min", "wall_s", "message")


def _rule_columns(rows):
    present = {key for row in rows for key in row}
    wanted = [c for rule in rule_name for c in (f"perf_{rule}", *(f"{rule}_to_{criterion}" for criterion in CRITERIA))]
    return [column for column in wanted if column in present]


def _row(run, state, message):
    reached = {}
    if is_locked(run.model_dir):  # by whatever process; how it ended before is no longer true
        state, message = "running", ""
    try:
        reached = _reached(run)
        if state in (None, "limit", "stopped") and _is_trained(run):  # since then, too
            state, message = "trained", ""
    except (FileNotFoundError, NotADirectoryError):  # not begun
        pass
    except (OSError, ValueError) as error:
        state, message = state or "failed", message or str(error)
    state = state or "unfinished"
    return {"variant": run.variant, "seed": run.seed, "state": state, "message": message, **reached}


def _checked(run, state, message):
    """An outcome; 'failed' when a worker trained the run where it cannot be seen from here."""
    if state in ("trained", "limit") and not (Path(run.model_dir) / "log.json").exists():
        return "failed", f"trained, but there is no log in {run.model_dir}: the workers must see the same folders"
    return state, message


def _is_trained(run):
    hp = load_hp(run.model_dir)
    return hp is not None and _reached(run)["perf_min"] > hp["target_perf"]


def _reached(run):
    """What the log tells of a run; FileNotFoundError when there is none."""
    return _read_log(run.model_dir, (Path(run.model_dir) / "log.json").stat().st_mtime_ns)


@cache
def _read_log(model_dir, _):
    """The part of a table's line that comes from the log, read again only when the file has changed."""
    log = load_log(model_dir)
    if log is None or not log["trials"]:
        raise FileNotFoundError(f"{model_dir} has an empty log")
    missing = [key for key in ("perf_min", "times") if key not in log]
    if missing:
        raise ValueError(f"{model_dir}/log.json is damaged: it has no {', '.join(missing)}")
    told = {"trials": log["trials"][-1], "perf_min": log["perf_min"][-1], "wall_s": round(log["times"][-1], 1)}
    for rule in [rule for rule in rule_name if f"perf_{rule}" in log]:
        told[f"perf_{rule}"] = log[f"perf_{rule}"][-1]
        told.update({f"{rule}_to_{criterion}": trials_to_criterion(log, rule, criterion) for criterion in CRITERIA})
    return told


def trials_to_criterion(log, rule, criterion):
    """Trial number at which the smoothed performance of a rule first reaches a criterion; None if it never does."""
    reached = np.flatnonzero(smooth(log[f"perf_{rule}"], SMOOTH_WINDOW) >= criterion)
    return int(log["trials"][reached[0]]) if reached.size else None


def write_table(root, outcomes=None):
    """Write <root>/sweep.csv anew, with all runs that are on disk or in `outcomes`.

    How other runs ended is taken over from the file that is there.

    Returns
    -------
    pandas.DataFrame
        What was written.
    """
    runs = {*find_runs(root), *(outcomes or {})}
    runs = sorted(runs, key=lambda run: (list(VARIANTS).index(run.variant), run.seed))
    table = sweep_table(runs, _with_earlier(root, outcomes or {}))
    Path(root).mkdir(parents=True, exist_ok=True)
    with atomic_write(Path(root) / TABLE_FILE) as temporary:
        table.to_csv(temporary, index=False)
    return table


def _with_earlier(root, outcomes):
    """Outcomes with those in the file that is there, which know more of a run that another sweep trains."""
    return {**_earlier_outcomes(root), **{run: told for run, told in outcomes.items() if told[0] != "running"}}


def _earlier_outcomes(root):
    """States in the file that is there, of runs that are on disk and have not been trained to their target since."""
    path, outcomes = Path(root) / TABLE_FILE, {}
    if not path.exists():
        return outcomes
    on_disk = {(run.variant, str(run.seed)): run for run in find_runs(root)}
    with (
        open(path, newline="", encoding="utf-8", errors="replace") as file,
        contextlib.suppress(csv.Error),  # what is behind it is unknown
    ):
        for row in csv.DictReader(file):
            run = on_disk.get((row.get("variant"), row.get("seed")))
            if run and row.get("state") in ("limit", "diverged", "refused", "failed", "stopped"):
                with contextlib.suppress(OSError, ValueError):
                    if not ((Path(run.model_dir) / "log.json").exists() and _is_trained(run)):
                        outcomes[run] = row["state"], row.get("message") or ""
    return outcomes


def table_text(table):
    """The first columns of a sweep's table, to print: state, trials, performance and time of each run."""
    shown = pd.DataFrame(
        {
            "run": [Run(*which).name for which in zip(table["variant"], table["seed"], strict=True)],
            "state": table["state"],
            "trials": [f"{n:,}" if pd.notna(n) else "-" for n in table["trials"]],
            "worst rule": [f"{p:.3f}" if pd.notna(p) else "-" for p in table["perf_min"]],
            "time": [str(timedelta(seconds=int(s))) if pd.notna(s) else "-" for s in table["wall_s"]],
        }
    )
    return shown.to_string(index=False)


# ---------------------------------------------------------------------------------------------------------- figures


def plot_sweep_summary(root="data", patterns=()):
    """Draw what holds over runs: growth of performance over seeds, and trials to criterion by variant.

    For each variant figure/figure_sweep/growth_<variant>: a thin line a seed, smoothed, and the median; for all
    together figure/figure_sweep/trials_to_criterion.

    Parameters
    ----------
    root : str
        Folder of the runs.
    patterns : sequence of str
        As for `choose_runs`; none: all that are on disk.

    Returns
    -------
    pandas.DataFrame
        `sweep_table` of the runs shown.

    Raises
    ------
    FileNotFoundError
        When no run is on disk.
    """
    wanted = {run.variant for run in choose_runs(patterns or ["*"])}
    runs = [run for run in find_runs(root) if run.variant in wanted and _can_be_shown(run)]
    if not runs:
        raise FileNotFoundError(f"no run of these variants below {root}: train some, or name their folder with --root")
    folder = figure_dir("sweep")
    for variant in dict.fromkeys(run.variant for run in runs):
        of_variant = [run for run in runs if run.variant == variant]
        curves = growth_curves(of_variant)
        medians = {rule: median_growth(rule_curves) for rule, rule_curves in curves.items()}
        figure = figures.growth_over_seeds(curves, medians, rule_name, f"{variant}, {_counted(of_variant)}")
        figures.save_figure(figure, folder / f"growth_{variant}")
    table = sweep_table(runs, _earlier_outcomes(root))
    figures.save_figure(figures.trials_to_criterion(table, CRITERIA, rule_name), folder / "trials_to_criterion")
    return table


def _can_be_shown(run):
    """Whether the run has begun and its log and hyper-parameters can be read; a warning if they cannot."""
    try:
        _is_trained(run)
        return bool(_reached(run))
    except FileNotFoundError:
        return False
    except (OSError, ValueError) as error:
        warnings.warn(f"A run is left out: {error}", stacklevel=3)
        return False


def _counted(runs):
    return f"{len(runs)} seeds" if len(runs) > 1 else f"seed {runs[0].seed}"


def growth_curves(runs):
    """Smoothed performance of each rule in each run.

    Returns
    -------
    {rule: [(trials, performance, whether the run reached its target)]}
        In the order of the runs.
    """
    curves = {}
    for run in runs:
        log = load_log(run.model_dir)
        for rule in [rule for rule in rule_name if f"perf_{rule}" in log]:
            smoothed = smooth(log[f"perf_{rule}"], SMOOTH_WINDOW)
            curves.setdefault(rule, []).append((np.array(log["trials"]), smoothed, _is_trained(run)))
    return curves


def median_growth(curves):
    """Median over runs at each trial number that a run was evaluated at.

    A run that reached its target keeps its last performance; where a run ended otherwise, the median ends.

    Parameters
    ----------
    curves : list of (trials, performance, whether the run reached its target)

    Returns
    -------
    trials, median : (n,) arrays
    """
    trials = np.unique(np.concatenate([its for its, _, _ in curves]))
    ends = [its[-1] for its, _, is_trained in curves if not is_trained]
    trials = trials[trials <= min(ends, default=trials[-1])]
    return trials, np.median([np.interp(trials, its, performance) for its, performance, _ in curves], axis=0)
