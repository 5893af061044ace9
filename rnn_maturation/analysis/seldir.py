"""Units that are selective in two tasks: do they prefer the same location in both?"""

import numpy as np
import pandas as pd

from rnn_maturation import figures
from rnn_maturation.analysis.conditions import check_epochs, task_info
from rnn_maturation.analysis.selectivity import check_types, complete_neuron_info, load_neuron_info, select_units
from rnn_maturation.files import atomic_write
from rnn_maturation.model_directory import figure_dir, load_hp
from rnn_maturation.stages import flat_trials, present_trials
from rnn_maturation.task import rule_name


def seldir_analysis(model_dir, rule1, epoch1, rule2, epoch2, trial_list, n_types):
    """Count the units of given types in both tasks, and those with the same and with another preferred location.

    Parameters
    ----------
    model_dir : str
    rule1, epoch1, rule2, epoch2 : str
    trial_list : range, list, tuple, array or stage dict
        Of a dict, rule1's stages.
    n_types : tuple of str

    Returns
    -------
    pandas.DataFrame
        inter, samedir, diffdir (nan without checkpoint); index trial number. Also written as xlsx beside the figure.

    Raises
    ------
    ValueError
        An unknown rule, epoch or type of units, or a damaged file; names it.
    FileNotFoundError
        None of the checkpoints is on disk. Some missing: one warning.
    """
    kinds = check_types(n_types)
    hp = load_hp(model_dir)
    requested = flat_trials(trial_list, rule1)
    trials = present_trials(model_dir, present_trials(model_dir, requested, rule1), rule2)
    tasks = ((rule1, epoch1), (rule2, epoch2))
    for rule, epoch in tasks:
        check_epochs(task_info(hp, model_dir, rule), rule, epoch)
        complete_neuron_info(hp, model_dir, trials, rule, epoch)
    rows = {}
    for trial in trials:
        both = [load_neuron_info(model_dir, trial, rule, epoch) for rule, epoch in tasks]
        rows[trial] = count_shared(*(select_units(neuron_info, kinds) for neuron_info in both))
    table = pd.DataFrame.from_dict(rows, orient="index", columns=["inter", "samedir", "diffdir"]).reindex(requested)
    table.index.name = "trial"
    title = f"Units selective in {rule_name[rule1]} {epoch1} and {rule_name[rule2]} {epoch2}"
    stem = figure_dir(model_dir) / f"{rule1}_{epoch1}_{rule2}_{epoch2}_{'_'.join(kinds)}_seldir_analysis"
    figures.save_figure(figures.shared_units(table, title), stem)
    with atomic_write(f"{stem}.xlsx") as temporary:
        table.to_excel(temporary)
    return table


def count_shared(first, second):
    """(units in both, of those with the same, and with another preferred location) of two (units, locations) pairs."""
    shared, at_first, at_second = np.intersect1d(first[0], second[0], return_indices=True)
    same = int((first[1][at_first] == second[1][at_second]).sum())
    return len(shared), same, len(shared) - same
