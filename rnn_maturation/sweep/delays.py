"""Compare the delay dynamics of runs: delay activity, leading eigenvalues, and performance after other delays."""

import numpy as np
import pandas as pd

from rnn_maturation import analysis
from rnn_maturation.files import atomic_write
from rnn_maturation.model_directory import checkpoint_trials, figure_dir, load_hp, load_log
from rnn_maturation.stages import STAGES, evenly_thinned, nearest_to_target

COURSE_CHECKPOINTS = 40  # number of checkpoints, over the whole training, at which eigenvalues are computed
RELATIVE_DELAYS = {"two_thirds": 2 / 3, "trained": 1, "four_thirds": 4 / 3, "double": 2}  # delay / trained delay
TABLE_NAME = "delays.csv"


def analyze_delay(run, rule, ranges):
    """Draw the eigenvalues of a rule's delay over the training, and the performance after other delays.

    Parameters
    ----------
    run : TrainingRun
    rule : str
        One of `run.settings.delay_rules`.
    ranges : {rule: {stage: trial numbers}}
        Checkpoints of each stage that are on disk.

    Returns
    -------
    dict
        A row for `save_delay_table`.
    """
    model_dir, norm = run.model_dir, run.settings.norm
    hp, log = load_hp(model_dir), load_log(model_dir)
    on_disk = checkpoint_trials(model_dir)
    course = evenly_thinned(on_disk, COURSE_CHECKPOINTS)
    analysis.eigenvalue_growth_analysis(hp, log, model_dir, course, rule)
    of_stages = sorted(set(nearest_to_target(hp, log, rule, ranges[rule]).values()))
    analysis.delay_generalization_analysis(hp, log, model_dir, of_stages, rule)
    growth = analysis.plot_epoch_mean_growth(
        hp, log, ranges, model_dir, rule, "delay1", "delay1", norm=norm, save=False
    )
    means = growth.to_frame().groupby("stage")["mean_activity"].mean()
    row = {"variant": run.variant, "seed": run.seed, "rule": rule}
    row |= {f"activity_{stage}": float(means.get(stage, np.nan)) for stage in STAGES}
    performance = dict(zip(log["trials"], log["perf_" + rule], strict=True))
    mature = [trial for trial in on_disk if performance.get(trial, 0) >= hp["mature_target_perf"]]
    return row | (_mature_numbers(hp, log, model_dir, rule, mature[0]) if mature else {})


def _mature_numbers(hp, log, model_dir, rule, trial_num):
    """Return the columns of a row that describe one checkpoint: eigenvalues, and performance after other delays."""
    eigenvalues = analysis.eigenvalue_growth_analysis(hp, log, model_dir, [trial_num], rule, save=False)
    values = eigenvalues.to_frame().iloc[0]
    trained_ms = eigenvalues.trained_delay_s * 1000
    steps = {name: round(factor * trained_ms / hp["dt"]) for name, factor in RELATIVE_DELAYS.items()}
    delays = [n * hp["dt"] for n in steps.values()]
    held = analysis.delay_generalization_analysis(hp, log, model_dir, [trial_num], rule, delays_ms=delays, save=False)
    correct = held.to_frame().set_index("delay_ms")["performance"]
    columns = ("largest_modulus", "largest_is_complex", "pair_modulus", "frequency_hz", "memory_time_s", "n_unstable")
    return {
        "trial": trial_num,
        "trained_delay_ms": trained_ms,
        **{column: values[column] for column in columns},
        "period_s": float(np.divide(1, values["frequency_hz"])),
        **{f"correct_{name}": float(correct[n * hp["dt"]]) for name, n in steps.items()},
    }


def save_delay_table(rows):
    """Write figure/figure_sweep/delays.csv, which compares the delay dynamics of runs.

    Parameters
    ----------
    rows : list of dict
        The results of `analyze_delay`.

    Returns
    -------
    pandas.DataFrame
        One row per run and rule. After variant, seed and rule, the columns activity_early, activity_mid and
        activity_mature have the mean delay activity of the units that are selective in the delay, over the checkpoints
        of each stage. The other columns describe the first checkpoint on disk whose logged performance is mature: trial
        and trained_delay_ms; largest_modulus, largest_is_complex, pair_modulus, frequency_hz, memory_time_s and
        n_unstable of the fixed point of the delay; period_s (1 / frequency); and correct_two_thirds, correct_trained,
        correct_four_thirds and correct_double, the share of correct saccades after a delay of this length relative to
        the trained delay. Columns of stages that a run did not reach are nan.
    """
    table = pd.DataFrame(rows)
    folder = figure_dir("sweep")
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_write(folder / TABLE_NAME) as temporary:
        table.to_csv(temporary, index=False)
    return table
