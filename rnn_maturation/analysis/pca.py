"""Principal components of the units' mean activity at each location."""

from pathlib import Path

import numpy as np
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler

from rnn_maturation import figures
from rnn_maturation.analysis.activity import Get_H, location_means, mean_by_location
from rnn_maturation.analysis.conditions import task_info
from rnn_maturation.analysis.recorded import load_recorded_means
from rnn_maturation.model_directory import figure_dir
from rnn_maturation.stages import performance_at
from rnn_maturation.task import rule_name


def neuron_PCA(hp, log, model_dir, trial_num, rule, task_mode="test", n_components=2):
    """PCA of the units' standardised location means, concatenated over locations.

    Parameters
    ----------
    hp, log : dict
    model_dir : str
    trial_num : int
    rule : str
    task_mode : str
        Mode of `task.generate_trials`, see `Get_H`.
    n_components : int

    Returns
    -------
    dict
        'components': (n_components, n_locations, n_time), 'explained_variance_ratio': (n_components,).

    Raises
    ------
    ValueError
        An unknown rule, or more components than units.
    FileNotFoundError
        There is no such checkpoint.
    """
    info = task_info(hp, model_dir, rule)
    perf = performance_at(log, rule, trial_num)
    if task_mode == "test":
        means = location_means(hp, model_dir, trial_num, rule)
    else:
        means = mean_by_location(Get_H(hp, model_dir, trial_num, rule, task_mode=task_mode), info["in_loc"])
    result = standardised_pca(means, n_components)
    title = f"{rule_name[rule]} at {trial_num} trials, performance {perf:.2f}"
    figure = figures.principal_components(*result.values(), hp["dt"], info["epoch_info"], title)
    stem = f"{rule}_comp{n_components}_neuron_pca_trial_num_{trial_num}_all_loc_bycomp_conc_pref{perf:.4f}_std"
    figures.save_figure(figure, figure_dir(model_dir, rule) / stem)
    return result


def real_neuron_PCA(neuron_file="data/adultneuron.txt", time_len=176, direc_num=8, n_components=2):
    """`neuron_PCA` of recorded neurons.

    Parameters
    ----------
    neuron_file : str
        Comma-separated, units x (locations x time).
    time_len, direc_num, n_components : int

    Returns
    -------
    As `neuron_PCA`.

    Raises
    ------
    ValueError
        The file has another layout; names it.
    FileNotFoundError
        There is no such file.
    """
    result = standardised_pca(load_recorded_means(neuron_file, time_len, direc_num), n_components)
    name = Path(neuron_file).stem
    figure = figures.principal_components(*result.values(), 20, None, f"Recorded neurons, {name}")
    figures.save_figure(
        figure, Path("figure") / "real_neuron_pca" / f"{name}comp{n_components}_all_loc_bycomp_conc_std"
    )
    return result


def standardised_pca(means, n_components):
    """PCA of location means (n_locations, n_time, n_units), each unit standardised over locations and times.

    Returns
    -------
    dict
        'components': (n_components, n_locations, n_time), 'explained_variance_ratio': (n_components,).
    """
    n_locations, n_time, n_units = means.shape
    if not 1 <= n_components <= min(n_locations * n_time, n_units):
        raise ValueError(f"n_components must be 1 to {min(n_locations * n_time, n_units)}, got {n_components}.")
    standardised = StandardScaler().fit_transform(means.reshape(-1, n_units).astype(float))
    pca = PCA(n_components, svd_solver="full")
    components = pca.fit_transform(standardised).T.reshape(n_components, n_locations, n_time)
    return {"components": components, "explained_variance_ratio": np.asarray(pca.explained_variance_ratio_)}
