"""What the reproduction report reads of a run: its log, and activity, saccades and population codes at checkpoints.

Nothing is written and no file but hp.json, log.json and the checkpoints is read, so that neuron_info files made with
other criteria do not matter and a run may be on a disk that cannot be written to.
"""

from functools import cached_property

import numpy as np
from scipy.stats import spearmanr

from rnn_maturation.analysis.activity import compute_activity, mean_by_location
from rnn_maturation.analysis.behavior import noisy_inputs, saccades_at
from rnn_maturation.analysis.conditions import test_trials
from rnn_maturation.analysis.decoding import cross_temporal_scores, window_rates
from rnn_maturation.analysis.dpca import demixed_pca, trials_by_location
from rnn_maturation.analysis.parallel import in_order
from rnn_maturation.analysis.psth import mean_over_units, unit_psths, window_steps
from rnn_maturation.analysis.report.findings import ANTI_SACCADE_RULES, CHANCE, DELAYED_RULES
from rnn_maturation.analysis.seldir import count_shared
from rnn_maturation.analysis.selectivity import DEFAULT_TYPES, classify_units, select_units
from rnn_maturation.model_directory import checkpoint_trials, load_hp, load_log
from rnn_maturation.stages import (
    STAGES,
    nearest_to_target,
    performance_at,
    smooth,
    spread_over,
    stage_by_trial,
    trials_by_stage,
)

CROSSING_WINDOW = 5  # evaluations; the numbers of the known networks are smoothed with it, too
COURSE_WINDOW = 9  # evaluations, as for the automatic choice of stages
PLATEAU_TOP = CHANCE + 0.05  # smoothed performance at the end of the plateau
MATURE_TRIALS = 38_400  # followed after maturity: 30 checkpoints of the main run
FEWEST_CHECKPOINTS = 2  # of a stage
BEHAVIOUR_CHECKPOINTS = 4  # of a stage
DISTRACTOR_TRIALS = 16  # of each pair of cue and distractor
EPOCHS = {"odr": ("stim1", "delay1"), "odrd": ("stim1", "delay2")} | {rule: ("stim1",) for rule in ANTI_SACCADE_RULES}
ABSOLUTE_ACTIVATIONS = ("relu", "elu")  # fixation level near zero: rates are not divided by it, as in the paper
DECODER_WINDOW_MS, DECODER_STRIDE_MS, DECODER_HELD_OUT = 200, 60, 4


class NotDecidable(Exception):
    """The run lacks what a finding needs; the message says what."""


class Run:
    """A trained run and the checkpoints of it that the report uses.

    Parameters
    ----------
    model_dir : str
    checkpoints_per_stage : int
        At most so many of each rule and stage, evenly spread.

    Raises
    ------
    FileNotFoundError
        When hp.json or log.json is missing.
    """

    def __init__(self, model_dir, checkpoints_per_stage=40):
        self.model_dir = str(model_dir)
        self.hp, self.log = load_hp(model_dir), load_log(model_dir)
        self.on_disk = set(checkpoint_trials(model_dir)) & set(self.log["trials"])
        self.rules = [rule for rule in (*ANTI_SACCADE_RULES, *DELAYED_RULES) if f"perf_{rule}" in self.log]
        self.checkpoints_per_stage = checkpoints_per_stage
        self.norm = self.hp["activation"] not in ABSOLUTE_ACTIVATIONS
        self._units = {}

    # -------------------------------------------------------------------------------------------------- from the log

    def need_rules(self, *rules):
        """NotDecidable when a rule was not trained."""
        missing = [rule for rule in rules if rule not in self.rules]
        if missing:
            raise NotDecidable(f"not trained on {', '.join(missing)}")

    def performance(self, rule):
        self.need_rules(rule)
        return np.asarray(self.log[f"perf_{rule}"], dtype=float)

    def crossing(self, rule, stage):
        """Position of the evaluation from which smoothed performance first reaches a stage's level, or None."""
        return first_reaching(self.performance(rule), self.hp[f"{stage}_target_perf"])

    def thousand_trials(self, position):
        return np.nan if position is None else self.log["trials"][position] / 1000

    # ---------------------------------------------------------------------------------------------- from checkpoints

    @cached_property
    def stages(self):
        """{rule: {stage: trial numbers}} of the checkpoints in use, those of the rule's maturation."""
        ranges = {}
        for rule in self.rules:
            course = maturation_course(self.log["trials"], self.performance(rule), self.hp)
            ranges[rule] = trials_by_stage([t for t in course if t in self.on_disk], self.hp, self.log, rule)
        return spread_over(ranges, self.checkpoints_per_stage)

    def need_stages(self, rule, stages=STAGES):
        """Stages of a rule; NotDecidable when one of those asked for lacks checkpoints."""
        self.need_rules(rule)
        if self.crossing(rule, "early") is None:
            raise NotDecidable(f"{rule} never rose to the early level")
        found = self.stages[rule]
        for stage in stages:
            number = len(found.get(stage, ()))
            if number < FEWEST_CHECKPOINTS:
                raise NotDecidable(f"{rule} has {number} {stage} checkpoints on disk, {FEWEST_CHECKPOINTS} are needed")
        return found

    def epochs(self, rule):
        return test_trials(self.hp, rule).epochs

    def units(self, rule, epoch):
        """Selective units of each checkpoint.

        Returns
        -------
        {trial number: {'units', 'preferred' (n,), 'psths' (n, n_time), 'rates' (n, n_locations)}}
        """
        self.need_stages(rule, ())
        if rule not in self._units:
            trials = list(stage_by_trial(self.stages[rule]))
            found = in_order(lambda trial: self.units_at(rule, trial), trials, f"{rule}: activity")
            self._units[rule] = dict(zip(trials, found, strict=True))
        return {trial: of_epochs[epoch] for trial, of_epochs in self._units[rule].items()}

    def units_at(self, rule, trial_num):
        """{epoch: selective units} at one checkpoint, see `units`."""
        epochs, locations = self.epochs(rule), self.locations(rule)
        activity = compute_activity(self.hp, self.model_dir, trial_num, rule)
        means = mean_by_location(activity, locations)
        found = {}
        for epoch in EPOCHS[rule]:
            info = classify_units(activity, locations, epochs, epoch, norm=self.norm)
            units, preferred = select_units(info, DEFAULT_TYPES)
            psths = unit_psths(means, units, preferred, slice(*epochs["fix1"]), self.norm)
            rates = info["firerate_loc_order"][units]
            found[epoch] = {"units": units, "preferred": preferred, "psths": psths, "rates": rates}
        return found

    @cached_property
    def shared_units(self):
        """{trial number: (units cue-selective in ODR and ODRD, same location, different)}, ODR's checkpoints."""
        self.need_stages("odr")
        self.need_rules("odrd")
        odr = self.units("odr", "stim1")
        odrd = in_order(lambda trial: self.units_at("odrd", trial)["stim1"], list(odr), "shared units")
        both = zip(odr.items(), odrd, strict=True)
        return {trial: count_shared(*((u["units"], u["preferred"]) for u in (a, b))) for (trial, a), b in both}

    def locations(self, rule):
        """(n_trials,) index of the location shown in each test trial."""
        trial = test_trials(self.hp, rule)
        return np.array(trial.input_loc)[: trial.batch_size].argmax(axis=1)

    def psths(self, rule, epoch):
        """{trial number: (n_units, n_time)}, as of `gen_PSTH_log`."""
        return {trial: found["psths"] for trial, found in self.units(rule, epoch).items()}

    def period_means(self, rule, epoch, period):
        """{trial number: mean over units of the activity in an epoch or (start, end) ms}, units of `epoch`."""
        steps = window_steps(self.hp, {"epoch_info": self.epochs(rule)}, rule, period)
        return {trial: mean_over_units(psths)[steps].mean() for trial, psths in self.psths(rule, epoch).items()}

    @cached_property
    def distractor(self):
        """{trial number: (n_distances,) performance in ODRD} by the distance between distractor and cue."""
        n_ring = self.hp["n_eachring"]
        pairs = [[f"test-{i}-{j}" for j in range(n_ring)] for i in range(n_ring)]
        inputs, targets = noisy_inputs(self.hp, "odrd", pairs)
        every = max(1, targets.shape[1] // DISTRACTOR_TRIALS)
        inputs, targets = [x[:, ::every] for x in inputs], targets[:, ::every]
        trials = list(stage_by_trial(self.few("odrd")))
        saccades = saccades_at(self.hp, self.model_dir, "odrd", inputs, targets, trials, "odrd: distractors")
        distance = ring_distance(n_ring)
        return {
            trial: np.array([correct[distance == d].mean() for d in range(n_ring // 2 + 1)])
            for trial, (correct, _) in saccades.items()
        }

    @cached_property
    def gap_errors(self):
        """{trial number: saccade errors in degrees} in the gap task."""
        inputs, targets = noisy_inputs(self.hp, "gap", [["test"] * self.hp["n_eachring"]])
        chosen = list(stage_by_trial(self.few("gap")))
        saccades = saccades_at(self.hp, self.model_dir, "gap", inputs, targets, chosen, "gap: saccades")
        return {trial: errors.ravel() for trial, (_, errors) in saccades.items()}

    def few(self, rule):
        """{stage: trial numbers} of the few checkpoints at which behaviour is measured."""
        return spread_over({rule: self.need_stages(rule)}, BEHAVIOUR_CHECKPOINTS)[rule]

    @cached_property
    def mature_odr(self):
        """Trial number of the mature checkpoint of ODR whose performance is nearest to the mature level."""
        mature = {"mature": self.need_stages("odr", ("mature",))["mature"]}
        return nearest_to_target(self.hp, self.log, "odr", mature)["mature"]

    @cached_property
    def _mature_activity(self):
        return compute_activity(self.hp, self.model_dir, self.mature_odr, "odr")

    @cached_property
    def decoder_scores(self):
        """Leak-free cross-temporal scores (n_windows, n_windows) of mature ODR."""
        window, stride = self.decoder_steps
        rates = window_rates(self._mature_activity, window, stride)
        return cross_temporal_scores(rates, self.locations("odr"), DECODER_HELD_OUT, "everywhere")

    @property
    def decoder_steps(self):
        dt = self.hp["dt"]
        if DECODER_STRIDE_MS % dt or DECODER_WINDOW_MS % dt:
            raise NotDecidable(f"dt = {dt:g} ms does not divide {DECODER_STRIDE_MS} and {DECODER_WINDOW_MS} ms")
        return int(DECODER_WINDOW_MS / dt), int(DECODER_STRIDE_MS / dt)

    @cached_property
    def demixed(self):
        """Demixed PCA of mature ODR."""
        locations = self.locations("odr")
        return demixed_pca(trials_by_location(self._mature_activity, locations, np.unique(locations)))


# -------------------------------------------------------------------------------------------------- arrays in and out


def first_reaching(performance, level, window=CROSSING_WINDOW):
    """Position from which smoothed performance first reaches a level; None when it never does."""
    reached = np.flatnonzero(smooth(performance, window) >= level)
    return int(reached[0]) if len(reached) else None


def maturation_course(trials, performance, hp):
    """Trial numbers from the end of a rule's plateau to some time after its maturity.

    From the last evaluation before the early level at which smoothed performance is at most `PLATEAU_TOP`, to
    `MATURE_TRIALS` after smoothed performance first reaches the mature level; none when it never reaches early.
    """
    rise = first_reaching(performance, hp["early_target_perf"], COURSE_WINDOW)
    if rise is None:
        return []
    low = np.flatnonzero(smooth(performance, COURSE_WINDOW)[:rise] <= PLATEAU_TOP)
    start = int(low[-1]) if len(low) else 0
    mature = first_reaching(performance, hp["mature_target_perf"], COURSE_WINDOW)
    end = np.inf if mature is None else trials[mature] + MATURE_TRIALS
    return [trial for trial in trials[start:] if trial <= end]


def over_stages(values, stages):
    """Means of {trial number: value} over the checkpoints of each stage, and their standard errors.

    Returns
    -------
    dict
        stage: mean, f"{stage}_se": standard error; checkpoints without units (nan) are left out, and with less than
        two left both are nan.
    """
    numbers = {}
    for stage, trials in stages.items():
        known = [values[trial] for trial in trials if np.isfinite(values[trial])]
        enough = len(known) >= FEWEST_CHECKPOINTS
        numbers[stage] = float(np.mean(known)) if enough else np.nan
        numbers[f"{stage}_se"] = float(np.std(known, ddof=1) / np.sqrt(len(known))) if enough else np.nan
    return numbers


def rank_correlation(values, log, rule):
    """Spearman's correlation of {trial number: value} with the rule's performance, and the number of checkpoints."""
    known = {trial: value for trial, value in values.items() if np.isfinite(value)}
    performance = [performance_at(log, rule, trial) for trial in known]
    varies = len(known) > 2 and np.ptp(performance) > 0 and np.ptp(list(known.values())) > 0
    rho = spearmanr(list(known.values()), performance).statistic if varies else np.nan
    return {"rho": float(rho), "n_checkpoints": len(known)}


def ring_distance(n_ring):
    """(n_ring ** 2,) circular distance, in steps, of all pairs of locations."""
    apart = np.subtract.outer(np.arange(n_ring), np.arange(n_ring)) % n_ring
    return np.minimum(apart, n_ring - apart).ravel()


def decoder_numbers(scores, epochs, n_steps, stride, lags):
    """Scores before the cue, on the diagonal in delay1, and off it at some lags.

    Parameters
    ----------
    scores : (n_windows, n_windows) array
    epochs : {epoch: (start, end)} in steps
    n_steps, stride : int
        Length of a window and distance between starts, in steps.
    lags : {name: number of windows}

    Returns
    -------
    dict
        before, diagonal, and the names of `lags`; windows lie wholly within the period, lags go both ways.
    """
    starts = np.arange(len(scores)) * stride
    before = starts + n_steps <= epochs["stim1"][0]
    delay = (starts >= epochs["delay1"][0]) & (starts + n_steps <= epochs["delay1"][1])
    inside = scores[np.ix_(delay, delay)]
    numbers = {"before": np.diag(scores)[before].mean(), "diagonal": np.diag(inside).mean()}
    for name, lag in lags.items():
        pairs = np.concatenate([np.diag(inside, lag), np.diag(inside, -lag)])
        numbers[name] = pairs.mean() if len(pairs) else np.nan
    return {name: float(value) for name, value in numbers.items()}


def separation_ratio(components, epochs):
    """Distance between locations before the cue over that from the cue to the go signal.

    Parameters
    ----------
    components : (n_components, n_locations, n_time) array
    epochs : {epoch: (start, end)} in steps

    Returns
    -------
    float
        Of root mean squares over components, locations and time.
    """
    spread = components.var(axis=1).sum(axis=0)
    before = spread[slice(*epochs["fix1"])].mean()
    after = spread[epochs["stim1"][0] : epochs["go1"][0]].mean()
    return float(np.sqrt(before / after)) if after > 0 else np.nan
