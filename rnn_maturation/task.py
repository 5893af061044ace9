"""The eye-movement tasks: what a network sees, what it should answer and how much each answer counts.

A task is one row of the timing table `TASKS`. Arrays are time-major, (T, B, channels) float32: T time steps, B trials,
a ring of R units (`hp['n_eachring']`). Input channels: 0 fixation, 1…R stimulus ring, `hp['rule_start']` + k rule k.
Output channels: 0 fixation, 1…R response ring. Directions are radians in [0, 2π). The only randomness is `hp['rng']`,
drawn in a fixed order: published numbers and resumed runs depend on this exact stream.

Tasks after Liu, Zhu, Constantinidis & Zhou, iScience 24(10):103178, 2021, Figure 1.
"""

import re
from itertools import accumulate, pairwise
from typing import NamedTuple

import numpy as np

TAIL = 500  # ms after the last epoch
GRACE = 100  # ms at the start and after the response signal that do not count in the cost
TRIALS_PER_LOCATION = 16  # of the test modes
NONMATCH_BLOCK = 8  # trials in a row with the same answer, match or non-match, in test mode
BUMP_HEIGHT, BUMP_WIDTH = 0.8, np.pi / 8  # width (standard deviation) in rad, whatever the ring's size
KEYWORDS = ("batch_size", "rule_on", "rule_off", "rule_strength", "replace_rule")


class Task(NamedTuple):
    """A row of the timing table.

    Attributes
    ----------
    name : what figures call the task.
    epochs : {epoch: duration in ms}, in order; `TAIL` ms follow. A stimulus is on in the epoch of its name only.
    fixation_off : epoch with which the fixation input goes off; None: it stays on.
    response_on : epoch with which the response is due ('go1' starts); None: after the last one.
    turn : response direction minus stimulus direction, rad. match_or_non has a rule of its own.
    response_weight : weight of the response in the cost.
    """

    name: str
    epochs: dict
    fixation_off: str | None = "go1"
    response_on: str | None = None
    turn: float = 0.0
    response_weight: float = 5.0


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
    "odrd": Task("ODR+d", _ODRD),
    "overlap": Task("Overlap", {"fix1": 1000, "stim1": 100}, turn=np.pi),
    "zero_gap": Task("Zero_gap", {"fix1": 1000, "stim1": 100}, "stim1", "stim1", turn=np.pi),
    "gap": Task("Gap", {"fix1": 1000, "delay1": 100, "stim1": 100}, "delay1", "stim1", turn=np.pi),
    "gap500": Task("Gap500", {"fix1": 1000, "delay1": 500, "stim1": 100}, "delay1", "stim1", turn=np.pi),
    "match_or_non": Task("MorN", _MATCH),
    "match_or_non_easy": Task("MorNe", _MATCH),
    "match_or_non_passive": Task("MorNp", _MATCH, fixation_off=None, response_weight=0.0),
}

_SIX_TASKS = ["overlap", "zero_gap", "gap", "odr", "odrd", "gap500"]


def _six_tasks_with(odr):
    return [odr if rule == "odr" else rule for rule in _SIX_TASKS]


rules_dict = {  # the order gives each rule its input channel
    "ozg": ["overlap", "zero_gap", "gap"],
    "odr_delay_check": ["odr500", "odr750", "odr1000", "odr1100", "odr1200", "odr1300", "odr1400", "odr"],
    "all_new": list(_SIX_TASKS),
    "all_new_odr3000": _six_tasks_with("odr3000"),
    "all_new_odr6000": _six_tasks_with("odr6000"),
    "all_new_odr15000": _six_tasks_with("odr15000"),
    "MoN": ["match_or_non", "match_or_non_easy"],
    "mix_MoN_6tasks": ["match_or_non", "match_or_non_easy", *_SIX_TASKS],
    "mix_p_MoN_6tasks": ["match_or_non", "match_or_non_easy", "match_or_non_passive", *_SIX_TASKS],
    "seq_train_test": ["odr500", "odrd", "overlap", "zero_gap", "gap"],
}

rule_name = {rule: task.name for rule, task in TASKS.items()}


def _check_known(what, value, allowed):
    if value not in list(allowed):
        raise ValueError(f"Unknown {what} {value!s}: choose one of {', '.join(allowed)}.")


def get_num_rule(ruleset):
    """Number of rules in a rule set.

    Raises
    ------
    ValueError
        Unknown rule set.
    """
    _check_known("rule set", ruleset, rules_dict)
    return len(rules_dict[ruleset])


def get_rule_index(rule, config):
    """Input channel of a rule.

    Parameters
    ----------
    rule : name of a rule in the rule set `config['ruleset']`.
    config : hyper-parameters; 'n_rule' may be smaller than the rule set, as in files of older versions.

    Raises
    ------
    ValueError
        Unknown rule set, a rule that is not in it, or one for which the network has no channel.
    """
    ruleset = config["ruleset"]
    _check_known("rule set", ruleset, rules_dict)
    _check_known(f"rule (in rule set {ruleset})", rule, rules_dict[ruleset])
    known = rules_dict[ruleset][: config.get("n_rule")]
    if rule not in known:
        raise ValueError(f"Rule {rule} has no input in a network of {len(known)} rules: it knows {', '.join(known)}.")
    return config["rule_start"] + known.index(rule)


def get_dist(original_dist):
    """Circular distance, rad in [0, π], of a difference between two directions in [0, 2π)."""
    return np.minimum(np.abs(original_dist), 2 * np.pi - np.abs(original_dist))


class Trial:
    """A batch of trials.

    Parameters
    ----------
    config : hyper-parameters (`hp`), kept as they are.
    tdim : number of time steps T.
    batch_size : number of trials B.

    Attributes
    ----------
    x : (T, B, n_input) float32, input.
    y : (T, B, R+1) float32, target output.
    y_loc : (T, B) float32, target direction in rad; −1 before the response.
    c_mask : float32 cost mask: (T·B, R+1) for 'lsq', (T·B,) for 'cross_entropy'; None until `add_c_mask`.
    epochs : {epoch: (start, end)} in steps; 'fix1' starts at None, 'go1' ends at None.
    rings : {stimulus, distractor, choice or 'response': (B, R) ring activity}, in the order added.
    pref : (R,) preferred directions of the ring units, rad.

    Raises
    ------
    ValueError
        Unknown loss type, or a batch size that is not a positive whole number.
    """

    float_type = "float32"

    def __init__(self, config, tdim, batch_size):
        _check_known("loss_type", config["loss_type"], ("lsq", "cross_entropy"))
        _check_positive("batch_size", batch_size)
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
        self.epochs = {}
        self.rings = {}

    @property
    def rng(self):
        """The random generator of the configuration.

        Raises
        ------
        ValueError
            There is none.
        """
        rng = self.config.get("rng")
        if not isinstance(rng, np.random.RandomState):
            raise ValueError("hp['rng'] is missing or no random generator: set it to numpy.random.RandomState(seed).")
        return rng

    @property
    def input_loc(self):
        """List of (R,) ring activity, one a stimulus: the first stimulus of every trial, then the second."""
        return self._rings_of("stim")

    @property
    def distract_loc(self):
        """List of (R,) ring activity of the distractor, one a trial; empty without distractor."""
        return self._rings_of("distract")

    @property
    def output_loc(self):
        """List of (R,) ring activity of the response, one a trial."""
        return self._rings_of("response")

    def _rings_of(self, kind):
        return [ring for name, rings in self.rings.items() if name.startswith(kind) for ring in rings]

    def add_fixation(self, input_off, response_on):
        """Fixation input until step `input_off` (None: to the end), fixation target until step `response_on`."""
        self.x[:input_off, :, 0] = 1
        self.y[:response_on, :, 0] = 0.8 if self.least_squares else 1.0

    def add_rule(self, rule, on=None, off=None, strength=1.0):
        """Input of a rule from step `on` to step `off` (None: from the start, to the end)."""
        self.x[on:off, :, get_rule_index(rule, self.config)] = strength

    def add_stimulus(self, name, directions, on, off=None, trials=slice(None)):
        """Add stimuli at `directions` (rad, one for each of `trials`) to the ring from step `on` to step `off`."""
        ring = self._ring(name, directions, self.config.get("in_loc_type") == "one_hot", trials)
        self.x[on:off, trials, 1 : 1 + self.n_eachring] += ring

    def add_response(self, directions, on, trials=slice(None)):
        """Add targets at `directions` (rad, one for each of `trials`) from step `on` to the end."""
        ring = self._ring("response", directions, not self.least_squares, trials)
        self.y[on:, trials, 1 : 1 + self.n_eachring] += ring
        self.y_loc[on:, trials] = directions

    def _ring(self, name, directions, one_hot, trials):
        """Ring activity (n, R) for n directions, remembered as that of `trials`."""
        distances = get_dist(directions[:, None] - self.pref)
        if one_hot:
            ring = np.eye(self.n_eachring)[distances.argmin(axis=1)]
        else:
            ring = BUMP_HEIGHT * np.exp(-((distances / BUMP_WIDTH) ** 2) / 2)
        self.rings.setdefault(name, np.zeros((self.batch_size, self.n_eachring)))[trials] = ring
        return ring

    def add_c_mask(self, response_on, response_weight=5.0):
        """Cost mask: 1 until step `response_on`, `response_weight` after it, 0 in the `GRACE` time of both.

        'lsq' counts fixation twice; 'cross_entropy' divides by the mean.
        """
        grace = int(GRACE / self.dt)
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

    def add_x_noise(self, trials=slice(None)):
        """Add normal noise to the whole input of `trials`; its deviation a step is sigma_x·√(2/alpha)."""
        x = self.x[:, trials]
        noise = self.rng.randn(*x.shape)
        noise *= self.config["sigma_x"] * np.sqrt(2 / self.config["alpha"])
        x += noise


def _check_positive(what, value):
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
        raise ValueError(f"{what} is {value!s}: it must be a whole number of at least 1.")


def generate_trials(rule, hp, mode, noise_on=True, **kwargs):
    """Generate a batch of trials of one task.

    Parameters
    ----------
    rule : one of `TASKS`.
    hp : hyper-parameters; `hp['rng']` (RandomState) is advanced by what is drawn.
    mode : 'random': `batch_size` trials at random directions; 'test': 16 trials for each of the R ring directions,
        ordered by direction, distractor opposite; 'test-i-j' (odrd): 16·R trials, all with the stimulus at ring index i
        and the distractor at j.
    noise_on : add input noise.
    batch_size : number of trials; required in mode 'random', without effect in the others.
    rule_on, rule_off : steps between which the rule input is on; default the whole trial.
    rule_strength : value of the rule input, default 1; one for all rules or a list with one a rule.
    replace_rule : name, or list of names, of the rules whose input is on instead of that of `rule`.

    Returns
    -------
    Trial

    Raises
    ------
    ValueError
        Unknown rule, rule set, mode or keyword, or a value that is not possible; nothing has been drawn then.
    """
    for keyword in kwargs:
        _check_known("keyword", keyword, KEYWORDS)
    return _generate(rule, hp, mode, noise_on, **kwargs)


def generate_evaluation(rule, hp, batch_size, n_batches=16):
    """Generate `n_batches` random batches as one trial object, ready for one run of the network.

    The draws are those of as many calls of ``generate_trials(rule, hp, 'random', batch_size=batch_size)``, in the same
    order, and the batches stand side by side on the trial axis: B = `n_batches`·`batch_size`.

    Raises
    ------
    ValueError
        As `generate_trials`.
    """
    return _generate(rule, hp, "random", True, batch_size=batch_size, n_batches=n_batches)


def _generate(rule, hp, mode, noise_on, batch_size=None, n_batches=1, **rule_input):
    _check_known("rule", rule, TASKS)
    prescribed = _prescribed_directions(rule, mode, hp["n_eachring"])
    n_trials = batch_size if prescribed is None else len(prescribed[0])
    _check_positive("batch_size", n_trials)
    _check_positive("n_batches", n_batches)
    trial = _without_stimuli(rule, hp, n_trials * n_batches)
    _add_rule_input(trial, rule, **rule_input)
    for start in range(0, trial.batch_size, n_trials):
        columns = slice(start, start + n_trials)
        for name, directions in _draw_directions(rule, trial, n_trials, prescribed).items():
            if name == "response":
                trial.add_response(directions, trial.epochs["go1"][0], columns)
            else:
                trial.add_stimulus(name, directions, *trial.epochs.get(name, trial.epochs["go1"]), columns)
        if noise_on:
            trial.add_x_noise(columns)
    return trial


def _prescribed_directions(rule, mode, n_ring):
    """Directions of stimulus and distractor, (16·R,) rad each, in a test mode; None in mode 'random'."""
    if mode == "random":
        return None
    if mode == "test":
        stim1 = 2 * np.pi * np.repeat(np.arange(n_ring), TRIALS_PER_LOCATION) / n_ring
        return stim1, (stim1 + np.pi) % (2 * np.pi)
    pair = re.fullmatch(r"test-([0-9]+)-([0-9]+)", str(mode))
    if pair is None or rule != "odrd" or max(map(int, pair.groups())) >= n_ring:
        raise ValueError(
            f"Mode {mode!s} is not possible for rule {rule}: choose random, test or, for odrd, test-i-j with "
            f"ring indices i and j from 0 to {n_ring - 1}."
        )
    return tuple(np.full(TRIALS_PER_LOCATION * n_ring, 2 * np.pi * int(index) / n_ring) for index in pair.groups())


def _without_stimuli(rule, hp, batch_size):
    """Everything of a batch that is the same whatever is drawn, apart from the rule input."""
    task = TASKS[rule]
    epochs, tdim = _epochs(rule, hp["dt"])
    trial = Trial(hp, tdim, batch_size)
    trial.epochs = epochs
    response_on = epochs["go1"][0]
    trial.add_fixation(epochs[task.fixation_off][0] if task.fixation_off else None, response_on)
    trial.add_c_mask(response_on, task.response_weight)
    return trial


def _epochs(rule, dt):
    """{epoch: (start, end)} in steps of `dt` ms, and the number of steps of the whole trial."""
    task = TASKS[rule]
    n_steps = {name: int(duration / dt) for name, duration in task.epochs.items()}
    for name, steps in n_steps.items():
        if steps < 1:
            raise ValueError(f"dt of {dt} ms is too long for rule {rule}: its {name} lasts {task.epochs[name]} ms.")
    ends = list(accumulate(n_steps.values()))
    epochs = dict(zip(n_steps, pairwise([None, *ends]), strict=True))
    response_on = epochs[task.response_on][0] if task.response_on else ends[-1]
    return {**epochs, "go1": (response_on, None)}, ends[-1] + int(TAIL / dt)


def _add_rule_input(trial, rule, rule_on=None, rule_off=None, rule_strength=1.0, replace_rule=None):
    rules = rule if replace_rule is None else replace_rule
    rules = list(rules) if isinstance(rules, (list, tuple)) else [rules]
    for what, step in (("rule_on", rule_on), ("rule_off", rule_off)):
        if not isinstance(step, (int, np.integer, type(None))):
            raise ValueError(f"{what} is {step!s}: it must be a time step (whole number) or None.")
    strengths = [rule_strength] * len(rules) if np.isscalar(rule_strength) else list(rule_strength)
    if len(strengths) != len(rules):
        raise ValueError(f"rule_strength has {len(strengths)} values for {len(rules)} rules: give one for each.")
    for name, strength in zip(rules, strengths, strict=True):
        trial.add_rule(name, rule_on, rule_off, strength)


def _draw_directions(rule, trial, n_trials, prescribed):
    """{stimulus, distractor, choice, 'response': (n_trials,) rad}; draws what is not prescribed."""
    stim1, distract1 = prescribed or (trial.rng.rand(n_trials) * 2 * np.pi, None)
    if rule.startswith("match_or_non"):
        return _draw_match_or_non(rule, trial, stim1, is_random=prescribed is None)
    directions = {"stim1": stim1, "response": (stim1 + TASKS[rule].turn) % (2 * np.pi)}
    if "distract1" in trial.epochs:
        if distract1 is None:  # one offset for the whole batch, as published
            n_ring = trial.n_eachring
            distract1 = (stim1 + trial.rng.choice(np.arange(1, n_ring)) * 2 * np.pi / n_ring) % (2 * np.pi)
        directions["distract1"] = distract1
    return directions


def _draw_match_or_non(rule, trial, stim1, is_random):
    """Directions of both stimuli, both choices and the response, (n_trials,) rad each."""
    rng, n_ring, n_trials = trial.rng, trial.n_eachring, len(stim1)
    if is_random:
        nonmatch = rng.randint(0, 2, n_trials)
        deviation = rng.randint(1, n_ring) * 2 * np.pi / n_ring  # one for the whole batch, as published
    else:
        nonmatch, deviation = np.arange(n_trials) // NONMATCH_BLOCK % 2, np.pi
    side = rng.randint(0, 2, n_trials)  # where the match choice is shown; drawn for the easy task too
    match, response = np.where(side == 0, np.pi / 4, 7 * np.pi / 4), np.abs(nonmatch - side) * np.pi
    if rule == "match_or_non_easy":
        match, response = np.zeros(n_trials), nonmatch * np.pi
    if rule == "match_or_non_passive":
        response = np.zeros(n_trials)
    return {
        "stim1": stim1,
        "stim2": (stim1 + deviation * nonmatch) % (2 * np.pi),
        "choice_match": match,
        "choice_nonmatch": (match + np.pi) % (2 * np.pi),
        "response": response,
    }
