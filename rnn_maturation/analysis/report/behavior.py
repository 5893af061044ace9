"""Findings about distractors and saccades."""

import numpy as np

from rnn_maturation.analysis.behavior import CORRECT_BELOW_DEG
from rnn_maturation.analysis.report.data import over_stages
from rnn_maturation.analysis.report.finding import ERRORS, GROWS, THREE, Group, Measurement, grows, of_stages
from rnn_maturation.stages import STAGES

BEHAVIOR = Group("Behavior")


@BEHAVIOR.finding(
    claim="A distractor disturbs less with maturation",
    shown=THREE + ERRORS,
    criterion=f"performance over all distances: {GROWS}",
    reason="The stages are defined by performance with distractors at random distances, so this finding is almost "
    "implied by the definition.",
    needs=STAGES,
    holds=grows,
)
def distractor_stage(run):
    """Measure performance in ODR+d, averaged over all distances between distractor and cue."""
    performance = {trial: by_distance.mean() for trial, by_distance in run.distractor.items()}
    return Measurement(over_stages(performance, run.few("odrd")))


def distractor_by_stage(run):
    """Return {stage: (n_distances,) mean performance over checkpoints} in ODR+d."""
    return {s: np.mean([run.distractor[trial] for trial in trials], axis=0) for s, trials in run.few("odrd").items()}


@BEHAVIOR.finding(
    claim="A distractor farther from the cue disturbs less",
    shown="mature: {near:.2f} at 0° to {far:.2f} at 180°",
    published={"near": 0.59, "far": 0.85},
    criterion="mature performance at 180° exceeds that at 0° by at least .05",
    reason="The published difference is .26. With 8 pairs of locations and 16 trials each at four "
    "checkpoints, a difference has a standard deviation of .03.",
    needs=("near", "far"),
    holds=lambda numbers: numbers["far"] - numbers["near"] >= 0.05,
)
def distractor_distance(run):
    """Measure mature performance with the distractor at the location of the cue, and opposite to it."""
    performance = distractor_by_stage(run)["mature"]
    return Measurement({"near": float(performance[0]), "far": float(performance[-1])})


def gap_errors_by_stage(run):
    """Return {stage: saccade errors in degrees} in the gap task."""
    return {s: np.concatenate([run.gap_errors[trial] for trial in trials]) for s, trials in run.few("gap").items()}


@BEHAVIOR.finding(
    claim="Saccades of the gap task land closer to the target",
    shown=THREE
    + f" within {CORRECT_BELOW_DEG:g}°"
    + ERRORS
    + "; median error {early_deg:.0f}° / {mid_deg:.0f}° / {mature_deg:.0f}°",
    published=of_stages(0.24, 0.54, 0.95),
    criterion=f"share of saccades within {CORRECT_BELOW_DEG:g}° of the target: {GROWS}",
    reason="Performance is this share among the trials with a saccade, so this finding is almost implied by the "
    "definition of the stages.",
    needs=STAGES,
    holds=grows,
)
def saccade(run):
    """Measure the share of saccades within 36° of the target in the gap task, and the median error in degrees."""
    shares = {trial: np.mean(errors < CORRECT_BELOW_DEG) for trial, errors in run.gap_errors.items()}
    medians = {f"{stage}_deg": float(np.median(errors)) for stage, errors in gap_errors_by_stage(run).items()}
    return Measurement(over_stages(shares, run.few("gap")) | medians)
