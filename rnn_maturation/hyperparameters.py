"""Every hyper-parameter in one table: its default, the values that it may have, and its meaning.

An ``hp`` is a flat dict of these keys, saved as hp.json. `complete_hp` takes the values that differ from the defaults
and returns a complete hp. `check_hp` raises an error for values that no network or task could use; the message says
what to do.
"""

import difflib
import math
import sys
import warnings
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from rnn_maturation.checks import quoted
from rnn_maturation.task import DT, OWN_FILE_REMEDY, get_num_rule, rules_dict

# The network of the paper, which is trained on all rules of its rule set. Main_training.py lists the same settings.
PAPER_HP = {
    "activation": "softplus",
    "n_rnn": 256,
    "learning_rate": 0.001,
    "mix_rule": True,
    "l1_h": 0.0,
    "use_separate_input": False,
    "target_perf": 0.995,
}
PAPER_RULESET = "all_new"
PAPER_DISPLAY_STEP = 20  # training steps between two checkpoints
BATCH_SIZE = 64  # trials in a training step
PAPER_INTERVAL = PAPER_DISPLAY_STEP * BATCH_SIZE  # trials between two checkpoints
N_EVALUATION_BATCHES = 16  # batches per rule in an evaluation; each batch has its own distractor offset
STAGE_LEVELS = {"early": 0.35, "mid": 0.65, "mature": 0.95}  # performance around which a network is in a stage
ABSOLUTE_ACTIVATIONS = ("relu", "elu")  # rates can be 0 in fixation and are not divided by the baseline

LEAKY_ACTIVATIONS = ("relu", "softplus", "tanh", "elu", "power", "retanh")
GATED_ACTIVATIONS = (
    *LEAKY_ACTIVATIONS, "relu+", "sigmoid", "softsign", "selu", "relu6", "leaky_relu", "gelu", "silu", "swish",
)  # fmt: skip
GATED_TYPES = ("LeakyGRU", "GRU", "LSTM")
SEPARATE_INPUT_NEEDS = {"rnn_type": ("LeakyRNN",), "loss_type": ("lsq",), "activation": ("softplus", "relu")}
RNG_OFFSET = 1000  # load_hp adds it to the seed, so that analyses do not draw the same trials as training
LARGEST_SEED = 2**32 - 1 - RNG_OFFSET  # seeds of RandomState have 32 bits

OLD_NAMES = {
    "adult_target_perf": "mature_target_perf",
    "young_target_perf": "mid_target_perf",
    "infancy_target_perf": "early_target_perf",
}


class Check(NamedTuple):
    """The allowed values in words, a function that tests a value, and an additional remedy for the error message."""

    allowed: str
    accepts: Callable
    remedy: str = ""


class Parameter(NamedTuple):
    """A row of the table of hyper-parameters. A default that is a function gets the hp as filled by earlier rows."""

    default: object
    check: Check
    meaning: str


ABSENT = object()  # as a default: the key is allowed, but a new hp does not have it


def _is_real(value):
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


def _integer(low, high=math.inf):
    allowed = f"an integer of at least {low}" if high == math.inf else f"an integer from {low} to {high}"
    return Check(allowed, lambda value: isinstance(value, int) and not isinstance(value, bool) and low <= value <= high)


def _real(low=0, high=math.inf):
    allowed = f"a number of at least {low}" if high == math.inf else f"a number from {low} to {high}"
    return Check(allowed, lambda value: _is_real(value) and low <= value <= high)


def _positive(high=math.inf):
    allowed = "a number above 0" if high == math.inf else f"a number above 0 and at most {high}"
    return Check(allowed, lambda value: _is_real(value) and 0 < value <= high)


def _optional(check):
    return Check("None or " + check.allowed, lambda value: value is None or check.accepts(value))


def _choice(*names):
    allowed = ("one of " if len(names) > 1 else "") + ", ".join(map(repr, names))
    return Check(allowed, lambda value: isinstance(value, str) and value in names)


class _RuleSetCheck:
    """A `Check` that knows the rule sets that `register_ruleset` has added since the import."""

    remedy = OWN_FILE_REMEDY

    @property
    def allowed(self):
        return f"one of {', '.join(map(repr, rules_dict))}"

    def accepts(self, value):
        return isinstance(value, str) and value in rules_dict


_FLAG = Check("True or False", lambda value: isinstance(value, bool))
_TEXT = Check("a string", lambda value: isinstance(value, str))
_TEXTS = Check(
    "a list of strings", lambda value: isinstance(value, list) and all(isinstance(text, str) for text in value)
)
_RNG = Check("a numpy.random.RandomState", lambda value: isinstance(value, np.random.RandomState))
_RULES = Check(
    "a list of different rule names",
    lambda value: (
        isinstance(value, list)
        and value != []
        and all(isinstance(rule, str) for rule in value)
        and len(set(value)) == len(value)
    ),
)
_PROBABILITIES = Check(
    "a list of numbers from 0 to 1 with the sum 1",
    lambda value: (
        isinstance(value, list)
        and all(_real(0, 1).accepts(p) for p in value)
        and math.isclose(sum(value), 1, abs_tol=1e-6)
    ),
)

PARAMETERS = {
    # training
    "batch_size_train": Parameter(BATCH_SIZE, _integer(1), "number of trials in a training step"),
    "batch_size_test": Parameter(
        512,
        _integer(N_EVALUATION_BATCHES),
        f"number of trials per rule in an evaluation, in {N_EVALUATION_BATCHES} batches",
    ),
    "optimizer": Parameter("adam", _choice("adam", "sgd"), "optimizer"),
    "learning_rate": Parameter(0.001, _positive(), "learning rate of the optimizer"),
    "loss_type": Parameter(
        "lsq", _choice("lsq", "cross_entropy"), "cost, which also decides the output's nonlinearity"
    ),
    "target_perf": Parameter(
        STAGE_LEVELS["mature"], _real(0, 1), "training ends when every rule performs better than this"
    ),
    "mature_target_perf": Parameter(
        STAGE_LEVELS["mature"], _real(0, 1), "performance around which a network is mature"
    ),
    "mid_target_perf": Parameter(
        STAGE_LEVELS["mid"], _real(0, 1), "performance around which a network is in mid training"
    ),
    "early_target_perf": Parameter(
        STAGE_LEVELS["early"], _real(0, 1), "performance around which a network is in early training"
    ),
    "l1_h": Parameter(0, _real(), "L1 penalty on the activity"),
    "l2_h": Parameter(0, _real(), "L2 penalty on the activity"),
    "l1_weight": Parameter(0, _real(), "L1 penalty on the weights"),
    "l2_weight": Parameter(0, _real(), "L2 penalty on the weights"),
    "l2_weight_init": Parameter(0, _real(), "L2 penalty on the distance of the weights from their initial values"),
    "p_weight_train": Parameter(
        None, _optional(_real(0, 1)), "fraction of the weights that is trained freely; None: all of them"
    ),
    # tasks
    "ruleset": Parameter(PAPER_RULESET, _RuleSetCheck(), "rule set; each of its rules has an input channel"),
    "n_rule": Parameter(lambda hp: get_num_rule(hp["ruleset"]), _integer(1), "number of rule channels K"),
    "n_eachring": Parameter(8, _integer(2), "number of units R in each ring of the input and of the output"),
    "num_ring": Parameter(1, _integer(1), "number of stimulus rings in the input"),
    "rule_start": Parameter(lambda hp: 1 + hp["num_ring"] * hp["n_eachring"], _integer(3), "channel of the first rule"),
    "n_input": Parameter(lambda hp: hp["rule_start"] + hp["n_rule"], _integer(4), "number of input channels"),
    "n_output": Parameter(
        lambda hp: hp["n_eachring"] + 1, _integer(3), "number of output channels: fixation and one ring"
    ),
    "in_type": Parameter("normal", _choice("normal"), "kind of input"),
    "in_loc_type": Parameter(
        ABSENT, _choice("one_hot"), "each stimulus activates a single input unit; without this key, a bump of units"
    ),
    "sigma_x": Parameter(0.01, _real(), "standard deviation of the input noise"),
    # network
    "rnn_type": Parameter("LeakyRNN", _choice("LeakyRNN", *GATED_TYPES), "recurrent cell"),
    "n_rnn": Parameter(256, _integer(1), "number of recurrent units N"),
    "activation": Parameter("relu", _choice(*GATED_ACTIVATIONS), "nonlinearity of the units"),
    "tau": Parameter(100, _positive(), "time constant of the units, ms"),
    "dt": Parameter(DT, _positive(100), "time step, ms; the shortest epoch of a task lasts 100 ms"),
    "alpha": Parameter(
        lambda hp: hp["dt"] / hp["tau"],
        _positive(1),
        "fraction by which the leaky units approach their input in a step, dt/tau",
    ),
    "sigma_rec": Parameter(0.05, _real(), "standard deviation of the recurrent noise"),
    "w_rec_init": Parameter("randortho", _choice("randortho", "diag", "randgauss"), "initial recurrent weights"),
    "use_separate_input": Parameter(False, _FLAG, "sensory and rule channels have separate input weights"),
    "mix_rule": Parameter(ABSENT, _FLAG, "the separate rule input is first multiplied by a fixed orthogonal matrix"),
    # without effect
    "save_name": Parameter("test", _TEXT, "name of the run"),
    "c_intsyn": Parameter(0, _real(), "unused"),
    "ksi_intsyn": Parameter(0, _real(), "unused"),
    "unknown_keys": Parameter(
        ABSENT, _TEXTS, "keys of an hp.json that the program does not know; they are kept, but have no effect"
    ),
    # added by train
    "seed": Parameter(ABSENT, _integer(0, LARGEST_SEED), "seed of initial weights, trials and noise"),
    "rng": Parameter(ABSENT, _RNG, "random generator of the trials, not saved"),
    "rule_trains": Parameter(ABSENT, _RULES, "rules that are trained"),
    "rules": Parameter(ABSENT, _RULES, "rules that are evaluated"),
    "rule_probs": Parameter(ABSENT, _PROBABILITIES, "probability of each rule of rule_trains"),
}


def get_default_hp(ruleset):
    """Return the default hyper-parameters for a rule set.

    Parameters
    ----------
    ruleset : str
        Key of `rnn_maturation.task.rules_dict`.

    Returns
    -------
    dict

    Raises
    ------
    ValueError
        If there is no such rule set.
    """
    return complete_hp({"ruleset": ruleset})


def complete_hp(given, source="hp", is_file=False):
    """Return a complete hp: the defaults, changed by `given`, and checked.

    n_rule, rule_start, n_input and n_output follow from the other keys unless they are given. alpha always is dt / tau.
    Old key names are understood, and numpy numbers and arrays become plain Python ones. `given` is not changed.

    Parameters
    ----------
    given : dict
        The keys that differ from the defaults. The default rule set is 'all_new'.
    source : str
        What to call `given` in a message: a file name, or 'hp'.
    is_file : bool
        Whether `given` was read from a file. Unknown keys of a file are kept, with one warning. They are listed in
        hp['unknown_keys'], so that functions that check the hp accept them.

    Returns
    -------
    dict

    Raises
    ------
    ValueError
        If a key is unknown and `is_file` is False, if a value is not allowed, or if values contradict each other.

    Warns
    -----
    UserWarning
        If alpha is given and is not dt / tau: it is corrected.
    """
    try:
        given = {key: plain(value) for key, value in rename_old_keys(given, source).items()}
    except RecursionError as error:
        raise ValueError(f"{source}: a list is nested too deeply for a hyper-parameter. Remove this list.") from error
    unknown = [key for key in given if key not in PARAMETERS]
    if is_file and unknown:
        given["unknown_keys"] = unknown
        warnings.warn(_about_unknown_keys(unknown, source), stacklevel=3)
    _check_values(given, source)
    hp = {}
    for key, parameter in PARAMETERS.items():
        if key in given:
            hp[key] = given[key]
        elif parameter.default is not ABSENT:
            hp[key] = parameter.default(hp) if callable(parameter.default) else parameter.default
    hp |= {key: given[key] for key in unknown}
    if not math.isclose(hp["alpha"], hp["dt"] / hp["tau"], rel_tol=1e-6):
        warnings.warn(
            f"{source}: alpha is {hp['alpha']}, but dt / tau is {hp['dt']} / {hp['tau']} = {hp['dt'] / hp['tau']:g}, "
            "and this value is used. Leave alpha out: it follows from dt and tau.",
            stacklevel=1,  # an analysis builds the network in a thread, whose lines say nothing to a user
        )
    hp["alpha"] = hp["dt"] / hp["tau"]
    check_hp(hp, source)
    return hp


def check_hp(hp, source="hp"):
    """Raise an error if a key is missing or unknown, a value is not allowed, or values contradict each other.

    Parameters
    ----------
    hp : dict
        As `complete_hp` returns it.
    source : str
        What to call `hp` in a message: a file name, or 'hp'.

    Raises
    ------
    ValueError
        The message names the key, its value, what is allowed and what to do.
    """
    _check_values(hp, source)
    missing = [key for key, parameter in PARAMETERS.items() if parameter.default is not ABSENT and key not in hp]
    if missing:
        raise ValueError(f"{source}: keys are missing: {', '.join(missing)}. Use complete_hp to fill in the defaults.")
    _check_network(hp, source)
    _check_channels(hp, source)
    _check_rules(hp, source)
    if not hp["early_target_perf"] <= hp["mid_target_perf"] <= hp["mature_target_perf"]:
        raise ValueError(
            f"{source}: early_target_perf {hp['early_target_perf']}, mid_target_perf {hp['mid_target_perf']} and "
            f"mature_target_perf {hp['mature_target_perf']} must increase in this order, or be equal. Correct "
            "one of them."
        )


def rename_old_keys(hp, source="hp"):
    """Return `hp` with the key names of older versions (adult_target_perf, …) replaced by the present names.

    Raises
    ------
    ValueError
        If a key has different values under its old and its present name.
    """
    for old, new in OLD_NAMES.items():
        if old in hp and new in hp and hp[old] != hp[new]:
            raise ValueError(
                f"{source}: {old} is {quoted(hp[old])}, but {new}, its present name, is {quoted(hp[new])}. "
                "Remove one of them."
            )
    return {OLD_NAMES.get(key, key): value for key, value in hp.items()}


def check_known(keys, source="hp"):
    """Raise an error if a key is not the name of a hyper-parameter.

    Raises
    ------
    ValueError
        The message names the key and the most similar name.
    """
    for key in keys:
        if key not in PARAMETERS:
            nearest = difflib.get_close_matches(str(key), PARAMETERS, n=1)
            remedy = f"Did you mean {nearest[0]!r}?" if nearest else f"Known keys: {', '.join(PARAMETERS)}."
            raise ValueError(f"{source}: unknown key {quoted(key)}. {remedy}")


def changed_keys(hp_a, hp_b):
    """Return what differs between two hps: ``{key: (value in hp_a, value in hp_b)}``.

    The value of a missing key is None. The random generator and the keys that the program does not know are left out,
    because they do not make two runs different.
    """
    ignored = {"rng", "unknown_keys", *hp_a.get("unknown_keys", ()), *hp_b.get("unknown_keys", ())}
    values = {key: (plain(hp_a.get(key)), plain(hp_b.get(key))) for key in {**hp_a, **hp_b} if key not in ignored}
    return {key: (a, b) for key, (a, b) in values.items() if a != b}


def plain(value):
    """Return numpy numbers, arrays and tuples as Python numbers and lists, also in lists; return the rest unchanged."""
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


def gen_ortho_matrix(dim, rng=None):
    """Draw a random orthogonal matrix from the uniform (Haar) distribution.

    It is a product of Householder reflections of Gaussian vectors of decreasing length (Stewart 1980; Mezzadri 2007).
    The vectors are drawn in the same order as in scipy.stats.ortho_group in 2018, because the initial weights of
    published runs depend on it.

    Parameters
    ----------
    dim : int
        Number of rows and of columns.
    rng : numpy.random.RandomState, optional
        By default numpy's global generator, as in the original; `numpy.random.seed` then makes the matrix repeatable.

    Returns
    -------
    (dim, dim) float64 array
    """
    rng = np.random if rng is None else rng
    matrix = np.eye(dim)
    for first in range(dim - 1):
        v = rng.normal(size=dim - first)
        sign = np.copysign(1.0, v[0])
        v[0] += sign * np.sqrt(v @ v)  # of the same sign, so nothing cancels
        part = matrix[:, first:]
        matrix[:, first:] = -sign * (part - np.outer(part @ v, 2 * v / (v @ v)))
    return matrix


def _about_unknown_keys(keys, source):
    nearest = {key: difflib.get_close_matches(key, PARAMETERS, n=1, cutoff=0.8) for key in keys}
    named = [quoted(key) + "".join(f" (did you mean {name!r}?)" for name in names) for key, names in nearest.items()]
    return f"{source}: this program does not know {', '.join(named)}. Unknown keys are kept, but have no effect."


def _check_values(hp, source):
    from_file = hp.get("unknown_keys", ())
    from_file = from_file if _TEXTS.accepts(from_file) else ()
    check_known([key for key in hp if key not in from_file], source)
    for key, parameter in PARAMETERS.items():
        if key not in hp or parameter.check.accepts(plain(hp[key])):
            continue
        if parameter.default is ABSENT:
            remedy = "Correct it or leave it out."
        elif callable(parameter.default):
            remedy = "Correct it, or the keys from which it is computed."
        else:
            remedy = f"Correct it, or leave it out for the default, {parameter.default!r}."
        remedy = f"{parameter.check.remedy} {remedy}".lstrip()
        raise ValueError(
            f"{source}: {key} ({parameter.meaning}) is {quoted(hp[key])}, but must be {parameter.check.allowed}. "
            f"{remedy}"
        )


def _check_network(hp, source):
    if hp["use_separate_input"]:
        for key, allowed in SEPARATE_INPUT_NEEDS.items():
            if hp[key] not in allowed:
                raise ValueError(
                    f"{source}: use_separate_input works only with {key} {' or '.join(map(repr, allowed))}, "
                    f"not {hp[key]!r}. Change {key} or set use_separate_input to False."
                )
    if hp["activation"] not in LEAKY_ACTIVATIONS and hp["rnn_type"] not in GATED_TYPES:
        raise ValueError(
            f"{source}: activation {hp['activation']!r} works only with rnn_type {', '.join(GATED_TYPES)}, not "
            f"{hp['rnn_type']!r}. Change rnn_type or choose one of the activations {', '.join(LEAKY_ACTIVATIONS)}."
        )


def _check_channels(hp, source):
    """Raise an error if input channels overlap, or if the output is not fixation and one ring."""
    first_rule, n_output = 1 + hp["num_ring"] * hp["n_eachring"], hp["n_eachring"] + 1
    remedy = "Leave the key out: it follows from n_eachring, num_ring and ruleset."
    if hp["rule_start"] < first_rule:
        raise ValueError(f"{source}: rule_start {hp['rule_start']} must be {first_rule} or more. {remedy}")
    n_input = hp["rule_start"] + hp["n_rule"]
    if hp["n_input"] < n_input:
        raise ValueError(f"{source}: n_input {hp['n_input']} must be rule_start + n_rule = {n_input} or more. {remedy}")
    if hp["n_output"] != n_output:
        raise ValueError(f"{source}: n_output {hp['n_output']} must be n_eachring + 1 = {n_output}. {remedy}")


def _check_rules(hp, source):
    known = rules_dict[hp["ruleset"]][: hp["n_rule"]]
    for key in ("rule_trains", "rules"):
        for rule in hp.get(key, []):
            if rule not in known:
                raise ValueError(
                    f"{source}: {key} has {rule!r}, which is not a rule of rule set {hp['ruleset']!r} with n_rule "
                    f"{hp['n_rule']}. Choose from {', '.join(known)}."
                )
    if "rule_probs" in hp and len(hp["rule_probs"]) != len(hp.get("rule_trains", [])):
        raise ValueError(f"{source}: rule_probs must have one number for each of rule_trains.")
