"""What the reproduction report measures on a run, finding by finding; the criteria are in `findings`."""

from dataclasses import dataclass, field

import numpy as np

from rnn_maturation.analysis.psth import mean_over_units
from rnn_maturation.analysis.report.data import (
    DECODER_STRIDE_MS,
    NotDecidable,
    decoder_numbers,
    over_stages,
    rank_correlation,
    separation_ratio,
)
from rnn_maturation.analysis.report.findings import ANTI_SACCADE_RULES, DELAYED_RULES
from rnn_maturation.analysis.tuning import fit_gaussian, stage_curve
from rnn_maturation.stages import STAGES

FEWEST_EVALUATIONS = 10  # of a plateau
SACCADE_PERIOD_MS = (1000, 1360)
CORRECT_WITHIN = 36  # degrees
DECODER_LAGS_MS = (60, 120, 180, 300, 600)


@dataclass(frozen=True)
class Measurement:
    """Numbers of a network for one finding, and what a reader should know about them."""

    numbers: dict = field(default_factory=dict)
    note: str = ""


def measure(key, run):
    """Measurement of a finding on a `Run`.

    Raises
    ------
    NotDecidable
        When the run lacks what the finding needs.
    """
    return MEASURES[key](run)


# ----------------------------------------------------------------------------------------------------------- learning


def _order(run):
    anti = _trained(run, ANTI_SACCADE_RULES, 1)
    delayed = _trained(run, DELAYED_RULES, 1)
    anti_at = [run.thousand_trials(run.crossing(rule, "mature")) for rule in anti]
    end = run.log["trials"][-1] / 1000
    reached = [run.thousand_trials(run.crossing(rule, "mature")) for rule in delayed]
    missing = [rule for rule, at in zip(delayed, reached, strict=True) if np.isnan(at)]
    first = np.nanmin([*reached, end])
    last_anti = max(anti_at) if not np.isnan(anti_at).any() else np.nan
    if np.isnan(last_anti) and len(missing) == len(delayed):
        raise NotDecidable("neither kind of task is mature at the end of the log")
    if np.isnan(last_anti):
        last_anti = end
    ratio = last_anti / first
    if len(missing) == len(delayed) and ratio >= 0.5:
        raise NotDecidable("ODR is not mature at the end of the log, which is too short to tell")
    note = f"{' and '.join(missing)} not mature when the log ends at {end:.0f} thousand" if missing else ""
    return Measurement({"anti": last_anti, "delayed": first, "ratio": ratio}, note)


def _trained(run, rules, fewest):
    trained = [rule for rule in rules if rule in run.rules]
    if len(trained) < fewest:
        raise NotDecidable(f"trained on {len(trained)} of {', '.join(rules)}; {fewest} are needed")
    return trained


def _synchrony(run):
    rules = _trained(run, ANTI_SACCADE_RULES, 2)
    at = {rule: run.thousand_trials(run.crossing(rule, "mid")) for rule in rules}
    late = [rule for rule, value in at.items() if np.isnan(value)]
    if late:
        raise NotDecidable(f"{', '.join(late)} never reached the mid level")
    return Measurement({**at, "ratio": max(at.values()) / min(at.values()) if min(at.values()) > 0 else np.nan})


def _plateau(run):
    run.need_rules(*DELAYED_RULES)
    mature = [run.crossing(rule, "mature") for rule in _trained(run, ANTI_SACCADE_RULES, 1)]
    if None in mature:
        raise NotDecidable("it is counted from the maturity of all anti-saccade rules, which was not reached")
    numbers, notes = {}, []
    for rule in DELAYED_RULES:
        end = run.crossing(rule, "early")
        if end is None:
            notes.append(f"{rule} never rose")
        values = run.performance(rule)[max(mature) : end]
        if len(values) < FEWEST_EVALUATIONS:
            raise NotDecidable(
                f"{rule} has {len(values)} evaluations between maturity of the anti-saccades and its rise"
            )
        numbers |= {rule: float(values.mean()), f"{rule}_sd": float(values.std())}
        notes.append(f"{rule}: {len(values)} evaluations")
    return Measurement(numbers, "; ".join(notes))


def _coupling(run):
    run.need_rules(*DELAYED_RULES)
    numbers, ratios = {}, []
    for stage in STAGES:
        at = [run.thousand_trials(run.crossing(rule, stage)) for rule in DELAYED_RULES]
        numbers |= {f"{rule}_{stage}": value for rule, value in zip(DELAYED_RULES, at, strict=True)}
        ratios.append(max(at) / min(at) if min(at) > 0 else np.nan)
    if np.isnan(ratios).any():
        raise NotDecidable("ODR and ODRD did not both go through all stages")
    return Measurement({**numbers, "ratio": max(ratios)})


def _retention(run):
    after = {}
    for rule in _trained(run, ANTI_SACCADE_RULES, 1):
        mature = run.crossing(rule, "mature")
        if mature is None or len(run.performance(rule)) - mature < 3 * FEWEST_EVALUATIONS:
            raise NotDecidable(f"{rule} has fewer than {3 * FEWEST_EVALUATIONS} evaluations after maturity")
        after[rule] = run.performance(rule)[mature:]
    means = {rule: values.mean() for rule, values in after.items()}
    worst = min(means, key=means.get)
    lowest = min(values.min() for values in after.values())
    return Measurement({"worst": float(means[worst]), "lowest": float(lowest)}, f"worst: {worst}")


# ------------------------------------------------------------------------------------------------ activity, selectivity


def _odrd_cue(run):
    stages, cue = run.need_stages("odrd"), slice(*run.epochs("odrd")["stim1"])
    curves = {trial: mean_over_units(psths)[cue] for trial, psths in run.psths("odrd", "stim1").items()}
    numbers = over_stages({trial: curve.max() for trial, curve in curves.items()}, stages)
    for stage, trials in stages.items():
        peak = np.mean([curves[trial] for trial in trials], axis=0).argmax()
        numbers[f"{stage}_ms"] = float(peak * run.hp["dt"])
    return Measurement(numbers, f"largest in {max(STAGES, key=numbers.get)}")


def _growing(rule, epoch, period):
    """Measurement of the mean activity of a rule's units selective in `epoch` over `period`, with its correlation."""

    def growing(run):
        stages = run.need_stages(rule)
        values = run.period_means(rule, epoch, period)
        correlation = rank_correlation(values, run.log, rule)
        note = f"{correlation['n_checkpoints']} checkpoints"
        return Measurement({**over_stages(values, stages), **correlation}, note)

    return growing


def _cue_units_delay2(run):
    if not run.norm:
        raise NotDecidable(f"rates of {run.hp['activation']} units are not divided by their fixation level")
    return Measurement(over_stages(run.period_means("odrd", "stim1", "delay2"), run.need_stages("odrd")))


def _anti_saccade(run):
    numbers, notes, n_rules = {}, [], 0
    for rule in ("overlap", "zero_gap", "gap"):
        try:
            stages = run.need_stages(rule)
        except NotDecidable as reason:
            notes.append(str(reason))
            continue
        means = over_stages(run.period_means(rule, "stim1", SACCADE_PERIOD_MS), stages)
        if not np.isnan(list(means.values())).any():
            numbers |= {f"{rule}_{name}": value for name, value in means.items()}
            n_rules += 1
    if not n_rules:
        raise NotDecidable("; ".join(notes) or "no selective units")
    return Measurement({**numbers, "n_rules": n_rules}, "; ".join(notes))


def tuning_curves(run):
    """{stage: (curve, Gaussian fit or None)} of ODRD's cue-selective units."""
    stages, found = run.need_stages("odrd"), run.units("odrd", "stim1")
    curves = {stage: stage_curve([found[trial]["rates"] for trial in trials]) for stage, trials in stages.items()}
    return {stage: (curve, fit_gaussian(curve)) for stage, curve in curves.items()}


def _tuning_height(run):
    found = run.units("odrd", "stim1")
    curves = {trial: stage_curve([units["rates"]]) for trial, units in found.items()}
    return Measurement(over_stages({trial: np.ptp(c) for trial, c in curves.items()}, run.need_stages("odrd")))


def _tuning_width(run):
    fits = {stage: fit for stage, (_, fit) in tuning_curves(run).items()}
    failed = [stage for stage, fit in fits.items() if fit is None]
    if failed:
        raise NotDecidable(f"no Gaussian fits the tuning in {', '.join(failed)}")
    return Measurement({stage: float(2 * abs(fit[2])) for stage, fit in fits.items()})


def _n_selective(run):
    stages = run.need_stages("odrd")
    counts = {trial: len(found["units"]) for trial, found in run.units("odrd", "stim1").items()}
    return Measurement(over_stages(counts, stages), f"of {run.hp['n_rnn']} units")


def _same_location(run):
    counts = run.shared_units
    shares = {trial: same / shared if shared else np.nan for trial, (shared, same, _) in counts.items()}
    numbers = over_stages(shares, run.need_stages("odr"))
    return Measurement({**numbers, "least": min(numbers[stage] for stage in STAGES)})


# ---------------------------------------------------------------------------------------------- behaviour, population


def _distractor_stage(run):
    performance = {trial: by_distance.mean() for trial, by_distance in run.distractor.items()}
    return Measurement(over_stages(performance, run.few("odrd")))


def distractor_by_stage(run):
    """{stage: (n_distances,) mean performance over checkpoints} in ODRD."""
    return {s: np.mean([run.distractor[trial] for trial in trials], axis=0) for s, trials in run.few("odrd").items()}


def _distractor_distance(run):
    performance = distractor_by_stage(run)["mature"]
    return Measurement({"near": float(performance[0]), "far": float(performance[-1])})


def gap_errors_by_stage(run):
    """{stage: saccade errors in degrees} in the gap task."""
    return {s: np.concatenate([run.gap_errors[trial] for trial in trials]) for s, trials in run.few("gap").items()}


def _saccade(run):
    numbers = over_stages({trial: np.mean(e < CORRECT_WITHIN) for trial, e in run.gap_errors.items()}, run.few("gap"))
    return Measurement(numbers | {f"{stage}_deg": float(np.median(e)) for stage, e in gap_errors_by_stage(run).items()})


def _decoder(run):
    window, stride = run.decoder_steps
    lags = {f"lag{lag}": lag // DECODER_STRIDE_MS for lag in DECODER_LAGS_MS}
    numbers = decoder_numbers(run.decoder_scores, run.epochs("odr"), window, stride, lags)
    return Measurement({**numbers, "chance": 1 / run.hp["n_eachring"]}, f"checkpoint {run.mature_odr}")


def _dpca(run):
    ratio = separation_ratio(run.demixed.components["s"], run.epochs("odr"))
    return Measurement({"ratio": ratio}, f"checkpoint {run.mature_odr}")


MEASURES = {
    "order": _order,
    "synchrony": _synchrony,
    "plateau": _plateau,
    "coupling": _coupling,
    "retention": _retention,
    "odrd_cue": _odrd_cue,
    "odr_delay": _growing("odr", "delay1", "delay1"),
    "odrd_delay2": _growing("odrd", "delay2", "delay2"),
    "odrd_cue_units_delay2": _cue_units_delay2,
    "anti_saccade": _anti_saccade,
    "tuning_height": _tuning_height,
    "tuning_width": _tuning_width,
    "n_selective": _n_selective,
    "same_location": _same_location,
    "distractor_stage": _distractor_stage,
    "distractor_distance": _distractor_distance,
    "saccade": _saccade,
    "decoder_before": _decoder,
    "decoder_delay": _decoder,
    "decoder_dynamic": _decoder,
    "dpca": _dpca,
}
