"""Trial lists of the analyses: what of them is on disk, in which stage it is, and what figures call it."""

import numpy as np

from rnn_maturation.analysis.activity import present_trials
from rnn_maturation.maturation import STAGES, flat_trials, performance_at, trials_by_stage
from rnn_maturation.model_directory import checkpoint_trials


def present_stages(hp, log, model_dir, rule, trial_list):
    """The checkpoints of a trial list that are on disk, by stage of maturation.

    Returns
    -------
    {stage: trial numbers}
        A stage without checkpoints is absent.
    """
    present = present_trials(model_dir, flat_trials(trial_list, rule), rule)
    if not isinstance(trial_list, dict):
        return trials_by_stage(present, hp, log, rule)
    kept = {stage: [t for t in trials if t in present] for stage, trials in trial_list[rule].items()}
    return trials_by_stage({rule: kept}, hp, log, rule)


def stage_by_trial(stages):
    """{trial number: stage}, in the order of trial numbers."""
    return dict(sorted((trial, stage) for stage in STAGES for trial in stages.get(stage, ())))


def mean_performance(log, rule, trials):
    """Mean logged performance of some checkpoints."""
    return float(np.mean([performance_at(log, rule, trial) for trial in trials]))


def range_name(trial_list, rule):
    """What file names call a trial list: '(first, last)' and the step, or 'auto_choose' and None for a stage dict."""
    if isinstance(trial_list, dict):
        return "auto_choose", None
    trials = flat_trials(trial_list, rule)
    return f"({trials[0]}, {trials[-1]})", trials[1] - trials[0] if len(trials) > 1 else None


# --------------------------------------------------------------------------------- choosing checkpoints in scripts


def kept_to_disk(ranges, model_dir):
    """Those trial numbers of {rule: {stage: trial numbers}} that have a checkpoint on disk."""
    on_disk = set(checkpoint_trials(model_dir))
    return {r: {s: [t for t in trials if t in on_disk] for s, trials in stages.items()} for r, stages in ranges.items()}


def spread_over(ranges, number):
    """At most `number` trial numbers of each rule and stage, evenly spread, the last one among them."""
    return {r: {s: _spread(trials, number) for s, trials in stages.items()} for r, stages in ranges.items()}


def _spread(trials, number):
    return [trials[i] for i in np.unique(np.linspace(len(trials) - 1, 0, min(number, len(trials))).astype(int))]


def nearest_to_target(hp, log, rule, stages):
    """{stage: the trial number whose performance is nearest to the stage's target}, of {stage: trial numbers}."""

    def distance(trial, stage):
        return abs(performance_at(log, rule, trial) - hp[f"{stage}_target_perf"])

    return {s: min(trials, key=lambda trial, s=s: distance(trial, s)) for s, trials in stages.items() if trials}
