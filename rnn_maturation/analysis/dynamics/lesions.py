"""Measure the performance of each rule after groups of units are silenced, and after as many random units are.

The idea is from Driscoll, Shenoy & Sussillo, Nature Neuroscience 27:1349 (2024), who lesion clusters of units.
"""

import numpy as np
import pandas as pd

from rnn_maturation.analysis.activity import Get_H
from rnn_maturation.analysis.conditions import as_list, task_info
from rnn_maturation.analysis.dynamics.fixed_points import fixed_points_at
from rnn_maturation.analysis.dynamics.saving import save_table
from rnn_maturation.analysis.dynamics.spectrum import participation
from rnn_maturation.analysis.dynamics.step import network_at
from rnn_maturation.analysis.dynamics.task_input import saccades, task_input
from rnn_maturation.analysis.parallel import in_order
from rnn_maturation.analysis.results import TableResult, labelled
from rnn_maturation.analysis.selectivity import compute_neuron_info, select_units
from rnn_maturation.checks import check_whole_number, checks_run_arguments
from rnn_maturation.stages import present_stages, range_name, stage_by_trial

GROUPS = (
    "selective in stim1",
    "selective in delay",
    "excited",
    "inhibited",
    "mixed",
    "more in the rotation",
    "less in the rotation",
)
N_DIRECTIONS = 32
N_DRAWS = 5


@labelled
class LesionResult(TableResult):
    """Performance after silencing groups of units, one row per checkpoint, group and rule.

    Attributes
    ----------
    data : pandas.DataFrame
        Columns trial; stage; group; n_units; rule; performance after silencing the group; random_mean, random_min and
        random_max of the performance after silencing as many random units, over the draws; intact, the performance
        without a lesion. Noise is off, and performance is the share of directions answered correctly. For an empty
        group, all performances but intact are nan.
    n_directions, n_draws : int
    group_rule, epoch : str
        Rule and epoch by which the units were grouped.
    """

    data: pd.DataFrame
    n_directions: int
    n_draws: int
    group_rule: str
    epoch: str

    def plot(self):
        """Draw the performance of each stage as a matrix, groups by rules.

        Returns
        -------
        matplotlib.figure.Figure
        """
        from rnn_maturation.analysis.dynamics import figures

        return figures.lesions(self)


def compute_lesions(network, tasks, groups, n_draws=N_DRAWS, seed=0):
    """Measure performance after silencing groups of units, and after silencing as many random units.

    Parameters
    ----------
    network : Step
    tasks : {rule: TaskInput}
    groups : {name: int array of units}
    n_draws : int
        Number of random groups for each size of a group. All rules and all groups of this size share them.
    seed : int
        Seed of the random groups.

    Returns
    -------
    pandas.DataFrame
        Columns group, n_units, rule, performance, random_mean, random_min, random_max and intact, see `LesionResult`.
    """

    def performance(lesioned, task):
        end = lesioned.run(task.inputs)[-1]
        return float(saccades(lesioned.output(end), task.targets)[0].mean())

    intact = {rule: performance(network, task) for rule, task in tasks.items()}
    random, rows = {0: {rule: [np.nan] for rule in tasks}}, []
    for name, units in groups.items():
        size = len(units)
        if size not in random:
            draws = [np.random.default_rng([seed, k]).permutation(network.n_units)[:size] for k in range(n_draws)]
            lesioned = [network.silenced(draw) for draw in draws]
            random[size] = {rule: [performance(net, task) for net in lesioned] for rule, task in tasks.items()}
        for rule, task in tasks.items():
            control = random[size][rule]
            rows.append(
                {
                    "group": name,
                    "n_units": size,
                    "rule": rule,
                    "performance": performance(network.silenced(units), task) if size else np.nan,
                    "random_mean": np.mean(control),
                    "random_min": np.min(control),
                    "random_max": np.max(control),
                    "intact": intact[rule],
                }
            )
    return pd.DataFrame(rows)


def unit_groups(hp, model_dir, trial_num, network, rule, epoch):
    """Return the groups of units of a checkpoint, {name in `GROUPS`: int array of units}.

    Selective, excited, inhibited and mixed units are defined as in `generate_neuron_info`; except for 'selective in
    stim1', they are those of `epoch`. 'more' and 'less in the rotation' are the units above and below the median
    participation in the leading complex pair of the first fixed point. Both are empty without such a pair.
    """
    info, activity = task_info(hp, model_dir, rule), Get_H(hp, model_dir, trial_num, rule)
    conditions = activity, info["in_loc"], info["epoch_info"]
    in_stimulus, in_delay = (compute_neuron_info(*conditions, name) for name in ("stim1", epoch))
    task = task_input(rule, hp, hp["n_eachring"])
    found = fixed_points_at(network, task, epoch, network.run(task.inputs), with_slow_points=False)
    order = np.empty(0, dtype=int)
    if not np.isnan(found.pair):
        shares = participation(found.jacobians[0]).reshape(network.states_per_unit, -1).sum(axis=0)
        order = np.argsort(-shares, kind="stable")
    half = len(order) // 2
    members = [select_units(in_stimulus, "selective_neurons")[0]]
    for kind in ("selective_neurons", "exh_neurons", "inh_neurons", "mix_neurons"):
        members.append(select_units(in_delay, kind)[0])
    return dict(zip(GROUPS, [*members, order[:half], order[half:]], strict=True))


@checks_run_arguments
def lesion_analysis(
    hp,
    log,
    model_dir,
    trial_list,
    rules,
    group_rule="odr",
    epoch="delay1",
    n_directions=N_DIRECTIONS,
    n_draws=N_DRAWS,
    save=True,
):
    """Measure the performance of each rule after silencing groups of units, and after silencing as many random units.

    Parameters
    ----------
    hp, log : dict
    model_dir : str
    trial_list : range, list, tuple, array or stage dict
        Checkpoints, which take some seconds each; of a stage dict, those of `group_rule`.
    rules : list of str
        Rules whose performance is measured.
    group_rule, epoch : str
        The rule and epoch by which units are grouped.
    n_directions : int
        Number of evenly spaced directions, with one trial each, in every measurement.
    n_draws : int
        Number of random groups for each size of a group.
    save : bool
        Write the figure and the table (csv) into the figure folder of the rule and epoch.

    Returns
    -------
    LesionResult

    Raises
    ------
    ValueError
        If a rule is unknown, no rule is given, the input of the epoch is not constant, n_draws is below 1, or the log
        lacks a checkpoint.
    FileNotFoundError
        If none of the checkpoints is on disk. If only some are missing, a warning names them.
    """
    check_whole_number("n_draws", n_draws)
    tasks = {rule: task_input(rule, hp, n_directions) for rule in as_list(rules)}
    if not tasks:
        raise ValueError("rules is empty: name at least one rule whose performance is to be measured.")
    task_input(group_rule, hp, n_directions).held(epoch)
    stages = stage_by_trial(present_stages(hp, log, model_dir, group_rule, trial_list))

    def of_checkpoint(trial_num):
        network = network_at(hp, model_dir, trial_num)
        groups = unit_groups(hp, model_dir, trial_num, network, group_rule, epoch)
        table = compute_lesions(network, tasks, groups, n_draws)
        table.insert(0, "trial", trial_num)
        table.insert(1, "stage", stages[trial_num])
        return table

    table = pd.concat(in_order(of_checkpoint, list(stages), "lesions"), ignore_index=True)
    result = LesionResult(table, n_directions, n_draws, group_rule, epoch)
    if save:
        span, step = range_name(trial_list, group_rule)
        save_table(result, model_dir, group_rule, epoch, f"{group_rule}_{epoch}_{span}_step_{step}_lesions")
    return result
