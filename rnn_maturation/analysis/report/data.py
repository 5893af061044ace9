"""Read from a run what the report needs: its log, and activity, saccades, population codes and dynamics at checkpoints.

Nothing is written to the model directory, so the run may be on a read-only disk. Only hp.json, log.json, the
checkpoints and saved activity are read; neuron_info files made with other criteria have no influence. What earlier
analyses in the same process computed at a checkpoint is not computed again (`analysis.memory`).
"""

from contextlib import suppress
from functools import cached_property

import numpy as np
from scipy.stats import spearmanr

from rnn_maturation.analysis.activity import Get_H
from rnn_maturation.analysis.behavior import noisy_inputs, ring_distance, saccades_at
from rnn_maturation.analysis.conditions import test_trials, trial_conditions
from rnn_maturation.analysis.decoding import compute_decoder_scores
from rnn_maturation.analysis.dpca import checkpoint_demixed_pca
from rnn_maturation.analysis.dynamics.delay_generalization import delay_generalization_analysis
from rnn_maturation.analysis.dynamics.eigenvalues import eigenvalue_growth_analysis
from rnn_maturation.analysis.parallel import in_order
from rnn_maturation.analysis.psth import mean_over_units, unit_psths, window_steps
from rnn_maturation.analysis.report.finding import NotDecidable
from rnn_maturation.analysis.seldir import count_shared
from rnn_maturation.analysis.selectivity import DEFAULT_TYPES, checkpoint_summary, select_units
from rnn_maturation.hyperparameters import ABSOLUTE_ACTIVATIONS, PAPER_INTERVAL
from rnn_maturation.model_directory import checkpoint_trials, load_hp, load_log
from rnn_maturation.network import CHANCE
from rnn_maturation.stages import (
    GROWTH_WINDOW,
    MAX_STAGE_CHECKPOINTS,
    STAGE_WINDOW,
    STAGES,
    first_reaching,
    nearest_to_target,
    smooth,
    spread_over,
    stage_by_trial,
    trials_by_stage,
)
from rnn_maturation.task import rule_name

ANTI_SACCADE_RULES = ("overlap", "zero_gap", "gap", "gap500")
DELAYED_RULES = ("odr", "odrd")
PLATEAU_TOP = CHANCE + 0.05  # largest smoothed performance on the plateau
MATURE_TRIALS = MAX_STAGE_CHECKPOINTS * PAPER_INTERVAL  # training trials after maturity that are used
FEWEST_CHECKPOINTS = 2  # per stage
BEHAVIOR_CHECKPOINTS = 4  # maximum per stage
DISTRACTOR_TRIALS = 16  # per pair of cue and distractor
EPOCHS = {"odr": ("stim1", "delay1"), "odrd": ("stim1", "delay2")} | {rule: ("stim1",) for rule in ANTI_SACCADE_RULES}
DECODER_WINDOW_MS, DECODER_STRIDE_MS, DECODER_HELD_OUT = 200, 60, 4
HELD_DELAYS_MS = (1000, 1500, 2000)  # must be among delay_generalization.DELAYS_MS
DYNAMICS_CHECKPOINTS = 40  # maximum in each of three periods: before, on and after the plateau
# a checkpoint on disk stands for the end of the plateau only if it is at most this many trials later
PLATEAU_END_TRIALS = 10 * PAPER_INTERVAL


class TrainedRun:
    """A trained run, and those of its checkpoints that the report uses.

    Parameters
    ----------
    model_dir : str
    checkpoints_per_stage : int
        Maximum number of checkpoints per rule and stage, evenly spread.

    Raises
    ------
    FileNotFoundError
        If hp.json or log.json is missing.
    """

    def __init__(self, model_dir, checkpoints_per_stage=40):
        self.model_dir = str(model_dir)
        self.hp, self.log = load_hp(model_dir), load_log(model_dir)
        self.on_disk = set(checkpoint_trials(model_dir)) & set(self.log["trials"])
        self.rules = [rule for rule in (*ANTI_SACCADE_RULES, *DELAYED_RULES) if f"perf_{rule}" in self.log]
        self.checkpoints_per_stage = checkpoints_per_stage
        self.norm = self.hp["activation"] not in ABSOLUTE_ACTIVATIONS
        self._units = {}

    # ------------------------------------------------------------------------------------------------- from the log

    def trained(self, rules, fewest=None):
        """Return which of the rules were trained; raise NotDecidable if they are fewer than `fewest` (default: all)."""
        trained = [rule for rule in rules if rule in self.rules]
        if fewest is None and len(trained) < len(rules):
            raise NotDecidable(f"not trained on {', '.join(rule for rule in rules if rule not in trained)}")
        if fewest is not None and len(trained) < fewest:
            raise NotDecidable(f"trained on {len(trained)} of {', '.join(rules)}; {fewest} are needed")
        return trained

    def performance(self, rule):
        """Return the logged performance of a rule at all evaluations, (n_evaluations,)."""
        self.trained([rule])
        return np.asarray(self.log[f"perf_{rule}"], dtype=float)

    def crossing(self, rule, stage):
        """Return the position in the log at which smoothed performance first reaches the level of a stage, or None."""
        return first_reaching(self.performance(rule), self.hp[f"{stage}_target_perf"])

    def thousand_trials(self, position):
        """Return the number of trials at a position in the log, in thousands; nan if the position is None."""
        return np.nan if position is None else self.log["trials"][position] / 1000

    def plateau(self, rule):
        """Return the positions in the log at which the plateau of a delayed rule begins and ends.

        It begins when smoothed performance of the last anti-saccade rule reaches the mature level, and ends when
        smoothed performance of the delayed rule reaches the early level.

        Returns
        -------
        (int, int or None)
            The end is None if the rule never reaches the early level.

        Raises
        ------
        NotDecidable
            If an anti-saccade rule was trained but never became mature, or if none was trained.
        """
        mature = [self.crossing(anti, "mature") for anti in self.trained(ANTI_SACCADE_RULES, 1)]
        if None in mature:
            raise NotDecidable(
                "the plateau is counted from the maturity of all anti-saccade rules, which was not reached"
            )
        return max(mature), self.crossing(rule, "early")

    # ---------------------------------------------------------------------------------------- stages of checkpoints

    @cached_property
    def stages(self):
        """{rule: {stage: trial numbers}} of the checkpoints that the report uses; see `maturation_course`."""
        ranges = {}
        for rule in self.rules:
            course = maturation_course(self.log["trials"], self.performance(rule), self.hp)
            ranges[rule] = trials_by_stage([t for t in course if t in self.on_disk], self.hp, self.log, rule)
        return spread_over(ranges, self.checkpoints_per_stage)

    def need_risen(self, rule):
        """Raise NotDecidable if a rule was not trained or its smoothed performance never reached the early level."""
        if self.crossing(rule, "early") is None:
            raise NotDecidable(f"{rule} never rose to the early level")

    def need_stages(self, rule, stages=STAGES):
        """Return {stage: trial numbers} of a rule; raise NotDecidable if one of the stages has too few checkpoints."""
        self.need_risen(rule)
        found = self.stages[rule]
        for stage in stages:
            number = len(found.get(stage, ()))
            if number < FEWEST_CHECKPOINTS:
                raise NotDecidable(f"{rule} has {number} {stage} checkpoints on disk, {FEWEST_CHECKPOINTS} are needed")
        return found

    def few(self, rule):
        """Return {stage: trial numbers} of the few checkpoints at which behavior is measured."""
        return spread_over({rule: self.need_stages(rule)}, BEHAVIOR_CHECKPOINTS)[rule]

    @cached_property
    def mature_odr(self):
        """Trial number of the mature checkpoint of ODR whose performance is nearest to the mature level."""
        mature = {"mature": self.need_stages("odr", ("mature",))["mature"]}
        return nearest_to_target(self.hp, self.log, "odr", mature)["mature"]

    # ------------------------------------------------------------------------------------------------ selective units

    def epochs(self, rule):
        """Return {epoch: (start, end)} of a rule's test trials, in steps."""
        self.trained([rule])  # test trials of a rule outside the network's rule set cannot be made
        return test_trials(self.hp, rule).epochs

    def conditions(self, rule):
        """Return the locations and epochs of a rule's test trials as `conditions.task_info` does, but read no file."""
        self.trained([rule])
        return trial_conditions(rule, test_trials(self.hp, rule))

    def units(self, rule, epoch):
        """Return the selective units of each checkpoint of a rule.

        Returns
        -------
        {trial number: dict}
            'units' (n,), the units selective in the epoch; 'preferred' (n,), their preferred locations; 'psths'
            (n, n_time), their activity at the preferred location; 'rates' (n, n_locations), their mean activity in the
            epoch at each location.
        """
        self.need_risen(rule)
        if rule not in self._units:
            trials = list(stage_by_trial(self.stages[rule]))
            found = in_order(lambda trial: self.units_at(rule, trial), trials, f"{rule}: activity")
            self._units[rule] = dict(zip(trials, found, strict=True))
        return {trial: of_epochs[epoch] for trial, of_epochs in self._units[rule].items()}

    def units_at(self, rule, trial_num):
        """Return {epoch: selective units} at one checkpoint; see `units`."""
        conditions = self.conditions(rule)
        fixation = slice(*conditions["epoch_info"]["fix1"])
        means, infos = checkpoint_summary(
            self.hp, self.model_dir, trial_num, rule, conditions=conditions, norm=self.norm
        )
        found = {}
        for epoch in EPOCHS[rule]:
            units, preferred = select_units(infos[epoch], DEFAULT_TYPES)
            psths = unit_psths(means, units, preferred, fixation, self.norm)
            rates = infos[epoch]["firerate_loc_order"][units]
            found[epoch] = {"units": units, "preferred": preferred, "psths": psths, "rates": rates}
        return found

    def psths(self, rule, epoch):
        """Return {trial number: (n_units, n_time) array of activity}, as `gen_PSTH_log` does."""
        return {trial: found["psths"] for trial, found in self.units(rule, epoch).items()}

    def period_means(self, rule, epoch, period):
        """Return the mean over units of the activity in a period, {trial number: float}.

        Parameters
        ----------
        rule, epoch : str
            The units are those selective in the epoch.
        period : str or (start, end)
            An epoch, or times in ms from the start of the trial.
        """
        steps = window_steps(self.hp, {"epoch_info": self.epochs(rule)}, rule, period)
        return {trial: mean_over_units(psths)[steps].mean() for trial, psths in self.psths(rule, epoch).items()}

    @cached_property
    def shared_units(self):
        """{trial number of ODR: numbers of units cue-selective in ODR and ODR+d (all, same, different location)}."""
        self.need_stages("odr")
        self.trained(["odrd"])
        odr = self.units("odr", "stim1")
        odrd = in_order(lambda trial: self.units_at("odrd", trial)["stim1"], list(odr), "shared units")
        both = zip(odr.items(), odrd, strict=True)
        return {trial: count_shared(*((u["units"], u["preferred"]) for u in (a, b))) for (trial, a), b in both}

    # -------------------------------------------------------------------------------------------------------- behavior

    @cached_property
    def distractor(self):
        """{trial number: (n_distances,) performance in ODR+d}, by the distance between distractor and cue."""
        n_ring, trials = self.hp["n_eachring"], list(stage_by_trial(self.few("odrd")))
        pairs = [[f"test-{i}-{j}" for j in range(n_ring)] for i in range(n_ring)]
        inputs, targets = noisy_inputs(self.hp, "odrd", pairs)
        every = max(1, targets.shape[1] // DISTRACTOR_TRIALS)
        inputs, targets = [x[:, ::every] for x in inputs], targets[:, ::every]
        saccades = saccades_at(self.hp, self.model_dir, "odrd", inputs, targets, trials, "odrd: distractors")
        distance = ring_distance(n_ring)
        return {
            trial: np.array([correct[distance == d].mean() for d in range(n_ring // 2 + 1)])
            for trial, (correct, _) in saccades.items()
        }

    @cached_property
    def gap_errors(self):
        """{trial number: saccade errors in degrees} in the gap task."""
        chosen = list(stage_by_trial(self.few("gap")))
        inputs, targets = noisy_inputs(self.hp, "gap", [["test"] * self.hp["n_eachring"]])
        saccades = saccades_at(self.hp, self.model_dir, "gap", inputs, targets, chosen, "gap: saccades")
        return {trial: errors.ravel() for trial, (_, errors) in saccades.items()}

    # ----------------------------------------------------------------------------------------- population, mature ODR

    @cached_property
    def decoder(self):
        """`DecoderResult` of mature ODR, with no trial used for both training and test."""
        conditions = self.conditions("odr")
        settings = self.hp["dt"], *self.decoder_steps, DECODER_HELD_OUT, "everywhere", conditions["epoch_info"]
        activity = Get_H(self.hp, self.model_dir, self.mature_odr, "odr")
        title = f"{rule_name['odr']} at {self.mature_odr} trials, held out everywhere"
        return compute_decoder_scores(activity, conditions["in_loc"], *settings, title=title)

    @property
    def decoder_steps(self):
        """Length of the decoder's windows, and distance between their starts, in steps."""
        dt = self.hp["dt"]
        if DECODER_STRIDE_MS % dt or DECODER_WINDOW_MS % dt:
            raise NotDecidable(f"dt = {dt:g} ms does not divide {DECODER_STRIDE_MS} and {DECODER_WINDOW_MS} ms")
        return int(DECODER_WINDOW_MS / dt), int(DECODER_STRIDE_MS / dt)

    @cached_property
    def demixed(self):
        """Demixed PCA of mature ODR."""
        conditions = self.conditions("odr")
        locations = np.unique(conditions["in_loc"]).tolist()
        return checkpoint_demixed_pca(self.hp, self.model_dir, self.mature_odr, "odr", conditions, locations)

    # ---------------------------------------------------------------------------------------- dynamics of ODR's delay

    def first_on_disk(self, reached, within=np.inf):
        """Return the trial number of the first checkpoint on disk at which a condition on ODR's performance holds.

        Parameters
        ----------
        reached : (n_evaluations,) array of bool
            Whether the condition holds at each evaluation in the log.
        within : int, optional
            Largest number of trials between the first evaluation at which the condition holds and the checkpoint.

        Raises
        ------
        NotDecidable
            If there is no such evaluation or checkpoint.
        """
        trials = [trial for trial, holds in zip(self.log["trials"], reached, strict=True) if holds]
        if not trials:
            raise NotDecidable("odr never reached that performance")
        found = [trial for trial in trials if trial in self.on_disk and trial <= trials[0] + within]
        if not found:
            latest = " or later" if within == np.inf else f" or at most {within:,} later"
            raise NotDecidable(f"no checkpoint with that performance is on disk at {trials[0]:,} trials{latest}")
        return found[0]

    @cached_property
    def first_risen_odr(self):
        """Trial number of the first checkpoint on disk with smoothed ODR at the early level: the end of the plateau."""
        reached = smooth(self.performance("odr"), GROWTH_WINDOW) >= self.hp["early_target_perf"]
        return self.first_on_disk(reached, PLATEAU_END_TRIALS)

    @cached_property
    def first_mature_odr(self):
        """Trial number of the first checkpoint on disk with logged performance in ODR at the mature level or above."""
        return self.first_on_disk(self.performance("odr") >= self.hp["mature_target_perf"])

    @cached_property
    def rising_odr(self):
        """Trial numbers of ODR's checkpoints in `stages`, from the end of the plateau to maturity (both smoothed)."""
        start, end = self.crossing("odr", "early"), self.crossing("odr", "mature")
        if start is None or end is None:
            raise NotDecidable("odr did not rise from the early to the mature level")
        first, last = self.log["trials"][start], self.log["trials"][end]
        return [trial for trial in stage_by_trial(self.stages["odr"]) if first <= trial <= last]

    @cached_property
    def eigenvalue_growth(self):
        """Result of `eigenvalue_growth_analysis` for ODR's first delay, from 0 to the end of the run.

        The checkpoints are at most `DYNAMICS_CHECKPOINTS` in each of the periods before, on and after the plateau,
        evenly spread, and all that a finding needs: `rising_odr`, `first_risen_odr` and `first_mature_odr`.
        """
        self.need_risen("odr")
        rise = start = self.log["trials"][self.crossing("odr", "early")]
        with suppress(NotDecidable):
            start = min(rise, self.log["trials"][self.plateau("odr")[0]])
        periods = {"before": (0, start), "plateau": (start, rise), "after": (rise, np.inf)}
        on_disk = {name: [t for t in sorted(self.on_disk) if a <= t < b] for name, (a, b) in periods.items()}
        trials = {t for spread in spread_over({"odr": on_disk}, DYNAMICS_CHECKPOINTS)["odr"].values() for t in spread}
        for needed in ("rising_odr", "first_risen_odr", "first_mature_odr"):
            with suppress(NotDecidable):
                trials |= set(np.atleast_1d(getattr(self, needed)).tolist())
        if not trials:
            raise NotDecidable("no checkpoint is on disk")
        return eigenvalue_growth_analysis(self.hp, self.log, self.model_dir, sorted(trials), "odr", save=False)

    @cached_property
    def held_delays(self):
        """Result of `delay_generalization_analysis` for ODR at the first mature checkpoint.

        It has all default delays, although only `HELD_DELAYS_MS` are used, because the result with the defaults may
        already be in memory.
        """
        return delay_generalization_analysis(
            self.hp, self.log, self.model_dir, [self.first_mature_odr], "odr", save=False
        )


# --------------------------------------------------------------------------------------------------- arrays in and out


def maturation_course(trials, performance, hp):
    """Return the trial numbers from the end of a rule's plateau until `MATURE_TRIALS` after its maturity.

    The course starts at the last evaluation with a smoothed performance of at most `PLATEAU_TOP` before the early level
    is reached. Maturity is where smoothed performance first reaches the mature level. The course is empty if smoothed
    performance never reaches the early level, and has no end if it never reaches the mature level.
    """
    rise = first_reaching(performance, hp["early_target_perf"], STAGE_WINDOW)
    if rise is None:
        return []
    low = np.flatnonzero(smooth(performance, STAGE_WINDOW)[:rise] <= PLATEAU_TOP)
    start = int(low[-1]) if len(low) else 0
    mature = first_reaching(performance, hp["mature_target_perf"], STAGE_WINDOW)
    end = np.inf if mature is None else trials[mature] + MATURE_TRIALS
    return [trial for trial in trials[start:] if trial <= end]


def over_stages(values, stages):
    """Return the means of {trial number: value} over the checkpoints of each stage, and their standard errors.

    Returns
    -------
    dict
        Mean (key stage) and standard error (key f"{stage}_se"). Checkpoints without units (nan) are left out; if fewer
        than `FEWEST_CHECKPOINTS` are left, both are nan.
    """
    numbers = {}
    for stage, trials in stages.items():
        known = [values[trial] for trial in trials if np.isfinite(values[trial])]
        enough = len(known) >= FEWEST_CHECKPOINTS
        numbers[stage] = float(np.mean(known)) if enough else np.nan
        numbers[f"{stage}_se"] = float(np.std(known, ddof=1) / np.sqrt(len(known))) if enough else np.nan
    return numbers


def rank_correlation(values, others):
    """Return Spearman's correlation of two {trial number: value} over the checkpoints that both have, and their number.

    Checkpoints without units (nan) are left out. The correlation is nan if fewer than three are left, or if one of the
    two does not vary.
    """
    known = [t for t in values if t in others and np.isfinite(values[t]) and np.isfinite(others[t])]
    x, y = [values[t] for t in known], [others[t] for t in known]
    varies = len(known) > 2 and np.ptp(x) > 0 and np.ptp(y) > 0
    return float(spearmanr(x, y).statistic) if varies else np.nan, len(known)
