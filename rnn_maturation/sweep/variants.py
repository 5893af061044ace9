"""List the networks of the paper and its supplement in one table: how each is trained and how it is analyzed.

A variant lists only what differs from `COMMON`. A training run is a variant with a seed, in its own model directory.
"""

import difflib
import fnmatch
import re
from dataclasses import dataclass, field
from pathlib import Path

from rnn_maturation.checks import quoted
from rnn_maturation.hyperparameters import (
    ABSOLUTE_ACTIVATIONS,
    LARGEST_SEED,
    PAPER_HP,
    PAPER_RULESET,
    STAGE_LEVELS,
)
from rnn_maturation.model_directory import has_hp
from rnn_maturation.task import TASKS, rules_dict

COMMON = {**PAPER_HP, "target_perf": STAGE_LEVELS["mature"]}  # training ends when every rule performs better than this
MAX_TRIALS = 3_000_000  # training ends after this many trials even if the target performance is not reached
MAX_TRIALS_HOPELESS = 640_000  # the same for learning rates that are known to be too high


@dataclass(frozen=True)
class Variant:
    """A row of the table of variants.

    Attributes
    ----------
    hp : dict
        Hyper-parameters that differ from `COMMON`.
    ruleset : str
        Key of `rnn_maturation.task.rules_dict`.
    rules : tuple of str
        Rules to train. If it is empty, all rules of the rule set are trained.
    units : dict
        {rule: epochs}: the epochs in which units are classified and their PSTHs drawn.
    saccades : tuple of str
        Rules whose saccades are analyzed.
    distractor : bool
        Whether the effect of the distance between stimulus and distractor is analyzed.
    max_trials : int
        Maximum number of trials.
    """

    hp: dict = field(default_factory=dict)
    ruleset: str = PAPER_RULESET
    rules: tuple = ()
    units: dict = field(default_factory=dict)
    saccades: tuple = ()
    distractor: bool = False
    max_trials: int = MAX_TRIALS

    @property
    def whole_hp(self):
        """Return the hyper-parameters of the variant: `COMMON`, changed by `hp`."""
        return {**COMMON, **self.hp}

    @property
    def norm(self):
        """Return whether activity is divided by the baseline (fixation) rate."""
        return self.whole_hp["activation"] not in ABSOLUTE_ACTIVATIONS

    @property
    def delay_rules(self):
        """Return the rules of `units` with a single delay between cue and response: ODR with a delay of any length."""
        return [rule for rule, epochs in self.units.items() if "delay1" in epochs and "delay2" not in epochs]

    @property
    def trained_rules(self):
        """Return the rules to train, as a list."""
        return list(self.rules or rules_dict[self.ruleset])

    @property
    def distractor_rules(self):
        """Return the rules in which distractors are analyzed: with `distractor`, the trained ones with `test_pairs`."""
        return [rule for rule in self.trained_rules if self.distractor and TASKS[rule].test_pairs]


ODR = {"odr": ("stim1", "delay1")}
ODRD = {"odrd": ("stim1", "delay1", "delay2")}
BOTH = {**ODR, **ODRD}
ANTI_SACCADE = ("overlap", "zero_gap", "gap")
ALL = {**BOTH, **{rule: ("stim1",) for rule in ANTI_SACCADE}}
EVERYTHING = {"units": ALL, "saccades": (*ANTI_SACCADE, "odr"), "distractor": True}


def _anti_saccade_alone(rule):
    return Variant(rules=(rule,), units={rule: ("stim1",)}, saccades=(rule,))


def _long_delay(rule):
    return Variant(ruleset=f"all_new_{rule}", units={rule: ODR["odr"], **ODRD})


VARIANTS = {
    # the main run, Main_training.py
    "6tasks": Variant({"target_perf": PAPER_HP["target_perf"]}, rules=tuple(rules_dict[PAPER_RULESET]), **EVERYTHING),
    # rules alone
    "indi_odr": Variant(rules=("odr",), units=ODR),
    "indi_odrd": Variant(rules=("odrd",), units=ODRD, distractor=True),
    "indi_odr_odrd": Variant(rules=("odr", "odrd"), units=BOTH, saccades=("odr",), distractor=True),
    "indi_gap": _anti_saccade_alone("gap"),
    "indi_zero_gap": _anti_saccade_alone("zero_gap"),
    "indi_overlap": _anti_saccade_alone("overlap"),
    # number of units
    "set1_exp1": Variant({"n_rnn": 64}, units=BOTH),
    "set1_exp2": Variant({"n_rnn": 128}, units=BOTH),
    "set1_exp3": Variant({"n_rnn": 512}, units=BOTH),
    "set1_exp4": Variant({"n_rnn": 1024}, units=BOTH),
    # nonlinearity
    "set2_exp1": Variant({"activation": "tanh"}, units=BOTH),
    "set2_exp2": Variant({"activation": "relu"}, units=BOTH),
    "set2_exp3": Variant({"activation": "elu"}, units=BOTH),
    "set2_exp4": Variant({"activation": "power"}, units=BOTH),
    # initial recurrent weights
    "set3_exp1": Variant({"w_rec_init": "diag"}, units=BOTH),
    "set3_exp2": Variant({"w_rec_init": "randgauss"}, units=BOTH),
    # learning rate
    "set4_exp1": Variant({"learning_rate": 1e-4}, units=BOTH),
    "set4_exp2": Variant({"learning_rate": 1e-2}, max_trials=MAX_TRIALS_HOPELESS),
    "set4_exp3": Variant({"learning_rate": 1e-1}, max_trials=MAX_TRIALS_HOPELESS),
    # further rules
    "set5_exp1": Variant(ruleset="mix_MoN_6tasks", units=BOTH),
    "set5_exp2": Variant(ruleset="mix_p_MoN_6tasks", units=BOTH),
    # longer delays
    "set6_exp1": _long_delay("odr3000"),
    "set6_exp2": _long_delay("odr6000"),
    "set6_exp3": _long_delay("odr15000"),
    # gated cells
    "set7_exp1": Variant({"rnn_type": "LeakyGRU"}, **EVERYTHING),
    "set7_exp2": Variant({"rnn_type": "GRU"}, **EVERYTHING),
}
MAIN_RUN = "6tasks"  # Main_training.py trains it too; a sweep trains it only if --only names it


@dataclass(frozen=True, order=True)
class TrainingRun:
    """A variant that is trained with a seed and saved in a folder of runs.

    Attributes
    ----------
    variant : str
        Key of `VARIANTS`.
    seed : int
    root : str
        Folder of the model directories.
    """

    variant: str
    seed: int = 0
    root: str = "data"

    @property
    def name(self):
        """Return the name of the model directory: <variant>, or <variant>_seed<seed> if the seed is not 0."""
        return self.variant if self.seed == 0 else f"{self.variant}_seed{self.seed}"

    @property
    def model_dir(self):
        """Return the path of the model directory."""
        return str(Path(self.root) / self.name)

    @property
    def settings(self):
        """Return the variant, a row of the table."""
        return VARIANTS[self.variant]


def choose_runs(patterns=(), seeds=(0,), root="data"):
    """Return the runs of some variants with some seeds, in the order of the table.

    Parameters
    ----------
    patterns : sequence of str
        Names of variants, in which * stands for any characters and ? for one. Without patterns, all variants except the
        main run are chosen.
    seeds : sequence of int
    root : str
        Folder of the model directories.

    Returns
    -------
    list of TrainingRun

    Raises
    ------
    ValueError
        For a pattern that matches no variant.
    """
    chosen = set() if patterns else set(VARIANTS) - {MAIN_RUN}
    for pattern in patterns:
        matching = fnmatch.filter(VARIANTS, pattern)
        if not matching:
            nearest = difflib.get_close_matches(pattern, VARIANTS, n=1)
            hint = f"did you mean {nearest[0]}? " if nearest else ""
            raise ValueError(
                f"no variant is called {quoted(pattern)}: {hint}Training_with_diff_HyperParameters.py --list shows all"
            )
        chosen.update(matching)
    return [TrainingRun(name, seed, str(root)) for name in VARIANTS if name in chosen for seed in seeds]


def find_runs(root="data"):
    """Return the runs that are on disk in a folder, in the order of the table.

    Parameters
    ----------
    root : str or Path

    Returns
    -------
    list of TrainingRun
    """
    found = []
    for name in VARIANTS:
        for folder in sorted(Path(root).glob(f"{name}*")):
            match = re.fullmatch(rf"{re.escape(name)}(?:_seed([1-9][0-9]*))?", folder.name)
            if match and has_hp(folder):
                found.append(TrainingRun(name, int(match[1] or 0), str(root)))
    return sorted(found, key=table_order)


def table_order(run):
    """Return the sort key of a run: its variant's row in the table, then its seed."""
    return list(VARIANTS).index(run.variant), run.seed


def parse_seeds(text):
    """Return the seeds that a text such as '0-4' or '0,2,5-7' names, each once, in order.

    Parameters
    ----------
    text : str

    Returns
    -------
    list of int

    Raises
    ------
    ValueError
        For any other text, a seed that is too large, or a range of more than 10,001 seeds.
    """
    seeds = set()
    for part in text.split(","):
        match = re.fullmatch(r"\s*([0-9]+)(?:-([0-9]+))?\s*", part)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if first > last or last > LARGEST_SEED or last - first > 10_000:
            raise ValueError(
                f"seeds {quoted(text)} are not understood: write them like 0-4 or 0,2,5-7, the smaller "
                "end of a range first"
            )
        seeds.update(range(first, last + 1))
    return sorted(seeds)
