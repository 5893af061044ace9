"""Activity of selective units against time (peri-stimulus time histograms) and its growth over training."""

import warnings

import numpy as np
import pandas as pd
from scipy.stats import ttest_ind_from_stats

from rnn_maturation import figures
from rnn_maturation.analysis.activity import location_means
from rnn_maturation.analysis.conditions import check_epochs, epoch_steps, task_info
from rnn_maturation.analysis.parallel import in_order
from rnn_maturation.analysis.selectivity import (
    DEFAULT_TYPES,
    check_types,
    complete_neuron_info,
    load_neuron_info,
    select_units,
    warn_of_zero_fixation,
)
from rnn_maturation.files import atomic_write
from rnn_maturation.model_directory import figure_dir
from rnn_maturation.stages import (
    flat_trials,
    mean_performance,
    present_stages,
    present_trials,
    range_name,
    stage_by_trial,
)
from rnn_maturation.task import rule_name


def gen_PSTH_log(hp, trial_list, model_dir, rule, seltive_epoch, n_types=DEFAULT_TYPES, norm=True, oppo_sel_dir=False):
    """Activity against time of each selective unit at its preferred location, for every checkpoint.

    Missing neuron_info is computed with the defaults of `generate_neuron_info`, activity without H file is computed
    and not kept.

    Parameters
    ----------
    hp : dict
    trial_list : range, list, tuple, array or stage dict
    model_dir : str
    rule : str
    seltive_epoch : str
        Epoch in which the units are selective, and prefer a location.
    n_types : tuple of str
        Types of units, see `generate_neuron_info`; a unit of several types counts once.
    norm : bool
        Divide by the mean fix1 activity at that location and subtract 1.
    oppo_sel_dir : bool
        Take the location opposite to the preferred one; in an odd ring the mean of the two that are nearest to it,
        with the fixation level of the first.

    Returns
    -------
    {trial number: (n_units, n_time) array}
        Units ascending; (0, n_time) where a checkpoint has no such units; nan where the fixation level is zero.

    Raises
    ------
    ValueError
        An unknown rule, epoch or type of units, or a damaged file; names it.
    FileNotFoundError
        None of the checkpoints is on disk. Some missing: one warning.
    """
    trials = present_trials(model_dir, flat_trials(trial_list, rule), rule)
    psth_log = _psths(hp, trials, model_dir, rule, seltive_epoch, n_types, norm, oppo_sel_dir)
    warn_of_zero_fixation(sum(int(np.isnan(psths).all(axis=1).sum()) for psths in psth_log.values()))
    return psth_log


def _psths(hp, trials, model_dir, rule, epoch, n_types, norm, opposite):
    """What `gen_PSTH_log` returns, without its warning."""
    check_types(n_types)
    info = task_info(hp, model_dir, rule)
    check_epochs(info, rule, epoch)
    fixation = epoch_steps(info, rule, "fix1")
    complete_neuron_info(hp, model_dir, trials, rule, epoch)

    def of_checkpoint(trial_num):
        neuron_info = load_neuron_info(model_dir, trial_num, rule, epoch)
        units, preferred = select_units(neuron_info, n_types)
        means = location_means(hp, model_dir, trial_num, rule)
        return unit_psths(means, units, preferred, fixation, norm, opposite)

    return dict(zip(trials, in_order(of_checkpoint, trials, f"PSTH {rule} {epoch}"), strict=True))


def unit_psths(means, units, preferred, fixation, norm=True, opposite=False):
    """Activity against time of units at their preferred location, or opposite to it.

    Parameters
    ----------
    means : (n_locations, n_time, n_all_units) array
        Location means.
    units, preferred : (n_units,) int arrays
        Units and the index of their preferred location.
    fixation : slice
        Steps of the fixation period.
    norm, opposite : bool
        As in `gen_PSTH_log`.

    Returns
    -------
    (n_units, n_time) array
    """
    n_locations = len(means)
    locations = (preferred + n_locations // 2) % n_locations if opposite else preferred
    psths = means[locations, :, units]
    levels = psths[:, fixation].mean(axis=1, keepdims=True)
    if opposite and n_locations % 2:
        psths = (psths + means[(locations + 1) % n_locations, :, units]) / 2
    if not norm:
        return psths
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(levels == 0, np.nan, psths / levels - 1)


def mean_over_units(psths):
    """Mean over the units that are not nan: (n_time,), nan when there are none."""
    kept = psths[~np.isnan(psths).any(axis=1)]
    return kept.mean(axis=0) if len(kept) else np.full(psths.shape[1], np.nan)


def stage_means(psth_log, trials):
    """Mean over units at each checkpoint, then over the checkpoints that have units: (n_time,)."""
    curves = np.stack([mean_over_units(psth_log[trial]) for trial in trials])
    return mean_over_units(curves)


# ---------------------------------------------------------------------------------------------------- public analyses


def plot_PSTH(
    hp, log, model_dir, rule, epoch, trial_list, n_types=DEFAULT_TYPES, plot_oppo_dir=False, norm=True, PSTH_log=None
):
    """Mean activity of selective units against time in each stage of maturation (Fig. 4E-G).

    Parameters
    ----------
    hp, log : dict
    model_dir, rule, epoch : str
        The epoch is that in which the units are selective.
    trial_list : range, list, tuple, array or stage dict
    n_types, norm
        As in `gen_PSTH_log`.
    plot_oppo_dir : bool
        Show the activity opposite to the preferred location too.
    PSTH_log : dict, optional
        What `gen_PSTH_log` gave for these checkpoints; not changed.

    Returns
    -------
    {stage: {'PSTH': (n_time,), 'PSTH_oppo': (n_time,) if asked for, 'growth': mean performance, 'n_num': mean number
    of units}}
        Stages without checkpoints are absent; those without units are nan, with a warning.

    Raises
    ------
    ValueError
        An unknown rule, epoch or type of units, or a damaged file; names it.
    FileNotFoundError
        None of the checkpoints is on disk. Some missing: one warning.
    """
    stages = present_stages(hp, log, model_dir, rule, trial_list)
    preferred, opposite = _psth_logs(hp, stages, model_dir, rule, epoch, n_types, norm, plot_oppo_dir, PSTH_log)
    results = _stage_psths(log, rule, stages, preferred, opposite)
    span, step = range_name(trial_list, rule)
    title = f"{rule_name[rule]}, units selective in {epoch}"
    figure = figures.psth(results, task_info(hp, model_dir, rule)["epoch_info"], hp["dt"], norm, title)
    folder = figure_dir(model_dir, rule, epoch) / "_".join(check_types(n_types))
    figures.save_figure(figure, folder / f"{rule}_{epoch}_{span}_step_{step}_PSTH")
    return results


def plot_PSTH_neuron_selected(
    hp,
    log,
    model_dir,
    rule,
    epoch,
    trial_list,
    selected_n_list=None,
    n_types_selected=DEFAULT_TYPES,
    n_types_intersection_limit=("selective_neurons",),
    plot_oppo_dir=False,
    norm=True,
    PSTH_log=None,
):
    """As `plot_PSTH`, for the same units at all checkpoints.

    Parameters
    ----------
    selected_n_list : list of int, optional
        Units to choose from; default: those of `n_types_selected` in the last checkpoint.
    n_types_intersection_limit : tuple of str
        The chosen units are of these types in every checkpoint.

    Returns
    -------
    As `plot_PSTH`. The units are listed in a text file beside the figure.

    Raises
    ------
    ValueError
        An unknown rule, epoch or type of units, or a damaged file; names it.
    FileNotFoundError
        None of the checkpoints is on disk. Some missing: one warning.
    """
    stages = present_stages(hp, log, model_dir, rule, trial_list)
    trials = list(stage_by_trial(stages))
    check_epochs(task_info(hp, model_dir, rule), rule, epoch)
    complete_neuron_info(hp, model_dir, trials, rule, epoch)
    infos = {t: load_neuron_info(model_dir, t, rule, epoch) for t in trials}
    chosen = select_units(infos[trials[-1]], n_types_selected)[0] if selected_n_list is None else selected_n_list
    limits = [select_units(infos[trial], n_types_intersection_limit)[0] for trial in trials]
    chosen = sorted({int(unit) for unit in chosen}.intersection(*(set(units.tolist()) for units in limits)))
    logs = _psth_logs(hp, stages, model_dir, rule, epoch, n_types_intersection_limit, norm, plot_oppo_dir, PSTH_log)
    kept = {trial: np.isin(units, chosen) for trial, units in zip(trials, limits, strict=True)}
    if any(len(logs[0][trial]) != len(keep) for trial, keep in kept.items()):
        raise ValueError(f"PSTH_log is not of the units of types {n_types_intersection_limit}: leave it out.")
    preferred, opposite = ({t: psths[t][keep] for t, keep in kept.items()} if psths else None for psths in logs)
    results = _stage_psths(log, rule, stages, preferred, opposite)
    span, step = range_name(trial_list, rule)
    title = f"{rule_name[rule]}, {len(chosen)} units selective in {epoch} at every checkpoint"
    figure = figures.psth(results, task_info(hp, model_dir, rule)["epoch_info"], hp["dt"], norm, title)
    stem = f"{rule}_{epoch}_{span}_step_{step}"
    folder = figure_dir(model_dir, rule, epoch)
    figures.save_figure(figure, folder / f"{stem}neuron_selected_PSTH")
    with atomic_write(folder / f"{stem}selected_neurons.txt") as temporary:
        temporary.write_text("\n".join(map(str, chosen)) + "\n")
    return results


def _psth_logs(hp, stages, model_dir, rule, epoch, n_types, norm, with_opposite, psth_log):
    """PSTH logs of the preferred and, if asked for, of the opposite direction."""
    trials = list(stage_by_trial(stages))
    arguments = hp, trials, model_dir, rule, epoch, n_types, norm
    preferred = checked_log(psth_log, trials) if psth_log is not None else gen_PSTH_log(*arguments)
    return preferred, _psths(*arguments, opposite=True) if with_opposite else None


def checked_log(psth_log, trials):
    """The part of a PSTH log that belongs to some checkpoints; ValueError when it lacks one."""
    missing = [trial for trial in trials if trial not in psth_log]
    if missing:
        raise ValueError(f"PSTH_log lacks trial numbers {missing[:5]}: make it with gen_PSTH_log for this trial_list.")
    return {trial: np.asarray(psth_log[trial]) for trial in trials}


def _stage_psths(log, rule, stages, preferred, opposite):
    results = {}
    for stage, trials in stages.items():
        result = {"PSTH": stage_means(preferred, trials)}
        if opposite:
            result["PSTH_oppo"] = stage_means(opposite, trials)
        result["growth"] = mean_performance(log, rule, trials)
        result["n_num"] = float(np.mean([len(preferred[trial]) for trial in trials]))
        results[stage] = result
    empty = [stage for stage, result in results.items() if not result["n_num"]]
    if empty:
        warnings.warn(f"{rule}: no unit of these types in stage {', '.join(empty)}; its curve is nan.", stacklevel=3)
    return results


def plot_epoch_mean_growth(
    hp,
    log,
    trial_list,
    model_dir,
    rule,
    seltive_epoch,
    analy_epoch,
    n_types=DEFAULT_TYPES,
    norm=True,
    PSTH_log=None,
):
    """Mean activity of selective units in an epoch, checkpoint by checkpoint (Fig. S2B).

    Parameters
    ----------
    hp, log : dict
    trial_list : range, list, tuple, array or stage dict
    model_dir, rule : str
    seltive_epoch, analy_epoch : str
        In which the units are selective, and in which their activity is averaged.
    n_types, norm
        As in `gen_PSTH_log`.
    PSTH_log : dict, optional
        What `gen_PSTH_log` gave for these checkpoints.

    Returns
    -------
    pandas.DataFrame
        trial, mean_activity (nan without units or checkpoint), stage (None without checkpoint).

    Raises
    ------
    ValueError
        An unknown rule, epoch or type of units, or a damaged file; names it.
    FileNotFoundError
        None of the checkpoints is on disk. Some missing: one warning.
    """
    stages, unit_means = epoch_unit_means(
        hp, log, trial_list, model_dir, rule, seltive_epoch, analy_epoch, n_types, norm, PSTH_log
    )
    stage_of = stage_by_trial(stages)
    means = {trial: means.mean() if len(means) else np.nan for trial, means in unit_means.items()}
    trials = flat_trials(trial_list, rule)
    rows = [(trial, means.get(trial, np.nan), stage_of.get(trial)) for trial in trials]
    table = pd.DataFrame(rows, columns=["trial", "mean_activity", "stage"])
    title = f"{rule_name[rule]}, units selective in {seltive_epoch}: activity in {analy_epoch}"
    figure = figures.epoch_mean_growth(table["trial"], table["mean_activity"], list(table["stage"]), norm, title)
    folder = figure_dir(model_dir, rule, seltive_epoch)
    figures.save_figure(figure, folder / f"{analy_epoch}_epoch_mean_growth")
    return table


def plot_period_ttest_heatmap(
    hp,
    log,
    trial_list,
    model_dir,
    rule,
    seltive_epoch,
    analy_epoch,
    n_types=DEFAULT_TYPES,
    norm=True,
    PSTH_log=None,
):
    """Compare the activity in an epoch between every two checkpoints by independent t-tests.

    Parameters as in `plot_epoch_mean_growth`.

    Returns
    -------
    pandas.DataFrame
        p-values, trial numbers x trial numbers; nan without units or checkpoint.

    Raises
    ------
    ValueError
        An unknown rule, epoch or type of units, or a damaged file; names it.
    FileNotFoundError
        None of the checkpoints is on disk. Some missing: one warning.
    """
    _, unit_means = epoch_unit_means(
        hp, log, trial_list, model_dir, rule, seltive_epoch, analy_epoch, n_types, norm, PSTH_log
    )
    trials = flat_trials(trial_list, rule)
    present = list(unit_means)
    p = pd.DataFrame(pairwise_ttest([unit_means[trial] for trial in present]), present, present)
    p = p.reindex(index=trials, columns=trials)
    title = f"{rule_name[rule]}, units selective in {seltive_epoch}: activity in {analy_epoch}"
    folder = figure_dir(model_dir, rule, seltive_epoch)
    figure = figures.p_heatmap(p, trials, title)
    figures.save_figure(figure, folder / f"rule_{rule}_sel_{seltive_epoch}_analy_{analy_epoch}_heatmap")
    return p


def epoch_unit_means(hp, log, trial_list, model_dir, rule, seltive_epoch, window, n_types, norm, psth_log):
    """Stages of the checkpoints on disk, and each unit's mean activity in an epoch or window at each of them.

    Returns
    -------
    stages : {stage: trial numbers}
    unit_means : {trial number: (n_units,) array}
        Without units that are nan.
    """
    steps = window_steps(hp, task_info(hp, model_dir, rule), rule, window)
    stages = present_stages(hp, log, model_dir, rule, trial_list)
    preferred, _ = _psth_logs(hp, stages, model_dir, rule, seltive_epoch, n_types, norm, False, psth_log)
    means = {trial: psths[:, steps].mean(axis=1) for trial, psths in preferred.items()}
    return stages, {trial: values[~np.isnan(values)] for trial, values in means.items()}


def window_steps(hp, info, rule, window):
    """Steps of an epoch, or of a (start, end) window in ms, as a slice."""
    if isinstance(window, str):
        return epoch_steps(info, rule, window)
    try:
        start, end = (int(ms / hp["dt"]) for ms in window)
    except (TypeError, ValueError) as error:
        raise ValueError(f"A window is the name of an epoch or (start, end) in ms, not {window!r}.") from error
    last = max(step for steps in info["epoch_info"].values() for step in steps if step is not None)
    if not 0 <= start < end or start >= last:
        raise ValueError(
            f"Window {window!r} ms is empty or outside the trials of {rule} ({last * hp['dt']} ms and go)."
        )
    return slice(start, end)


def pairwise_ttest(samples):
    """p-values of independent two-sided t-tests between every two samples: (n, n), nan where one is empty.

    The same as scipy.stats.ttest_ind of each pair.
    """
    n = np.array([len(sample) for sample in samples])
    mean = np.array([sample.mean() if len(sample) else np.nan for sample in samples], dtype=float)
    deviation = np.array([sample.std(ddof=1) if len(sample) > 1 else 0 for sample in samples], dtype=float)
    with np.errstate(divide="ignore", invalid="ignore"):
        return ttest_ind_from_stats(mean[:, None], deviation[:, None], n[:, None], mean, deviation, n).pvalue
