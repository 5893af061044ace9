"""The eye-movement tasks: what a network sees, what it should answer, and how much each answer counts.

A task is one row of the table `TASKS` and the function that draws its stimuli and responses. `register_task` adds your
own task to the table, from a file of yours (docs/extending_task.md).

Arrays are time-major, (T, B, channels) float32: T time steps, B trials, and a ring of R units (`hp['n_eachring']`).
Input channel 0 is fixation, channels 1 to R are the stimulus ring, and channel `hp['rule_start']` + k is rule k of the
rule set. Output channel 0 is fixation, and channels 1 to R are the response ring. Directions are in radians in [0, 2π).
All random numbers come from `hp['rng']`, in a fixed order, because published numbers and resumed runs depend on it.

Tasks after Liu, Zhu, Constantinidis & Zhou, iScience 24(10):103178, 2021, Figure 1.
"""

import copy
import math
import os
import re
import runpy
import warnings
from collections.abc import Callable
from functools import partial
from itertools import accumulate, pairwise
from pathlib import Path
from types import CodeType
from typing import NamedTuple

import numpy as np

from rnn_maturation.checks import check_whole_number, quoted

DT = 20  # ms, default time step
TAIL = 500  # ms from the end of the last epoch to the end of the trial
GRACE = 100  # ms that do not count in the cost: at the start of the trial, and after the go signal ('go1')
TRIALS_PER_LOCATION = 16  # in the test modes
NONMATCH_BLOCK = 8  # consecutive trials with the same answer, match or non-match, in test mode
BUMP_HEIGHT, BUMP_WIDTH = 0.8, np.pi / 8  # width (standard deviation) in rad, whatever the size of the ring
KEYWORDS = ("batch_size", "rule_on", "rule_off", "rule_strength", "replace_rule")  # keywords of generate_trials
TASKS_VARIABLE = "RNN_MATURATION_TASKS"  # environment variable: files to load, separated as in PATH


# ------------------------------------------------------------------------------------------------------------- a batch


class Trial:
    """A batch of trials.

    `generate_trials` makes a batch from a row of the table. You can also build one yourself: take the epochs and the
    number of steps from `timing`, then call the ``add_…`` methods in any order (docs/extending_task.md).

    Parameters
    ----------
    config : dict
        Hyper-parameters (`hp`). The batch keeps this dict itself, not a copy.
    tdim : int
        Number of time steps T.
    batch_size : int
        Number of trials B.
    epochs : dict, optional
        {epoch: (start, end)} in steps, as `timing` returns it. The ``add_…`` methods take their times from it.

    Attributes
    ----------
    x : (T, B, n_input) float32
        Input.
    y : (T, B, R+1) float32
        Target output.
    y_loc : (T, B) float32
        Target direction in rad; −1 while no response is due.
    c_mask : float32 array or None
        Cost mask: (T·B, R+1) with loss type 'lsq', (T·B,) with 'cross_entropy'. It is None before `add_c_mask`.
    epochs : dict
        {epoch: (start, end)} in steps. A start of None means the start of the trial, and an end of None means its end.
        The response is due in 'go1'.
    rings : dict
        {kind: {name: (B, R) ring activity}}, names in the order in which they were added. The kinds are those of
        `add_stimulus` and 'response'.
    pref : (R,) float64
        Preferred directions of the ring units, rad.

    Raises
    ------
    ValueError
        For an unknown loss type, or a number of steps or trials that is not a positive whole number.
    """

    float_type = "float32"

    def __init__(self, config, tdim, batch_size, epochs=None):
        _check_known("loss_type", config["loss_type"], ("lsq", "cross_entropy"))
        check_whole_number("tdim", tdim)
        check_whole_number("batch_size", batch_size)
        self.config = config
        self.dt = config["dt"]
        self.tdim, self.batch_size = tdim, batch_size
        self.n_eachring, self.n_input, self.n_output = config["n_eachring"], config["n_input"], config["n_output"]
        self.pref = np.arange(self.n_eachring) * (2 * np.pi / self.n_eachring)
        self.least_squares = config["loss_type"] == "lsq"
        self.x = np.zeros((tdim, batch_size, self.n_input), self.float_type)
        self.y = np.full((tdim, batch_size, self.n_output), 0.05 if self.least_squares else 0.0, self.float_type)
        self.y_loc = np.full((tdim, batch_size), -1.0, self.float_type)
        self.c_mask = None
        self.epochs = dict(epochs or {})
        self.rings = {"stimulus": {}, "distractor": {}, "other": {}, "response": {}}

    @property
    def rng(self):
        """The random generator of the hyper-parameters.

        Raises
        ------
        ValueError
            If hp['rng'] is missing or is not a RandomState.
        """
        return _generator(self.config)

    @property
    def input_loc(self):
        """List of (R,) ring activity of the first stimulus, one per trial, followed by that of a second one, if any."""
        return self._rings_of("stimulus")

    @property
    def distract_loc(self):
        """List of (R,) ring activity of the distractor, one per trial; empty without a distractor."""
        return self._rings_of("distractor")

    @property
    def output_loc(self):
        """List of (R,) ring activity of the response, one per trial."""
        return self._rings_of("response")

    def _rings_of(self, kind):
        return [ring for rings in self.rings[kind].values() for ring in rings]

    def add_fixation(self, off="go1"):
        """Add the fixation input, and the target of the fixation output until the response is due.

        Parameters
        ----------
        off : str or None
            Epoch at whose start the fixation input goes off. If None, the input stays on.
        """
        self.x[: None if off is None else self._steps(off)[0], :, 0] = 1
        self.y[: self._steps("go1")[0], :, 0] = 0.8 if self.least_squares else 1.0

    def add_rule(self, rule, on=None, off=None, strength=1.0):
        """Add the input of a rule.

        Parameters
        ----------
        rule : str
            Rule of the rule set `hp['ruleset']`.
        on, off : int, optional
            First step with the input, and the step after the last one; by default the whole trial.
        strength : float
            Value of the input.
        """
        self.x[on:off, :, get_rule_index(rule, self.config)] = strength

    def add_stimulus(self, name, directions, epoch=None, kind="stimulus", strength=1.0):
        """Add a stimulus to the input ring.

        Parameters
        ----------
        name : str
            Name of the stimulus, under which `rings` keeps its activity.
        directions : float or (B,) array_like
            Direction of the stimulus (rad), the same in all trials or one per trial.
        epoch : str or (start, end), optional
            Epoch in which the stimulus is on, or its start and end in steps. The default is the epoch that has the name
            of the stimulus.
        kind : {'stimulus', 'distractor', 'other'}
            A 'stimulus' is listed in `input_loc`, by which the analyses sort trials, and a 'distractor' in
            `distract_loc`. Use 'other' for choice targets or a cue: they are not listed, and they are bumps of activity
            even if `hp['in_loc_type']` is 'one_hot'.
        strength : float
            Factor by which the ring activity is multiplied.

        Raises
        ------
        ValueError
            For an unknown epoch or kind, or directions that are not one finite number per trial.
        """
        _check_known("kind of stimulus", kind, ("stimulus", "distractor", "other"))
        epoch = name if epoch is None else epoch
        start, end = self._steps(epoch) if isinstance(epoch, str) else epoch
        one_hot = self.config.get("in_loc_type") == "one_hot" and kind != "other"
        self.rings[kind][name] = strength * self._ring(self._directions(name, directions), one_hot)
        self.x[start:end, :, 1 : 1 + self.n_eachring] += self.rings[kind][name]

    def add_response(self, directions):
        """Add the target of the response, from 'go1' to the end of the trial.

        Parameters
        ----------
        directions : float or (B,) array_like
            Target direction (rad), the same in all trials or one per trial.
        """
        start, directions = self._steps("go1")[0], self._directions("response", directions)
        self.rings["response"]["response"] = self._ring(directions, one_hot=not self.least_squares)
        self.y[start:, :, 1 : 1 + self.n_eachring] += self.rings["response"]["response"]
        self.y_loc[start:] = directions

    def _steps(self, epoch):
        _check_known("epoch", epoch, self.epochs)
        return self.epochs[epoch]

    def _directions(self, name, directions):
        directions = np.asarray(directions, dtype=float)
        if directions.shape not in ((), (self.batch_size,)) or not np.isfinite(directions).all():
            raise ValueError(
                f"The directions of {name} are {quoted(directions)}: they must be one finite number (rad), or one for "
                f"each of the {self.batch_size} trials."
            )
        directions = directions % (2 * np.pi)
        return directions if directions.shape else np.full(self.batch_size, directions)

    def _ring(self, directions, one_hot):
        """Return the ring activity (B, R) of one direction per trial."""
        distances = get_dist(directions[:, None] - self.pref)
        if one_hot:
            return np.eye(self.n_eachring)[distances.argmin(axis=1)]
        return BUMP_HEIGHT * np.exp(-((distances / BUMP_WIDTH) ** 2) / 2)

    def add_c_mask(self, response_weight=5.0):
        """Add the cost mask, the weight of each output at each step.

        The weight is 1 before 'go1' and `response_weight` after it. It is 0 for `GRACE` ms at the start of the trial
        and for `GRACE` ms after 'go1'. With loss type 'lsq' the fixation output has twice this weight, and the error is
        multiplied by the weight before it is squared. With 'cross_entropy' the mask is divided by its mean.

        Parameters
        ----------
        response_weight : float
            Weight after 'go1'.
        """
        response_on, grace = self._steps("go1")[0], int(GRACE / self.dt)
        weights = np.zeros(self.tdim)
        weights[grace:response_on] = 1
        weights[response_on + grace :] = response_weight
        if not self.least_squares:
            self.c_mask = np.repeat((weights / weights.mean()).astype(self.float_type), self.batch_size)
            return
        mask = np.empty((self.tdim, self.batch_size, self.n_output), self.float_type)
        mask[...] = weights[:, None, None]
        mask[:, :, 0] *= 2
        self.c_mask = mask.reshape(-1, self.n_output)

    def add_x_noise(self):
        """Add normal noise to the whole input; its standard deviation per step is sigma_x·√(2/alpha)."""
        noise = self.rng.randn(*self.x.shape)
        alpha = self.config["dt"] / self.config["tau"]  # hp['alpha'] may have been computed with another dt
        noise *= self.config["sigma_x"] * np.sqrt(2 / alpha)
        self.x += noise

    def split(self, n_parts):
        """Split the batch into `n_parts` smaller ones, which share its arrays and have neither rings nor cost mask."""
        parts, size = [], self.batch_size // n_parts
        for start in range(0, self.batch_size, size):
            part = copy.copy(self)
            columns = slice(start, start + size)
            part.x, part.y, part.y_loc = self.x[:, columns], self.y[:, columns], self.y_loc[:, columns]
            part.batch_size, part.c_mask, part.rings = size, None, {kind: {} for kind in self.rings}
            parts.append(part)
        return parts


def timing(durations, dt, response_on=None, what="this task"):
    """Return the start and end of each epoch of a trial, and the length of the trial.

    Parameters
    ----------
    durations : dict
        {epoch: duration in ms}, in the order of the trial. `TAIL` ms are added after the last epoch.
    dt : float
        Time step, ms. Each duration is rounded down to whole steps before they are added up.
    response_on : str, optional
        Epoch at whose start the response is due. By default it is due after the last epoch.
    what : str
        Name of the task in error messages.

    Returns
    -------
    epochs : dict
        {epoch: (start, end)} in steps. The last key is 'go1', the time in which the response is due.
    tdim : int
        Number of time steps of the whole trial.

    Raises
    ------
    ValueError
        If an epoch is shorter than one step.
    """
    n_steps = {name: int(duration / dt) for name, duration in durations.items()}
    for name, steps in n_steps.items():
        if steps < 1:
            raise ValueError(
                f"dt of {dt} ms is too long for {what}: its {name} lasts {durations[name]} ms. Choose a smaller dt."
            )
    ends = list(accumulate(n_steps.values()))
    epochs = dict(zip(n_steps, pairwise([None, *ends]), strict=True))
    go = epochs[response_on][0] if response_on else ends[-1]
    return {**epochs, "go1": (go, None)}, ends[-1] + int(TAIL / dt)


def get_dist(original_dist):
    """Return the circular distance, rad in [0, π], of a difference between two directions in [0, 2π)."""
    return np.minimum(np.abs(original_dist), 2 * np.pi - np.abs(original_dist))


# ----------------------------------------------------------------------------------------------------- draw functions
# Each function gets an empty batch and adds the stimuli and the response. stim1, (B,) rad, has the directions of the
# first stimulus: they are random, or prescribed in the test modes. is_test tells whether the mode is a test mode, in
# which the function must use a fixed scheme for everything else that it would draw at random.


def saccade(trial, stim1, is_test):
    """Show a stimulus in its epoch; the response is a saccade to it."""
    trial.add_stimulus("stim1", stim1)
    trial.add_response(stim1)


def antisaccade(trial, stim1, is_test):
    """Show a stimulus in its epoch; the response is a saccade to the opposite direction."""
    trial.add_stimulus("stim1", stim1)
    trial.add_response(stim1 + np.pi)


def saccade_with_distractor(trial, stim1, is_test, distract1=None):
    """Show a stimulus and later a distractor; the response is a saccade to the stimulus.

    The distractor is shown at `distract1`, (B,) rad, if it is given. Otherwise it is opposite to the stimulus in test
    mode, and at a random offset from the stimulus in mode 'random'.
    """
    if distract1 is None:  # one offset for the whole batch, as published
        n_ring = trial.n_eachring
        distract1 = stim1 + (np.pi if is_test else trial.rng.choice(np.arange(1, n_ring)) * 2 * np.pi / n_ring)
    trial.add_stimulus("stim1", stim1)
    trial.add_stimulus("distract1", distract1, kind="distractor")
    trial.add_response(stim1)


def match_or_nonmatch(trial, stim1, is_test, easy=False, passive=False):
    """Show two stimuli and then two choice targets; the response tells whether the stimuli were at the same location.

    In the easy task the match target is always at direction 0. In the passive task the response has no weight in the
    cost.
    """
    rng, n_ring, n_trials = trial.rng, trial.n_eachring, trial.batch_size
    if is_test:
        nonmatch, deviation = np.arange(n_trials) // NONMATCH_BLOCK % 2, np.pi
    else:
        nonmatch = rng.randint(0, 2, n_trials)
        deviation = rng.randint(1, n_ring) * 2 * np.pi / n_ring  # one for the whole batch, as published
    side = rng.randint(0, 2, n_trials)  # where the match choice is shown; drawn for the easy task too
    match, response = np.where(side == 0, np.pi / 4, 7 * np.pi / 4), np.abs(nonmatch - side) * np.pi
    if easy:
        match, response = 0.0, nonmatch * np.pi
    trial.add_stimulus("stim1", stim1)
    trial.add_stimulus("stim2", stim1 + deviation * nonmatch)
    trial.add_stimulus("choice_match", match, "go1", kind="other")
    trial.add_stimulus("choice_nonmatch", match + np.pi, "go1", kind="other")
    trial.add_response(0.0 if passive else response)


# ----------------------------------------------------------------------------------------------------------- the table


class Task(NamedTuple):
    """A row of the table of tasks.

    Attributes
    ----------
    name : str
        Name of the task in figures.
    epochs : dict
        {epoch: duration in ms}, in the order of the trial. `TAIL` ms are added after the last epoch. The first epoch
        must be 'fix1' and one must be 'stim1', because the analyses compare these two.
    fixation_off : str or None
        Epoch at whose start the fixation input goes off. 'go1' is the time when the response is due. If None, the input
        stays on.
    response_on : str or None
        Epoch at whose start the response is due. If None, it is due after the last epoch.
    response_weight : float
        Weight in the cost after the response is due, see `Trial.add_c_mask`.
    draw : callable
        ``draw(trial, stim1, is_test)`` adds the stimuli and the response to the batch `trial`, with the methods of
        `Trial` or in its arrays. `stim1`, (B,) rad, has the directions of the first stimulus, which are random or, in a
        test mode, prescribed. `is_test` tells whether the mode is a test mode. All random numbers must come from
        `trial.rng`.
    draw_epochs : callable or None
        ``draw_epochs(rng)`` returns {epoch: duration in ms} for the epochs whose duration is random, one duration for
        the whole batch. It is called before any other random number is drawn. Test trials and evaluations use the
        durations in `epochs`.
    test_pairs : bool
        Whether the task has the modes 'test-i-j' (see `generate_trials`). In these modes `draw` gets a fourth argument,
        the directions of the second stimulus, (B,) rad.
    """

    name: str
    epochs: dict
    fixation_off: str | None = "go1"
    response_on: str | None = None
    response_weight: float = 5.0
    draw: Callable = saccade
    draw_epochs: Callable | None = None
    test_pairs: bool = False


def _odr(delay):
    return {"fix1": 1000, "stim1": 500, "delay1": delay}


_ODRD = {"fix1": 1000, "stim1": 500, "delay1": 500, "distract1": 500, "delay2": 500}
_MATCH = {"fix1": 1000, "stim1": 500, "delay1": 500, "stim2": 500, "delay2": 500}

TASKS = {
    "odr": Task("ODR", _odr(1500)),
    "odr500": Task("ODR500", _odr(500)),
    "odr750": Task("ODR750", _odr(750)),
    "odr1000": Task("ODR1000", _odr(1000)),
    "odr1100": Task("ODR1100", _odr(1100)),
    "odr1200": Task("ODR1200", _odr(1200)),
    "odr1300": Task("ODR1300", _odr(1300)),
    "odr1400": Task("ODR1400", _odr(1400)),
    "odr3000": Task("ODR3000", _odr(3000)),
    "odr6000": Task("ODR6000", _odr(6000)),
    "odr15000": Task("ODR15000", _odr(15000)),
    "odrd": Task("ODR+d", _ODRD, draw=saccade_with_distractor, test_pairs=True),
    "overlap": Task("Overlap", {"fix1": 1000, "stim1": 100}, draw=antisaccade),
    "zero_gap": Task("Zero_gap", {"fix1": 1000, "stim1": 100}, "stim1", "stim1", draw=antisaccade),
    "gap": Task("Gap", {"fix1": 1000, "delay1": 100, "stim1": 100}, "delay1", "stim1", draw=antisaccade),
    "gap500": Task("Gap500", {"fix1": 1000, "delay1": 500, "stim1": 100}, "delay1", "stim1", draw=antisaccade),
    "match_or_non": Task("MorN", _MATCH, draw=match_or_nonmatch),
    "match_or_non_easy": Task("MorNe", _MATCH, draw=partial(match_or_nonmatch, easy=True)),
    "match_or_non_passive": Task("MorNp", _MATCH, None, None, 0.0, draw=partial(match_or_nonmatch, passive=True)),
}

_SIX_TASKS = ["overlap", "zero_gap", "gap", "odr", "odrd", "gap500"]


def six_tasks_with(odr):
    """Return the six rules of the main run with another rule in place of odr."""
    return [odr if rule == "odr" else rule for rule in _SIX_TASKS]


rules_dict = {  # rule sets; the position of a rule in its rule set decides its input channel
    "ozg": ["overlap", "zero_gap", "gap"],
    "odr_delay_check": ["odr500", "odr750", "odr1000", "odr1100", "odr1200", "odr1300", "odr1400", "odr"],
    "all_new": list(_SIX_TASKS),
    "all_new_odr3000": six_tasks_with("odr3000"),
    "all_new_odr6000": six_tasks_with("odr6000"),
    "all_new_odr15000": six_tasks_with("odr15000"),
    "MoN": ["match_or_non", "match_or_non_easy"],
    "mix_MoN_6tasks": ["match_or_non", "match_or_non_easy", *_SIX_TASKS],
    "mix_p_MoN_6tasks": ["match_or_non", "match_or_non_easy", "match_or_non_passive", *_SIX_TASKS],
    "seq_train_test": ["odr500", "odrd", "overlap", "zero_gap", "gap"],
}

rule_name = {rule: task.name for rule, task in TASKS.items()}


def get_num_rule(ruleset):
    """Return the number of rules in a rule set.

    Raises
    ------
    ValueError
        For an unknown rule set.
    """
    _check_known("rule set", ruleset, rules_dict, OWN_FILE_REMEDY)
    return len(rules_dict[ruleset])


def get_rule_index(rule, config):
    """Return the input channel of a rule.

    Parameters
    ----------
    rule : str
        Name of a rule in the rule set `config['ruleset']`.
    config : dict
        Hyper-parameters; 'n_rule' may be smaller than the rule set, as in files of older versions.

    Raises
    ------
    ValueError
        For an unknown rule set, a rule that is not in it, or one for which the network has no channel.
    """
    ruleset = config["ruleset"]
    _check_known("rule set", ruleset, rules_dict, OWN_FILE_REMEDY)
    _check_known(f"rule (in rule set {ruleset})", rule, rules_dict[ruleset])
    known = rules_dict[ruleset][: config.get("n_rule")]
    if rule not in known:
        raise ValueError(
            f"Rule {rule} has no input in a network of {len(known)} rules (n_rule): choose one of {', '.join(known)}."
        )
    return config["rule_start"] + known.index(rule)


# ------------------------------------------------------------------------------------------------ tasks of your own

OWN_FILE_REMEDY = (
    f"If it is a task or rule set of your own, load the file that registers it: with --tasks FILE in the scripts, "
    f"load_tasks([FILE]) in Python, or the environment variable {TASKS_VARIABLE}."
)


def register_task(rule, task):
    """Add a task of your own to the table.

    A network is trained on it as part of a rule set, see `register_ruleset`. Registering the same task again changes
    nothing, so that a file or a notebook cell may run twice.

    Parameters
    ----------
    rule : str
        Name of the rule. Use only letters, digits and underscores, because the name becomes part of file names.
    task : Task

    Raises
    ------
    ValueError
        If a different task has this name already, or if no trials can be made from this row.

    Warns
    -----
    UserWarning
        If a duration is not a multiple of the default time step, because it is cut to whole steps.
    """
    if not isinstance(rule, str) or not re.fullmatch(r"[A-Za-z0-9_]+", rule):
        raise ValueError(
            f"Rule {quoted(rule)} cannot be part of a file name: use letters, digits and underscores only."
        )
    if rule in TASKS and _identity(TASKS[rule]) != _identity(task):
        raise ValueError(
            f"There is a different task {rule} already: choose another name. If you have changed your own task, "
            "restart Python."
        )
    _check_row(rule, task)
    cut = [epoch for epoch, ms in task.epochs.items() if ms % DT]
    if cut:
        warnings.warn(
            f"Task {rule}: the durations of {', '.join(cut)} are not multiples of the default time step, {DT} ms. They "
            "are cut to whole steps.",
            stacklevel=2,
        )
    TASKS[rule] = task
    rule_name[rule] = task.name


def register_ruleset(name, rules):
    """Add a rule set; the position of a rule in it decides its input channel.

    Parameters
    ----------
    name : str
        Name of the rule set, which hp['ruleset'] and hp.json use.
    rules : list of str
        Keys of `TASKS`.

    Raises
    ------
    ValueError
        If a different rule set has this name already, or for an unknown or repeated rule.
    """
    rules = [rules] if isinstance(rules, str) else list(rules)
    if not isinstance(name, str) or not name:
        raise ValueError(f"Rule set {quoted(name)}: its name must be a string that is not empty.")
    for rule in rules:
        _check_known(f"rule (for rule set {name})", rule, TASKS, OWN_FILE_REMEDY)
    if not rules or len(set(rules)) < len(rules):
        raise ValueError(
            f"Rule set {name} has {quoted(rules)}: it must have at least one rule, and each rule only once."
        )
    if rules_dict.get(name, rules) != rules:
        raise ValueError(
            f"There is a different rule set {name} already ({', '.join(rules_dict[name])}): choose another name."
        )
    rules_dict[name] = rules


def load_tasks(files):
    """Run files that register tasks, in this process and in every process that it starts.

    The paths of the files are kept in the environment variable `TASKS_VARIABLE`. Child processes inherit it, and read
    it when they import the package. The workers of a cluster do not inherit it: set it when you start them.

    Parameters
    ----------
    files : path or list of paths
        Python files that call `register_task` and `register_ruleset`.

    Raises
    ------
    FileNotFoundError
        If a file does not exist.
    ValueError
        As for `register_task` and `register_ruleset`.
    """
    for file in [files] if isinstance(files, str | os.PathLike) else files:
        path = str(Path(file).resolve())
        if not os.path.isfile(path):
            raise FileNotFoundError(
                f"There is no file {path}, which should register tasks: correct --tasks or the environment variable "
                f"{TASKS_VARIABLE}."
            )
        runpy.run_path(path)
        known = [known for known in os.environ.get(TASKS_VARIABLE, "").split(os.pathsep) if known]
        os.environ[TASKS_VARIABLE] = os.pathsep.join(dict.fromkeys([*known, path]))


def _check_row(rule, task):
    """Raise a ValueError if no trials can be made from a row."""

    def check(is_right, message):
        if not is_right:
            raise ValueError(f"Task {rule}: {message}.")

    check(isinstance(task, Task), f"its row is {quoted(task)}, but must be a Task")
    check(isinstance(task.name, str) and task.name, f"its name is {quoted(task.name)}, but must be a string")
    epochs = task.epochs if isinstance(task.epochs, dict) else {}
    is_named = all(isinstance(epoch, str) for epoch in epochs) and "go1" not in epochs
    is_timed = all(isinstance(ms, int | float | np.number) and 0 < ms < math.inf for ms in epochs.values())
    check(
        is_named and is_timed and next(iter(epochs), None) == "fix1" and "stim1" in epochs,
        f"its epochs are {quoted(task.epochs)}, but must be a dict {{epoch: duration in ms}} that begins with fix1 and "
        "has stim1, because the analyses compare these two; leave go1 out, it is added automatically",
    )
    for field, marks in (("fixation_off", [None, "go1", *epochs]), ("response_on", [None, *epochs])):
        value = getattr(task, field)
        check(
            value in marks and value != "fix1", f"{field} is {quoted(value)}, but must be None or an epoch after fix1"
        )
    weight = task.response_weight
    check(
        isinstance(weight, int | float | np.number) and 0 <= weight < math.inf,
        f"response_weight is {quoted(weight)}, but must be a number of at least 0",
    )
    check(callable(task.draw), f"draw is {quoted(task.draw)}, but must be a function")
    check(
        task.draw_epochs is None or callable(task.draw_epochs),
        f"draw_epochs is {quoted(task.draw_epochs)}, but must be None or a function",
    )


def _identity(value):
    """Return a value that is equal for two rows that were made by the same lines of code, run twice."""
    if isinstance(value, partial):
        return "partial", _identity(value.func), _identity(value.args), _identity(value.keywords)
    if isinstance(value, CodeType):
        return "code", value.co_code, value.co_names, _identity(value.co_consts)
    if hasattr(value, "__code__"):
        closure = tuple(cell.cell_contents for cell in value.__closure__ or ())
        return "function", _identity(value.__code__), _identity(value.__defaults__), _identity(closure)
    if isinstance(value, dict):
        return "dict", tuple((key, _identity(item)) for key, item in value.items())
    if isinstance(value, tuple | list):
        return "list", tuple(_identity(item) for item in value)
    return repr(value)


# --------------------------------------------------------------------------------------------------- making batches


def generate_trials(rule, hp, mode, noise_on=True, **kwargs):
    """Generate a batch of trials of one task.

    Random numbers are drawn in a fixed order: the durations of epochs if the task has random ones, the directions of
    the first stimulus, what the function `draw` of the task needs, and the input noise.

    Parameters
    ----------
    rule : str
        Key of `TASKS`.
    hp : dict
        Hyper-parameters. Random numbers are drawn from `hp['rng']` (RandomState).
    mode : str
        'random': `batch_size` trials with random directions. 'test': 16 trials for each of the R ring directions, in
        the order of directions; a distractor is opposite to the stimulus. 'test-i-j' (odrd, and own tasks with
        `Task.test_pairs`): 16·R trials, all with the stimulus at ring direction i and the distractor at ring direction
        j, counted from 0.
    noise_on : bool
        Add input noise.
    batch_size : int
        Number of trials. It is required in mode 'random' and has no effect in the other modes.
    rule_on, rule_off : int, optional
        Steps between which the rule input is on; default: the whole trial.
    rule_strength : float or list of float
        Value of the rule input: one value for all rules (default 1), or a list with one value per rule.
    replace_rule : str or list of str
        Rules whose input is on instead of that of `rule`.

    Returns
    -------
    Trial

    Raises
    ------
    ValueError
        If a rule, rule set, mode or keyword is unknown, or a value is not possible. No random number has been drawn
        then.
    """
    for keyword in kwargs:
        _check_known("keyword", keyword, KEYWORDS)
    return _generate(rule, hp, mode, noise_on, **kwargs)


def generate_evaluation(rule, hp, batch_size, n_batches=16, noise_on=True):
    """Generate `n_batches` random batches as one trial object, ready for one run of the network.

    The batches are those that `n_batches` calls of ``generate_trials(rule, hp, 'random', batch_size=batch_size)`` would
    generate, joined along the trial axis: B = `n_batches`·`batch_size`. Only for a task with random durations they
    differ: it is evaluated with the durations in its row, so that all batches have the same length, and performance
    does not depend on the durations drawn.

    Parameters
    ----------
    rule : str
        Key of `TASKS`.
    hp : dict
        As for `generate_trials`.
    batch_size : int
        Number of trials per batch.
    n_batches : int
        Number of batches.
    noise_on : bool
        Add input noise.

    Returns
    -------
    Trial

    Raises
    ------
    ValueError
        As for `generate_trials`.
    """
    check_whole_number("n_batches", n_batches)
    return _generate(rule, hp, "random", noise_on, batch_size=batch_size, n_batches=n_batches)


def _generate(rule, hp, mode, noise_on, batch_size=None, n_batches=None, **rule_input):
    _check_known("rule", rule, TASKS, OWN_FILE_REMEDY)
    task = TASKS[rule]
    prescribed = _prescribed_directions(rule, mode, hp["n_eachring"])
    n_trials = check_whole_number("batch_size", len(prescribed[0]) if prescribed else batch_size)
    rules = _rule_input(rule, hp, **rule_input)
    durations = task.epochs
    if task.draw_epochs and not prescribed and n_batches is None:
        durations = {**durations, **_draw_durations(rule, hp)}
    epochs, n_time = timing(durations, hp["dt"], task.response_on, f"rule {rule}")
    trial = Trial(hp, n_time, n_trials * (n_batches or 1), epochs)
    trial.add_fixation(task.fixation_off)
    trial.add_c_mask(task.response_weight)
    for name, step_and_strength in rules.items():
        trial.add_rule(name, *step_and_strength)
    parts = trial.split(n_batches) if n_batches else [trial]
    for part in parts:
        stim1, *second = prescribed or [part.rng.rand(n_trials) * 2 * np.pi]
        task.draw(part, stim1, bool(prescribed), *second)
        if noise_on:
            part.add_x_noise()
    if n_batches:
        for kind, rings in parts[0].rings.items():
            trial.rings[kind] = {name: np.concatenate([part.rings[kind][name] for part in parts]) for name in rings}
    return trial


def _prescribed_directions(rule, mode, n_ring):
    """Return the prescribed directions, (16·R,) rad, of the first stimulus and, in 'test-i-j', of the second one."""
    if mode == "random":
        return []
    if mode == "test":
        return [2 * np.pi * np.repeat(np.arange(n_ring), TRIALS_PER_LOCATION) / n_ring]
    pair = re.fullmatch(r"test-([0-9]+)-([0-9]+)", str(mode))
    if pair is None or not TASKS[rule].test_pairs or max(map(int, pair.groups())) >= n_ring:
        with_pairs = ", ".join(name for name, task in TASKS.items() if task.test_pairs)
        raise ValueError(
            f"Mode {quoted(mode)} is not possible for rule {rule}: choose random, test or, for {with_pairs}, test-i-j "
            f"with ring indices i and j from 0 to {n_ring - 1}."
        )
    return [np.full(TRIALS_PER_LOCATION * n_ring, 2 * np.pi * int(index) / n_ring) for index in pair.groups()]


def _rule_input(rule, hp, rule_on=None, rule_off=None, rule_strength=1.0, replace_rule=None):
    """Check the arguments and return {rule: (on, off, strength)} of the rules whose input is on."""
    rules = rule if replace_rule is None else replace_rule
    rules = list(rules) if isinstance(rules, list | tuple) else [rules]
    for what, step in (("rule_on", rule_on), ("rule_off", rule_off)):
        if not isinstance(step, int | np.integer | None):
            raise ValueError(f"{what} is {quoted(step)}, but must be a time step (a whole number) or None.")
    strengths = [rule_strength] * len(rules) if np.isscalar(rule_strength) else list(rule_strength)
    if len(strengths) != len(rules):
        raise ValueError(
            f"rule_strength has {len(strengths)} values, but the number of rules is {len(rules)}: give one per rule."
        )
    for name in rules:
        get_rule_index(name, hp)
    return {name: (rule_on, rule_off, strength) for name, strength in zip(rules, strengths, strict=True)}


def _draw_durations(rule, hp):
    """Return the durations that a task draws for one batch, {epoch: ms}."""
    task = TASKS[rule]
    drawn = task.draw_epochs(_generator(hp))
    for epoch in drawn:
        _check_known(f"epoch (drawn by the task {rule})", epoch, task.epochs)
    return drawn


def _generator(hp):
    rng = hp.get("rng")
    if not isinstance(rng, np.random.RandomState):
        raise ValueError("hp['rng'] is missing or is not a RandomState: set it to numpy.random.RandomState(seed).")
    return rng


def _check_known(what, value, allowed, remedy=""):
    if value not in list(allowed):
        shown = value if isinstance(value, str) else quoted(value)
        raise ValueError(f"Unknown {what} {shown}: choose one of {', '.join(allowed)}. {remedy}".rstrip())
