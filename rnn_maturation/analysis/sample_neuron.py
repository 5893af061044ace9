"""Pages that show single units: activity at each location and polar tuning."""

from rnn_maturation import figures
from rnn_maturation.analysis.activity import location_means
from rnn_maturation.analysis.conditions import check_epochs, task_info
from rnn_maturation.analysis.selectivity import check_types, complete_neuron_info, load_neuron_info, select_units
from rnn_maturation.model_directory import figure_dir
from rnn_maturation.stages import flat_trials, performance_at, present_trials, stage_by_trial, trials_by_stage
from rnn_maturation.task import rule_name


def sample_neuron_by_trial(hp, log, model_dir, rule, epoch, trial_list, n_type, units=None, max_units=None):
    """Draw a page for each unit of a type: its activity at the 8 locations around its polar tuning (Fig. 3B).

    Parameters
    ----------
    hp, log : dict
    model_dir, rule, epoch : str
        The tuning is that in the epoch.
    trial_list : range, list, tuple, array or stage dict
    n_type : str
        A type of units, see `generate_neuron_info`.
    units : list of int, optional
        Only these; those that are not of the type at a checkpoint are left out there.
    max_units : int, optional
        At most so many at each checkpoint, the first ones. All units of a type make hundreds of pages.

    Returns
    -------
    {trial number: units drawn}

    Raises
    ------
    ValueError
        The ring does not have 8 units, or the type or epoch is unknown.
    """
    check_types(n_type)
    info = task_info(hp, model_dir, rule)
    check_epochs(info, rule, epoch)
    if len(info["in_loc_set"]) != 8:
        raise ValueError(f"The pages show 8 locations; {model_dir} has {len(info['in_loc_set'])} (n_eachring).")
    trials = present_trials(model_dir, flat_trials(trial_list, rule), rule)
    stages = trials_by_stage(trial_list if isinstance(trial_list, dict) else trials, hp, log, rule)
    complete_neuron_info(hp, model_dir, trials, rule, epoch)
    stage_of, drawn = stage_by_trial(stages), {}
    for trial in trials:
        neuron_info = load_neuron_info(model_dir, trial, rule, epoch)
        chosen = select_units(neuron_info, n_type)[0].tolist()
        drawn[trial] = [unit for unit in chosen if units is None or unit in units][:max_units]
        folder = figure_dir(model_dir, rule, epoch) / "sample_neuron" / f"{trial}{stage_of[trial]}" / n_type
        perf = performance_at(log, rule, trial)
        where = f"{rule_name[rule]} at {trial} trials ({stage_of[trial]}, performance {perf:.2f})"
        for unit in drawn[trial]:
            means = location_means(hp, model_dir, trial, rule)[:, :, unit]
            rates = neuron_info["firerate_loc_order"][unit]
            title = f"Unit {unit}, {where}, polar: {epoch}"
            figures.save_figure(
                figures.sample_unit(means, rates, info["epoch_info"], hp["dt"], title), folder / str(unit)
            )
            figures.save_figure(figures.polar_tuning(rates, f"Unit {unit}, {epoch}"), folder / f"{unit}_polar")
    return drawn
