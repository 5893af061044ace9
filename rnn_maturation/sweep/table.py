"""Make the table of a sweep, <root>/sweep.csv: how long each run was trained, how it performs, and how it ended."""

import contextlib
import csv
from datetime import timedelta
from functools import cache
from pathlib import Path

import pandas as pd

from rnn_maturation.files import atomic_write, is_locked, make_folder
from rnn_maturation.hyperparameters import STAGE_LEVELS
from rnn_maturation.model_directory import LOG_FILE, has_hp, has_log, load_hp, load_log
from rnn_maturation.stages import first_reaching
from rnn_maturation.sweep.variants import TrainingRun, find_runs, table_order
from rnn_maturation.task import rule_name

CRITERIA = tuple(STAGE_LEVELS.values())
TABLE_FILE = "sweep.csv"
COLUMNS = ("variant", "seed", "state", "trials", "perf_min", "wall_s", "message")


def sweep_table(runs, outcomes=None):
    """Return a table with one line per run: its state, number of trials, performance and duration.

    Parameters
    ----------
    runs : list of TrainingRun
    outcomes : {TrainingRun: (state, message)}, optional
        How the runs ended; by default this follows from their folders. A run that is being trained is 'running'.

    Returns
    -------
    pandas.DataFrame
        The columns are variant, seed, state, trials (number of training trials), perf_min (performance of the worst
        rule), wall_s (duration of the training, s) and message. For each rule there are also perf_<rule>, the last
        performance, and <rule>_to_0.35, <rule>_to_0.65 and <rule>_to_0.95, see `trials_to_criterion`.
    """
    rows = [_row(run, *(outcomes or {}).get(run, (None, ""))) for run in runs]
    present = {key for row in rows for key in row}
    of_rules = [c for rule in rule_name for c in (f"perf_{rule}", *(f"{rule}_to_{level}" for level in CRITERIA))]
    columns = [*COLUMNS, *(column for column in of_rules if column in present)]
    return pd.DataFrame(rows, columns=columns).convert_dtypes()


def _row(run, state, message):
    row = {}
    if is_locked(run.model_dir):  # a process is training the run: the earlier outcome is outdated
        state, message = "running", ""
    try:
        row = reached(run)
        if state in (None, "limit", "stopped") and is_trained(run):  # perhaps it was trained further since
            state, message = "trained", ""
    except (FileNotFoundError, NotADirectoryError):  # not begun
        pass
    except (OSError, ValueError) as error:
        state, message = state or "failed", message or str(error)
    return {"variant": run.variant, "seed": run.seed, "state": state or "unfinished", "message": message, **row}


def is_trained(run):
    """Return whether a run has reached its target; raise a FileNotFoundError if it has hp.json but no log."""
    return has_hp(run.model_dir) and reached(run)["perf_min"] > load_hp(run.model_dir)["target_perf"]


def reached(run):
    """Return the columns of the table that come from the log of a run; raise a FileNotFoundError if it has none."""
    return _read_log(run.model_dir, (Path(run.model_dir) / LOG_FILE).stat().st_mtime_ns)


@cache
def _read_log(model_dir, _):
    """Return the columns that come from a log; the file is read again only if its modification time has changed."""
    log = load_log(model_dir)
    if not log["trials"]:
        raise FileNotFoundError(f"{model_dir} has an empty log")
    missing = [key for key in ("perf_min", "times") if key not in log]
    if missing:
        raise ValueError(f"{model_dir}/{LOG_FILE} is damaged: it has no {', '.join(missing)}")
    row = {"trials": log["trials"][-1], "perf_min": log["perf_min"][-1], "wall_s": round(log["times"][-1], 1)}
    for rule in [rule for rule in rule_name if f"perf_{rule}" in log]:
        row[f"perf_{rule}"] = log[f"perf_{rule}"][-1]
        row.update({f"{rule}_to_{level}": trials_to_criterion(log, rule, level) for level in CRITERIA})
    return row


def trials_to_criterion(log, rule, criterion):
    """Return the trial number at which the smoothed performance of a rule first reaches a criterion.

    Parameters
    ----------
    log : dict
    rule : str
    criterion : float
        Performance, 0 to 1.

    Returns
    -------
    int or None
        Number of training trials; None if the performance never reaches the criterion.
    """
    position = first_reaching(log[f"perf_{rule}"], criterion)
    return None if position is None else int(log["trials"][position])


def write_table(root, outcomes=None):
    """Write <root>/sweep.csv with all runs that are on disk or in `outcomes`.

    The outcomes of runs that are not in `outcomes` are taken from the existing file.

    Parameters
    ----------
    root : str or Path
        Folder of the runs.
    outcomes : {TrainingRun: (state, message)}, optional

    Returns
    -------
    pandas.DataFrame
        The table that was written.
    """
    runs = sorted({*find_runs(root), *(outcomes or {})}, key=table_order)
    table = sweep_table(runs, with_earlier(root, outcomes or {}))
    make_folder(root)
    with atomic_write(Path(root) / TABLE_FILE) as temporary:
        table.to_csv(temporary, index=False)
    return table


def with_earlier(root, outcomes):
    """Return `outcomes` together with those in the existing file.

    If a run is 'running' in `outcomes`, because another sweep trains it, the outcome in the file is used.
    """
    return {**earlier_outcomes(root), **{run: outcome for run, outcome in outcomes.items() if outcome[0] != "running"}}


def earlier_outcomes(root):
    """Return the outcomes that <root>/sweep.csv has of runs on disk, except of runs that have now reached their target.

    Parameters
    ----------
    root : str or Path

    Returns
    -------
    {TrainingRun: (state, message)}
    """
    path, outcomes = Path(root) / TABLE_FILE, {}
    if not path.exists():
        return outcomes
    on_disk = {(run.variant, str(run.seed)): run for run in find_runs(root)}
    with (
        open(path, newline="", encoding="utf-8", errors="replace") as file,
        contextlib.suppress(csv.Error),  # the rest of a damaged file is left out
    ):
        for row in csv.DictReader(file):
            run = on_disk.get((row.get("variant"), row.get("seed")))
            if run and row.get("state") in ("limit", "diverged", "refused", "failed", "stopped"):
                with contextlib.suppress(OSError, ValueError):
                    if not (has_log(run.model_dir) and is_trained(run)):
                        outcomes[run] = row["state"], row.get("message") or ""
    return outcomes


def table_text(table):
    """Return the main columns of `sweep_table` as text: state, trials, lowest performance and duration of each run."""
    shown = pd.DataFrame(
        {
            "run": [TrainingRun(*which).name for which in zip(table["variant"], table["seed"], strict=True)],
            "state": table["state"],
            "trials": [f"{n:,}" if pd.notna(n) else "-" for n in table["trials"]],
            "worst rule": [f"{p:.3f}" if pd.notna(p) else "-" for p in table["perf_min"]],
            "time": [str(timedelta(seconds=int(s))) if pd.notna(s) else "-" for s in table["wall_s"]],
        }
    )
    return shown.to_string(index=False)
