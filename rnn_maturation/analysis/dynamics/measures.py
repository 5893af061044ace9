"""What the five findings on dynamics measure on a run, and their criteria.

The criteria were fixed on three networks (seeds 0, 1 and 4 of the main run) before others were looked at; none may be
widened. Each measure takes results and gives a dict of numbers, nan where the run lacks what is needed; `CRITERIA` says
when a finding holds.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.stats import spearmanr

MATURE = 0.95
RISE = 0.35  # smoothed ODR performance at which the plateau ends
SHORTEST_PLATEAU = 100_000  # trials


class Criterion(NamedTuple):
    """When a finding holds.

    Attributes
    ----------
    finding, text : str
        The claim and the criterion, word by word as they were fixed.
    holds : callable
        dict of numbers -> bool.
    needs : tuple of str
        Numbers without which nothing can be said.
    """

    finding: str
    text: str
    holds: Callable
    needs: tuple

    def judge(self, numbers):
        """Return True or False, or None where a number that is needed is missing or nan."""
        if any(numbers.get(name) is None or np.isnan(numbers[name]) for name in self.needs):
            return None
        return bool(self.holds(numbers))


CRITERIA = {
    "timing": Criterion(
        "the mature network times the delay",
        "at the first checkpoint with ODR ≥ .95: correct after 1.5 s ≥ .90, after 1.0 s and after 2.0 s each ≤ .20 "
        "(64 directions, noise off)",
        lambda n: n["after_1500"] >= 0.90 and n["after_1000"] <= 0.20 and n["after_2000"] <= 0.20,
        ("after_1000", "after_1500", "after_2000"),
    ),
    "oscillation": Criterion(
        "the delay code is an oscillating mode",
        "there, the largest eigenvalue of the delay's fixed point is complex, of .4 to 1.2 Hz",
        lambda n: bool(n["is_complex"]) and 0.4 <= n["frequency_hz"] <= 1.2,
        ("is_complex", "frequency_hz"),
    ),
    "hidden_progress": Criterion(
        "hidden progress on the plateau",
        "the pair's memory time, median over the last fifth of the plateau, is at least 1.5 times that over its first "
        "fifth (networks with a plateau of ≥ 100,000 trials between the maturity of anti-saccades and ODR's .35)",
        lambda n: n["ratio"] >= 1.5,
        ("ratio",),
    ),
    "memory_at_rise": Criterion(
        "the plateau ends when the memory lasts",
        "memory time at the first checkpoint with smoothed ODR ≥ .35 is at least .5 s",
        lambda n: n["memory_time_s"] >= 0.5,
        ("memory_time_s",),
    ),
    "activity_with_rotation": Criterion(
        "delay activity grows with the rotation",
        "Spearman's ρ ≥ .5 over the checkpoints from the plateau's end to maturity between mean delay1 activity (the "
        "report's) and the rotation's size at the end of the delay (root mean square over directions of the distance "
        "from their mean)",
        lambda n: n["rho"] >= 0.5,
        ("rho",),
    ),
}


def first_mature(trials, performance, on_disk=None, level=MATURE):
    """Return the first trial number with a performance of at least the level, among those on disk; None without one.

    Parameters
    ----------
    trials : sequence of int
        Of the log.
    performance : sequence of float
        Logged ODR performance, not smoothed.
    on_disk : collection of int, optional
    level : float
    """
    reached = (t for t, p in zip(trials, performance, strict=True) if p >= level and (on_disk is None or t in on_disk))
    return next(reached, None)


def timing(delays):
    """Measure whether a mature network works at the trained delay only.

    Parameters
    ----------
    delays : DelayGeneralizationResult
        Of ODR at the first mature checkpoint, with 1,000, 1,500 and 2,000 ms among its delays.

    Returns
    -------
    dict
        after_1000, after_1500, after_2000: performance; trial.
    """
    table = delays.to_frame()
    at = {f"after_{ms}": table.performance[table.delay_ms == ms] for ms in (1000, 1500, 2000)}
    return {name: float(v.iloc[0]) if len(v) else np.nan for name, v in at.items()} | {
        "trial": int(table.trial.iloc[0])
    }


def oscillation(fixed_points):
    """Measure the largest eigenvalue of a mature network's delay.

    Parameters
    ----------
    fixed_points : FixedPointResult
        Of ODR's delay1 at the first mature checkpoint.

    Returns
    -------
    dict
        is_complex (1 or 0), frequency_hz, modulus, n_fixed_points; nan when no fixed point was found.
    """
    if not len(fixed_points.states):
        return {"is_complex": np.nan, "frequency_hz": np.nan, "modulus": np.nan, "n_fixed_points": 0}
    is_complex = fixed_points.pair_modulus >= fixed_points.largest_modulus - 1e-9  # False for nan: all are real
    return {
        "is_complex": float(is_complex),
        "frequency_hz": fixed_points.frequency_hz if is_complex else 0.0,
        "modulus": fixed_points.largest_modulus,
        "n_fixed_points": len(fixed_points.states),
    }


def hidden_progress(growth, start, end):
    """Measure how the memory time grows on the plateau.

    Parameters
    ----------
    growth : EigenvalueGrowthResult
        Of ODR's delay1 with checkpoints on the plateau.
    start, end : int or None
        Trial numbers of the maturity of the anti-saccade rules and of ODR's smoothed .35.

    Returns
    -------
    dict
        first_s, last_s (medians over the first and last fifth of the plateau), ratio, plateau (trials). All but the
        last are nan for a plateau that is shorter than 100,000 trials or without checkpoints in a fifth.
    """
    length = np.nan if start is None or end is None else end - start
    numbers = {"first_s": np.nan, "last_s": np.nan, "ratio": np.nan, "plateau": float(length)}
    if not length >= SHORTEST_PLATEAU:
        return numbers
    table = growth.to_frame()
    fifth = length / 5
    first = table.memory_time_s[(table.trial >= start) & (table.trial <= start + fifth)].median()
    last = table.memory_time_s[(table.trial >= end - fifth) & (table.trial <= end)].median()
    ratio = np.nan if np.isinf(first) and np.isinf(last) else last / first
    return {**numbers, "first_s": float(first), "last_s": float(last), "ratio": float(ratio)}


def memory_at_rise(growth, end):
    """Measure the memory time where the plateau ends.

    Parameters
    ----------
    growth : EigenvalueGrowthResult
    end : int or None
        Trial number of the first checkpoint with smoothed ODR performance of at least .35.

    Returns
    -------
    dict
        memory_time_s (infinite from a modulus of 1 on), frequency_hz, trial: of the first checkpoint from `end` on; nan
        without one.
    """
    table = growth.to_frame()
    later = table[table.trial >= (np.inf if end is None else end)]
    if later.empty:
        return {"memory_time_s": np.nan, "frequency_hz": np.nan, "trial": np.nan}
    row = later.iloc[0]
    return {name: float(row[name]) for name in ("memory_time_s", "frequency_hz", "trial")}


def activity_with_rotation(growth, delay_activity, end, mature):
    """Measure whether delay activity and the rotation's size grow together.

    Parameters
    ----------
    growth : EigenvalueGrowthResult
    delay_activity : {trial number: mean delay1 activity of delay1-selective units}
        As the report has it.
    end, mature : int or None
        Trial numbers of the end of the plateau (smoothed ODR .35) and of maturity (.95).

    Returns
    -------
    dict
        rho, n_checkpoints; rho is nan with fewer than 3 checkpoints.
    """
    table = growth.to_frame()
    if end is None:
        return {"rho": np.nan, "n_checkpoints": 0}
    in_course = (table.trial >= end) & (table.trial <= (np.inf if mature is None else mature))
    table = table[in_course & table.trial.isin(list(delay_activity))]
    activity = np.array([delay_activity[trial] for trial in table.trial], dtype=float)
    known = np.isfinite(activity)
    rho = spearmanr(activity[known], table.rotation_size[known]).statistic if known.sum() >= 3 else np.nan
    return {"rho": float(rho), "n_checkpoints": int(known.sum())}
