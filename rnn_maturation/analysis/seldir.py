"""Count the units that are selective in two tasks, and those of them that prefer the same location in both."""

import numpy as np
import pandas as pd

from rnn_maturation import figures
from rnn_maturation.analysis.conditions import as_list, check_epochs, task_info
from rnn_maturation.analysis.psth import trials_text
from rnn_maturation.analysis.results import TableResult, labelled
from rnn_maturation.analysis.selectivity import check_types, neuron_infos, select_units
from rnn_maturation.checks import checks_run_arguments
from rnn_maturation.files import atomic_write
from rnn_maturation.model_directory import figure_dir, load_hp
from rnn_maturation.stages import flat_trials, present_trials
from rnn_maturation.task import rule_name


@labelled
class SharedUnits(TableResult):
    """Number of units that are selective in both of two tasks, at each checkpoint.

    Attributes
    ----------
    data : pandas.DataFrame
        Index trial (number of training trials); columns inter (number of units that are selective in both tasks),
        samedir (number of those with the same preferred location in both), diffdir (number of those with different
        preferred locations). A row is nan if its checkpoint is missing.
    title : str
        Title of the figure.
    """

    data: pd.DataFrame
    title: str = ""

    def to_frame(self):
        """Return a table with one row for each checkpoint.

        Returns
        -------
        pandas.DataFrame
            Columns trial, inter, samedir, diffdir.
        """
        return self.data.reset_index()

    def plot(self):
        """Draw the numbers of units against training trials.

        Returns
        -------
        matplotlib.figure.Figure
        """
        return figures.shared_units(self)


@checks_run_arguments
def seldir_analysis(model_dir, rule1, epoch1, rule2, epoch2, trial_list, n_types, save=True):
    """Count the units that are of given types in both tasks, by whether they prefer the same location in both.

    Parameters
    ----------
    model_dir : str
    rule1, epoch1, rule2, epoch2 : str
        The two tasks, and the epoch of each in which the units are selective.
    trial_list : range, list, tuple, array or stage dict
        If it is a stage dict, the stages of `rule1` are used.
    n_types : tuple of str
        Types of units, see `generate_neuron_info`.
    save : bool
        Whether to write the figure, the table beside it as an xlsx file, and the neuron_info files that checkpoints
        lack.

    Returns
    -------
    SharedUnits
        Can be used as a pandas.DataFrame with the trial numbers as index and the columns inter, samedir and diffdir;
        nan if the checkpoint is missing.

    Raises
    ------
    ValueError
        If a rule, an epoch or a type of units is unknown, or if a file is damaged; the message names it.
    FileNotFoundError
        If none of the checkpoints is on disk. If some are missing, one warning names them.
    """
    kinds = check_types(n_types)
    hp = load_hp(model_dir)
    requested = flat_trials(trial_list, rule1)
    trials = present_trials(model_dir, present_trials(model_dir, requested, rule1), rule2)
    selected = []
    for rule, epoch in ((rule1, epoch1), (rule2, epoch2)):
        check_epochs(task_info(hp, model_dir, rule)["epoch_info"], epoch, f"Rule {rule}")
        infos = neuron_infos(hp, model_dir, trials, rule, epoch, save)
        selected.append({trial: select_units(info, kinds) for trial, info in infos.items()})
    types = " + ".join(kind.removesuffix("_neurons") for kind in as_list(kinds))
    title = f"Units selective in {rule_name[rule1]} {epoch1} and {rule_name[rule2]} {epoch2} ({types})\n"
    result = compute_shared_units(*selected, requested, title + trials_text(trials))
    if save:
        stem = figure_dir(model_dir) / f"{rule1}_{epoch1}_{rule2}_{epoch2}_{'_'.join(kinds)}_seldir_analysis"
        figures.save_figure(result.plot(), stem)
        with atomic_write(f"{stem}.xlsx") as temporary:
            result.data.to_excel(temporary)
    return result


# -------------------------------------------------------------------------------------------------- arrays in and out


def compute_shared_units(first, second, trials=None, title=""):
    """Count the units that are selective in both of two tasks, at each checkpoint.

    Parameters
    ----------
    first, second : dict
        ``{trial number: (units, preferred)}`` for each task: (n_units,) int arrays of unit indices and of the index of
        each unit's preferred location, see `selectivity.select_units`. `second` must have all trial numbers of `first`.
    trials : list of int, optional
        Trial numbers of the table's rows; those that `first` lacks are nan. Default: the trial numbers of `first`.
    title : str
        Title of the figure.

    Returns
    -------
    SharedUnits
    """
    rows = {trial: count_shared(first[trial], second[trial]) for trial in first}
    table = pd.DataFrame.from_dict(rows, orient="index", columns=["inter", "samedir", "diffdir"])
    table = table.reindex(list(first) if trials is None else trials)
    table.index.name = "trial"
    return SharedUnits(table, title)


def count_shared(first, second):
    """Count the units that two selections have in common.

    Parameters
    ----------
    first, second : (units, preferred)
        (n_units,) int arrays of unit indices and of the index of each unit's preferred location. The number of units
        may differ between the two selections.

    Returns
    -------
    n_shared, n_same, n_different : int
        Number of units in both selections, and the numbers of those with the same and with different preferred
        locations.
    """
    shared, at_first, at_second = np.intersect1d(first[0], second[0], return_indices=True)
    same = int((first[1][at_first] == second[1][at_second]).sum())
    return len(shared), same, len(shared) - same
