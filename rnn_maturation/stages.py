"""Find the checkpoints of a run that are early, mid or mature, from its performance and from what is on disk."""

import warnings
from collections.abc import Mapping

import numpy as np

from rnn_maturation.checks import check_whole_number, quoted
from rnn_maturation.hyperparameters import STAGE_LEVELS
from rnn_maturation.model_directory import activity_file, checkpoint_trials

STAGES = tuple(STAGE_LEVELS)
GROWTH_WINDOW = 5  # window of `smooth`, in evaluations, for growth curves and the numbers computed from them
STAGE_WINDOW = 9  # the same for choosing the checkpoints of each stage
STAGE_MARGIN = 0.05  # largest difference between performance and the level of a stage
MAX_STAGE_CHECKPOINTS = 30  # maximum number of checkpoints per rule and stage


def smooth(ori_array, smooth_window):
    """Return the forward moving mean of a curve.

    Value i is the mean of the values i … i + smooth_window, both included, as published. At the end of the curve the
    window is shorter.

    Parameters
    ----------
    ori_array : (n,) array_like
    smooth_window : int

    Returns
    -------
    (n,) float64 array

    Raises
    ------
    ValueError
        If the curve is not one-dimensional or the window is not a whole number of at least 0.
    """
    curve = np.asarray(ori_array, dtype=float)
    window = check_whole_number("smooth_window", smooth_window, at_least=0)
    if curve.ndim != 1:
        raise ValueError(f"smooth takes a curve of one dimension, not an array of shape {curve.shape}.")
    return np.array([curve[i : i + window + 1].mean() for i in range(len(curve))])


def range_auto_select(
    hp,
    log,
    growth_curve,
    avr_window=STAGE_WINDOW,
    perf_margin=STAGE_MARGIN,
    max_trial_num_limit=MAX_STAGE_CHECKPOINTS,
):
    """Choose the checkpoints of each stage of maturation from a rule's performance.

    A point of the smoothed curve belongs to early or mid if it is within `perf_margin` of early_target_perf or
    mid_target_perf, and to mature if it is at most `perf_margin` below mature_target_perf, or above it. The stage gets
    all checkpoints over which this point was averaged. If a stage has too many checkpoints, the last ones of early, the
    middle ones of mid and the first ones of mature are kept, so that the stages are close to each other.

    Parameters
    ----------
    hp : dict
        Hyper-parameters with early_target_perf, mid_target_perf and mature_target_perf.
    log : dict
        Log with 'trials'.
    growth_curve : (number of evaluations,) array_like
        A rule's raw performance, log['perf_<rule>'].
    avr_window : int
        Window of `smooth`, in evaluations.
    perf_margin : float
        Largest difference between the smoothed performance and the target of the stage.
    max_trial_num_limit : int
        Maximum number of checkpoints per stage. The stage mid keeps one more if the number of its surplus checkpoints
        is odd.

    Returns
    -------
    dict
        ``{'early': [...], 'mid': [...], 'mature': [...]}``, trial numbers in order. A checkpoint can be in two stages.

    Raises
    ------
    ValueError
        If the curve and log['trials'] differ in length, or the window or the limit is not allowed.
    """
    limit = check_whole_number("max_trial_num_limit", max_trial_num_limit)
    trials = log["trials"]
    if len(growth_curve) != len(trials):
        raise ValueError(
            f"growth_curve has {len(growth_curve)} values, but log['trials'] has {len(trials)}. "
            "Give log['perf_<rule>']."
        )
    chosen = {stage: set() for stage in STAGES}
    for i, perf in enumerate(smooth(growth_curve, avr_window)):
        for stage, positions in chosen.items():
            target = hp[f"{stage}_target_perf"]
            if target - perf_margin <= perf and (stage == "mature" or perf <= target + perf_margin):
                positions.update(range(i, min(i + avr_window + 1, len(trials))))
                break  # where margins overlap, the earlier stage has it
    ranges = {}
    for stage, positions in chosen.items():
        excess = max(len(positions) - limit, 0)
        first, last = {"early": (excess, 0), "mid": (excess // 2, excess // 2), "mature": (0, excess)}[stage]
        ranges[stage] = [int(trials[i]) for i in sorted(positions)[first : len(positions) - last]]
    return ranges


def first_reaching(performance, level, window=GROWTH_WINDOW):
    """Return the first position at which smoothed performance reaches a level.

    Parameters
    ----------
    performance : (n_evaluations,) array_like
    level : float
    window : int
        Window of `smooth`, in evaluations.

    Returns
    -------
    int or None
        Index of an evaluation; None if the level is never reached.
    """
    reached = np.flatnonzero(smooth(performance, window) >= level)
    return int(reached[0]) if len(reached) else None


def stage_of(perf, hp):
    """Return the stage of a performance.

    It is 'mature' above mid_target_perf, 'mid' above early_target_perf, and otherwise 'early'.
    """
    if perf > hp["mid_target_perf"]:
        return "mature"
    return "mid" if perf > hp["early_target_perf"] else "early"


def performance_at(log, rule, trial_num):
    """Return the logged performance of a rule at a checkpoint.

    Parameters
    ----------
    log : dict
    rule : str
    trial_num : int

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If the log does not have the rule or the trial number.
    """
    if "perf_" + rule not in log:
        known = ", ".join(key for key in log if key.startswith("perf_"))
        remedy = f"It has {known}. Choose a rule of this run." if known else "Check the order of the arguments."
        raise ValueError(f"The log has no performance of rule {rule!r}. {remedy}")
    trials = list(log["trials"])
    if trial_num not in trials:
        nearest = min(trials, key=lambda trial: abs(trial - trial_num), default=None)
        remedy = "The log is empty" if nearest is None else f"The nearest is {nearest}"
        raise ValueError(f"The log has no evaluation at trial number {quoted(trial_num)}. {remedy}.")
    return log["perf_" + rule][trials.index(trial_num)]


def flat_trials(trial_list, rule):
    """Return the trial numbers of a trial list, each once, in order.

    Parameters
    ----------
    trial_list : range, list, tuple, array, or dict
        Trial numbers, or ``{rule: {stage: trial numbers}}`` as print_basic_info gives it.
    rule : str
        The rule whose stages are taken from a dict.

    Returns
    -------
    list of int

    Raises
    ------
    ValueError
        If it is none of these, or the dict does not have the rule.
    """
    if isinstance(trial_list, Mapping):
        return sorted({trial for trials in _stages_of_rule(trial_list, rule).values() for trial in trials})
    return _trial_numbers(trial_list)


def trials_by_stage(trial_list, hp, log, rule):
    """Return the trial numbers of each stage of maturation.

    The trial numbers of a list are assigned to stages by their logged performance (`stage_of`). In a dict the stages
    are given; a trial number that is in several of them is kept only in the last one.

    Parameters
    ----------
    trial_list : range, list, tuple, array, or dict
        As for `flat_trials`.
    hp, log : dict
    rule : str

    Returns
    -------
    dict
        ``{stage: [trial numbers]}`` in the order early, mid, mature, trial numbers in order. A stage without
        checkpoints is absent.

    Raises
    ------
    ValueError
        As for `flat_trials`, or if the log lacks a trial number or the rule.
    """
    if isinstance(trial_list, Mapping):
        given = _stages_of_rule(trial_list, rule)
        stage_by_trial = {trial: stage for stage in STAGES for trial in given[stage]}
    else:
        stage_by_trial = {t: stage_of(performance_at(log, rule, t), hp) for t in _trial_numbers(trial_list)}
    stages = {stage: sorted(t for t, its in stage_by_trial.items() if its == stage) for stage in STAGES}
    return {stage: trials for stage, trials in stages.items() if trials}


def present_trials(model_dir, trials, rule):
    """Return the trial numbers whose activity is on disk or can be computed; a warning names the others.

    Parameters
    ----------
    model_dir : str
    trials : list of int
    rule : str

    Returns
    -------
    list of int

    Raises
    ------
    FileNotFoundError
        If there is no such trial number.
    """
    on_disk = set(checkpoint_trials(model_dir))
    present = [t for t in trials if t in on_disk or activity_file(model_dir, t, rule).exists()]
    missing = [str(t) for t in trials if t not in set(present)]
    if not present:
        raise FileNotFoundError(
            f"{model_dir} has no checkpoint at any of the given trial numbers ({_shortened(missing) or 'none'}). "
            f"On disk: {_shortened([str(t) for t in sorted(on_disk)]) or 'none'}."
        )
    if missing:
        warnings.warn(
            f"The analysis leaves out trial numbers that have no checkpoint in {model_dir}: {_shortened(missing)}.",
            stacklevel=3,
        )
    return present


def _shortened(names, limit=8):
    return ", ".join(names[:limit]) + (f" and {len(names) - limit} more" if len(names) > limit else "")


def present_stages(hp, log, model_dir, rule, trial_list):
    """Return the checkpoints of a trial list that are on disk, by stage of maturation.

    Parameters
    ----------
    hp, log : dict
    model_dir, rule : str
    trial_list : range, list, tuple, array, or dict
        As for `flat_trials`.

    Returns
    -------
    dict
        ``{stage: trial numbers}``; a stage without checkpoints is absent.

    Raises
    ------
    ValueError
        As for `trials_by_stage`.
    FileNotFoundError
        If none of the checkpoints is on disk.
    """
    present = present_trials(model_dir, flat_trials(trial_list, rule), rule)
    if not isinstance(trial_list, Mapping):
        return trials_by_stage(present, hp, log, rule)
    kept = {stage: [t for t in trials if t in present] for stage, trials in trial_list[rule].items()}
    return trials_by_stage({rule: kept}, hp, log, rule)


def stage_by_trial(stages):
    """Return ``{trial number: stage}`` of ``{stage: trial numbers}``, in the order of trial numbers."""
    return dict(sorted((trial, stage) for stage in STAGES for trial in stages.get(stage, ())))


def performance_of(log, rule, trials):
    """Return ``{trial number: logged performance}`` of some checkpoints; see `performance_at`."""
    return {trial: performance_at(log, rule, trial) for trial in trials}


def mean_performance(log, rule, trials):
    """Return the mean logged performance of some checkpoints; see `performance_at`."""
    return float(np.mean([performance_at(log, rule, trial) for trial in trials]))


def range_name(trial_list, rule):
    """Return the parts of file names that describe a trial list.

    Parameters
    ----------
    trial_list : range, list, tuple, array, or dict
        As for `flat_trials`.
    rule : str

    Returns
    -------
    span : str
        '(first, last)', or 'auto_choose' for a stage dict.
    step : int or None
        Difference of the first two trial numbers; None for a stage dict or a single trial number.
    """
    if isinstance(trial_list, Mapping):
        return "auto_choose", None
    trials = flat_trials(trial_list, rule)
    return f"({trials[0]}, {trials[-1]})", trials[1] - trials[0] if len(trials) > 1 else None


def kept_to_disk(ranges, model_dir):
    """Return ``{rule: {stage: trial numbers}}`` with only the trial numbers that have a checkpoint on disk."""
    on_disk = set(checkpoint_trials(model_dir))
    return {r: {s: [t for t in trials if t in on_disk] for s, trials in stages.items()} for r, stages in ranges.items()}


def evenly_thinned(trials, number):
    """Return at most `number` of the given trial numbers, evenly spread by position and with the last one.

    Parameters
    ----------
    trials : sequence of int
        Trial numbers, in order.
    number : int
        Maximum number, at least 1. If it is 2 or more, the first trial number is kept too.

    Returns
    -------
    list of int

    Raises
    ------
    ValueError
        If `number` is not a whole number of at least 1.
    """
    most = min(check_whole_number("number", number), len(trials))
    return [trials[i] for i in np.unique(np.linspace(len(trials) - 1, 0, most).astype(int))]


def spread_over(ranges, number):
    """Return ``{rule: {stage: trial numbers}}`` with each list thinned by `evenly_thinned`."""
    return {r: {s: evenly_thinned(trials, number) for s, trials in stages.items()} for r, stages in ranges.items()}


def nearest_to_target(hp, log, rule, stages):
    """Return the checkpoint of each stage whose performance is nearest to the stage's target.

    Parameters
    ----------
    hp : dict
        Has early_target_perf, mid_target_perf and mature_target_perf.
    log : dict
    rule : str
    stages : dict
        ``{stage: trial numbers}``.

    Returns
    -------
    dict
        ``{stage: trial number}``; a stage without trial numbers is absent.
    """

    def distance(trial, stage):
        return abs(performance_at(log, rule, trial) - hp[f"{stage}_target_perf"])

    return {s: min(trials, key=lambda trial, s=s: distance(trial, s)) for s, trials in stages.items() if trials}


def _stages_of_rule(stage_dict, rule):
    if rule not in stage_dict:
        raise ValueError(f"trial_list has no stages of rule {rule!r}. It has {_shortened(list(map(str, stage_dict)))}.")
    stages = stage_dict[rule]
    if not isinstance(stages, Mapping) or not set(stages) <= set(STAGES):
        raise ValueError(
            f"trial_list[{rule!r}] must be a dict of the stages {', '.join(STAGES)}, not {quoted(stages)}."
        )
    return {stage: _trial_numbers(stages.get(stage, ())) for stage in STAGES}


def _trial_numbers(trials):
    values = trials if isinstance(trials, range | list | tuple | np.ndarray) else None
    if values is None or np.ndim(values) != 1:
        raise ValueError(f"trial_list must be a range, list, tuple, array or stage dict, not {quoted(trials)}.")
    return sorted({check_whole_number("a trial number", trial, at_least=0) for trial in values})
