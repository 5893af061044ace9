"""Analyze runs as the table of variants says, with many checkpoints in parallel."""

import contextlib
import io

from tqdm import tqdm

from rnn_maturation import analysis
from rnn_maturation.cpu import use_cores
from rnn_maturation.model_directory import load_hp, load_log
from rnn_maturation.stages import flat_trials
from rnn_maturation.sweep.cluster import Batch, connect
from rnn_maturation.sweep.delays import analyze_delay

MAX_CHECKPOINTS = 30  # maximum number of checkpoints per rule and stage
SOME_CHECKPOINTS = 10  # the same for saccades
FEW_CHECKPOINTS = 5  # the same for distractors, which take seconds per checkpoint


def analyze_checkpoints(
    model_dir, units, trial_list, norm=True, keep_activity=False, recompute=False, jobs=None, scheduler=None
):
    """Run `compute_H` (with `keep_activity`) and `generate_neuron_info` at many checkpoints, if wanted in parallel.

    In parallel, one piece of work is all rules of one checkpoint. The files are the same, bit for bit, wherever they
    are computed.

    Parameters
    ----------
    model_dir : str
    units : {rule: epochs}
        For each rule, the epochs in which units are classified.
    trial_list : range, list, tuple, array or stage dict
        Trial numbers of checkpoints; in a stage dict ``{rule: {stage: trial numbers}}`` each rule has its own.
    norm, recompute : bool
        As for `generate_neuron_info`.
    keep_activity : bool
        Whether to save the activity of all units, too, in files H_<rule>.pkl.
    jobs : int, optional
        Number of parallel processes, with one core each. By default this process does the work, on all its cores.
    scheduler : str, optional
        Address of a Dask scheduler whose workers do the work. They must see the same folders.

    Raises
    ------
    ValueError, FileNotFoundError
        As for `generate_neuron_info`. Files that were written before the error are complete and are kept.
    OSError
        If processes or the connection to the scheduler are lost.
    """
    hp = load_hp(model_dir)
    analysis.gen_task_info(hp, None, model_dir, list(units))  # all processes read this file
    settings = {"norm": norm, "keep_activity": keep_activity, "recompute": recompute}
    if jobs is None and scheduler is None:
        for rule, epochs in units.items():
            _analyze(hp, model_dir, {rule: epochs}, flat_trials(trial_list, rule), **settings)
        return
    units_at = {}
    for rule, epochs in units.items():
        for trial_num in flat_trials(trial_list, rule):
            units_at.setdefault(trial_num, {})[rule] = tuple(epochs)
    tasks = {trial: (str(model_dir), trial, units_at[trial], settings) for trial in sorted(units_at)}
    with connect(jobs, scheduler, in_processes=True) as where, tqdm(total=len(tasks), disable=None) as progress:
        batch = Batch(where, analyze_checkpoint, tasks)
        while batch.unfinished:
            for _, _, error in batch.results():
                if error is not None:
                    raise error
                progress.update()


def analyze_checkpoint(model_dir, trial_num, units, settings):
    """Do the work of `analyze_checkpoints` at one checkpoint, on one core."""
    use_cores(1)
    with contextlib.redirect_stdout(io.StringIO()):  # compute_H reports each checkpoint
        _analyze(load_hp(model_dir), model_dir, units, [trial_num], **settings)


def _analyze(hp, model_dir, units, trials, norm, keep_activity, recompute):
    for rule, epochs in units.items():
        if keep_activity:
            analysis.compute_H(hp, None, model_dir, [rule], trials, recompute)
        analysis.generate_neuron_info(hp, model_dir, epochs, trials, [rule], norm=norm, recompute=recompute)


def analyze_run(run, keep_activity=False, jobs=None, scheduler=None, max_checkpoints=MAX_CHECKPOINTS):
    """Analyze a run as its row in the table of variants says.

    The analyses are growth of performance, PSTHs of selective units at their preferred and at the opposite location,
    saccades, distractors, eigenvalues, and performance after other delays. The stages are chosen by the performance in
    the log. A rule without a checkpoint in any stage is left out, and a message says so.

    Parameters
    ----------
    run : TrainingRun
    keep_activity, jobs, scheduler
        As for `analyze_checkpoints`.
    max_checkpoints : int
        Maximum number of checkpoints per rule and stage.

    Returns
    -------
    left_out : list of str
        Rules that were left out.
    delays : list of dict
        Rows for `delays.save_delay_table`, one per rule of the variant's `delay_rules` that has checkpoints.

    Raises
    ------
    FileNotFoundError
        If the run has no hp.json, or no log, or an empty log.
    """
    model_dir, variant = run.model_dir, run.settings
    hp, log = load_hp(model_dir), load_log(model_dir)
    if not log["trials"]:
        raise FileNotFoundError(f"{model_dir} has an empty log: train the run first")
    ranges = analysis.print_basic_info(hp, log, model_dir, auto_range_select=True, max_trial_num_limit=max_checkpoints)
    ranges = analysis.kept_to_disk(ranges, model_dir)
    analyzed = dict.fromkeys([*variant.units, *variant.saccades, *variant.distractor_rules])
    learned = [rule for rule in analyzed if any(ranges.get(rule, {}).values())]
    left_out = [rule for rule in analyzed if rule not in learned]
    for rule in left_out:
        why = f"no checkpoint on disk is in a stage of {rule}" if rule in ranges else f"log.json has no rule {rule}"
        print(f"{model_dir}: {why}; the analyses of this rule are left out")
    units = {rule: epochs for rule, epochs in variant.units.items() if rule in learned}
    if jobs is not None or scheduler is not None:
        analyze_checkpoints(model_dir, units, ranges, variant.norm, keep_activity, jobs=jobs, scheduler=scheduler)
    for rule, epochs in units.items():  # rule by rule, to limit the activity in memory
        analyze_checkpoints(model_dir, {rule: epochs}, ranges, variant.norm, keep_activity)
        for epoch in epochs:
            analysis.plot_PSTH(hp, log, model_dir, rule, epoch, ranges, plot_oppo_dir=True, norm=variant.norm)
    for rule in [rule for rule in variant.saccades if rule in learned]:
        chosen = analysis.spread_over(ranges, SOME_CHECKPOINTS)
        analysis.saccade_distribut_analysis(hp, log, rule, model_dir, chosen)
    for rule in [rule for rule in variant.distractor_rules if rule in learned]:
        chosen = analysis.spread_over(ranges, FEW_CHECKPOINTS)
        analysis.odrd_distractor_analysis(hp, log, model_dir, chosen, rule=rule)
    delays = [analyze_delay(run, rule, ranges) for rule in variant.delay_rules if rule in learned]
    return left_out, delays
