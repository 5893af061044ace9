"""Define a finding: a claim, the criterion by which a network is judged, and the function that measures it.

A criterion has a tolerance, and a reason for it. Both were fixed before networks other than those that the reason
names were examined. No criterion was widened afterwards, and a network that does not meet one is reported.

To add a finding, write a function that measures it, and decorate it with ``@GROUP.finding(...)`` and the criterion.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from string import Formatter

from rnn_maturation.stages import STAGES

REFERENCES = ("Reference A", "Reference B")  # seeds 0 and 2, trained with the code of the original program
FAMILIES = {"paper": "findings of the paper", "dynamics": "findings of the dynamics"}  # counted separately
REPRODUCED, NOT_REPRODUCED, NOT_DECIDABLE = "reproduced", "not reproduced", "not decidable here"
VERDICTS = {True: REPRODUCED, False: NOT_REPRODUCED, None: NOT_DECIDABLE}
CERTAIN_STEP = 2  # a difference between stages is certain from so many standard errors (over checkpoints) on


class NotDecidable(Exception):
    """The run lacks what a finding needs; the message says what."""


@dataclass(frozen=True)
class Measurement:
    """Numbers of a network for one finding, {name: number}, and a note about them for the reader."""

    numbers: dict = field(default_factory=dict)
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A claim, the criterion by which a network is judged, and how it is measured.

    Attributes
    ----------
    key : str
        Name of the measuring function, which identifies the finding in report.json.
    family : str
        One of `FAMILIES`.
    group : str
        Heading in the report's table.
    claim : str
        Statement of the paper or, for the dynamics, of this project.
    source : str
        The paper's figure, where there is one.
    shown : str
        Format string with which `show` prints the numbers.
    published : dict
        The numbers of the paper, {name: number}, with the names that `shown` and `holds` use.
    references : tuple of two dicts
        The same for the two networks of `REFERENCES`; empty where their numbers are not known.
    criterion, reason : str
        The condition under which the finding counts as reproduced, with its tolerance, and the reason for both.
    needs : tuple of str
        Names of the numbers without which the criterion cannot be judged.
    holds : callable
        Takes {name: number}; returns whether the criterion is met, or None if the numbers are too uncertain to tell.
    measure : callable
        Takes a `data.TrainedRun`; returns a Measurement, or raises NotDecidable if the run lacks what is needed.
    """

    key: str
    family: str
    group: str
    claim: str
    source: str = ""
    shown: str
    published: dict = field(default_factory=dict)
    references: tuple = ({}, {})
    criterion: str
    reason: str
    needs: tuple
    holds: Callable
    measure: Callable


class Group:
    """Findings under one heading of the report, in their order there.

    Parameters
    ----------
    name : str
        The heading.
    family : str
        One of `FAMILIES`.
    """

    def __init__(self, name, family="paper"):
        self.name, self.family, self.findings = name, family, []

    def finding(self, **parts):
        """Return a decorator that adds a `Finding`, measured by the decorated function, to the group.

        Parameters
        ----------
        **parts
            Attributes of `Finding`, other than key, family, group and measure.
        """

        def add(measure):
            named = {"key": measure.__name__, "family": self.family, "group": self.name}
            self.findings.append(Finding(**named, measure=measure, **parts))
            return measure

        return add


def judge(finding, numbers):
    """Return whether the numbers meet the criterion; None if one is missing or nan, or if they are too uncertain."""
    verdict = finding.holds(numbers) if has_needed(finding, numbers) else None
    return None if verdict is None else bool(verdict)


def has_needed(finding, numbers):
    """Return whether all numbers that the criterion needs are known (not missing or nan)."""
    return all(is_number(numbers.get(name)) for name in finding.needs)


def is_number(value):
    """Return whether a value is neither None nor nan."""
    return value is not None and not math.isnan(value)


class _Dashes(Formatter):
    """Formatter that writes negative numbers with a minus sign (not a hyphen), and missing numbers as dashes."""

    def get_value(self, key, args, kwargs):
        return kwargs.get(key)

    def format_field(self, value, spec):
        return format(value, spec).replace("-", "−") if is_number(value) else "–"


def show(finding, numbers):
    """Return the numbers as a text, with a dash for each missing number.

    Parts of the text (between semicolons) without any number are left out.
    """
    formatter = _Dashes()
    parts = []
    for part in finding.shown.split("; "):
        names = [name for _, name, _, _ in formatter.parse(part) if name]
        if any(is_number(numbers.get(name)) for name in names):
            parts.append(formatter.vformat(part, (), numbers))
    return "; ".join(parts) or "–"


# ----------------------------------------------------------------------------------- criteria that several findings use

THREE = "{early:.2f} / {mid:.2f} / {mature:.2f}"
ERRORS = "; ± {early_se:.2f} / {mid_se:.2f} / {mature_se:.2f}"
GROWS = "early < mid < mature, each step at least twice its standard error over checkpoints"
GROWTH_REASON = (
    "Single checkpoints of a stage vary by 20 to 55 %, and the mean of 8 checkpoints by 6 to 15 %. Without the "
    "standard error, the choice of checkpoints would determine the verdict. An increase that is smaller than the "
    "criterion asks for is not decidable. Only the means of the published and reference networks are known, so only "
    "their order is judged."
)


def of_stages(*means, prefix=""):
    """Return the three numbers as a dict {prefix + stage: number}."""
    return {prefix + stage: mean for stage, mean in zip(STAGES, means, strict=True)}


def grows(numbers, prefix=""):
    """Return whether early < mid < mature.

    A step is certain if it is at least `CERTAIN_STEP` times its standard error; unknown standard errors count as 0.

    Returns
    -------
    bool or None
        False if a step is not upward; None if both are upward, but one is not certain.
    """
    means = [numbers[prefix + stage] for stage in STAGES]
    errors = [numbers.get(f"{prefix}{stage}_se", 0.0) for stage in STAGES]
    steps = [later - earlier for earlier, later in pairwise(means)]
    if min(steps) <= 0:
        return False
    needed = [CERTAIN_STEP * math.hypot(*pair) for pair in pairwise(errors)]
    return True if all(step >= least for step, least in zip(steps, needed, strict=True)) else None


def all_of(verdicts):
    """Return False if any verdict is False, otherwise None if any is None, otherwise True."""
    return False if False in verdicts else None if None in verdicts else True


def is_steady(numbers):
    """Return whether the largest number of a stage is at most 1.2 times the smallest."""
    values = [numbers[stage] for stage in STAGES]
    return min(values) > 0 and max(values) <= 1.2 * min(values)
