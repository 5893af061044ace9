"""What a finding is: a claim, the criterion by which a network is judged, and the function that measures it.

A criterion has a tolerance and a reason for it. Both were written down before the networks that they judge were looked
at; a network that misses one is reported as missing it, and none was made wider to let a network pass.

Adding a finding is one edit: a function that measures it, below ``@GROUP.finding(...)`` with the criterion.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from string import Formatter

from rnn_maturation.stages import STAGES

REFERENCES = ("Reference A", "Reference B")  # seeds 0 and 2, trained with the code of the original program
FAMILIES = {"paper": "findings of the paper", "dynamics": "findings of the dynamics"}  # counted apart
REPRODUCED, NOT_REPRODUCED, NOT_DECIDABLE = "reproduced", "not reproduced", "not decidable here"
VERDICTS = {True: REPRODUCED, False: NOT_REPRODUCED, None: NOT_DECIDABLE}
CERTAIN_STEP = 2  # standard errors of a difference between stages, over checkpoints


class NotDecidable(Exception):
    """The run lacks what a finding needs; the message says what."""


@dataclass(frozen=True)
class Measurement:
    """Numbers of a network for one finding, and what a reader should know about them."""

    numbers: dict = field(default_factory=dict)
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A claim, the criterion by which a network is judged, and how it is measured.

    Attributes
    ----------
    key : str
        Name of the measuring function; names the finding in report.json.
    family : str
        One of `FAMILIES`.
    group : str
        Heading in the report's table.
    claim : str
        What the paper says, or for the dynamics what this project says.
    source : str
        The paper's figure, where there is one.
    shown : str
        Format of the numbers, for `show`.
    published : dict
        The paper's numbers, by the names that `shown` and `holds` use.
    references : tuple of two dicts
        The same of the two networks of `REFERENCES`, empty where they are not known.
    criterion, reason : str
        When the finding counts as reproduced, with its tolerance, and why so.
    needs : tuple of str
        Numbers without which nothing can be said.
    holds : callable
        dict of numbers -> bool, or None where they are too uncertain to tell.
    measure : callable
        `data.TrainedRun` -> Measurement; raises NotDecidable when the run lacks what the finding needs.
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
    """Findings under one heading of the report, in the order of the report.

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
            Attributes of `Finding` other than key, family, group and measure.
        """

        def add(measure):
            named = {"key": measure.__name__, "family": self.family, "group": self.name}
            self.findings.append(Finding(**named, measure=measure, **parts))
            return measure

        return add


def judge(finding, numbers):
    """Return whether the numbers meet the criterion; None where a number is missing or nan, or they cannot tell."""
    verdict = finding.holds(numbers) if has_needed(finding, numbers) else None
    return None if verdict is None else bool(verdict)


def has_needed(finding, numbers):
    """Return whether all numbers that the criterion needs are there."""
    return all(is_number(numbers.get(name)) for name in finding.needs)


def is_number(value):
    """Return whether a value is a number other than nan."""
    return value is not None and not math.isnan(value)


class _Dashes(Formatter):
    """Format numbers with a minus sign, and missing ones as dashes."""

    def get_value(self, key, args, kwargs):
        return kwargs.get(key)

    def format_field(self, value, spec):
        return format(value, spec).replace("-", "−") if is_number(value) else "–"


def show(finding, numbers):
    """Return the numbers as a text, a dash where one is missing.

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
    """Return the three numbers as a dict by the names of the stages."""
    return {prefix + stage: mean for stage, mean in zip(STAGES, means, strict=True)}


def grows(numbers, prefix=""):
    """Return whether early < mid < mature.

    A step is certain when it is at least `CERTAIN_STEP` standard errors, or no standard errors are known.

    Returns
    -------
    bool or None
        False when a step is not upward; None when both are, but one is not certain.
    """
    means = [numbers[prefix + stage] for stage in STAGES]
    errors = [numbers.get(f"{prefix}{stage}_se", 0.0) for stage in STAGES]
    steps = [later - earlier for earlier, later in pairwise(means)]
    if min(steps) <= 0:
        return False
    needed = [CERTAIN_STEP * math.hypot(*pair) for pair in pairwise(errors)]
    return True if all(step >= least for step, least in zip(steps, needed, strict=True)) else None


def all_of(verdicts):
    """Return False when one is False, else None when one is None, else True."""
    return False if False in verdicts else None if None in verdicts else True


def is_steady(numbers):
    """Return whether the largest stage is at most 1.2 times the smallest."""
    values = [numbers[stage] for stage in STAGES]
    return min(values) > 0 and max(values) <= 1.2 * min(values)
