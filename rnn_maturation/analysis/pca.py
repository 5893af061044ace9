"""Principal components of the units' mean activity at each location."""

from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from rnn_maturation import figures
from rnn_maturation.analysis.activity import Get_H, location_means, mean_by_location
from rnn_maturation.analysis.conditions import task_info
from rnn_maturation.analysis.recorded import load_recorded_means
from rnn_maturation.analysis.results import MappingResult, labelled
from rnn_maturation.model_directory import figure_dir
from rnn_maturation.stages import performance_at
from rnn_maturation.task import rule_name

RECORDED_DT = 20  # ms, length of a step of the recordings


@labelled
class PCAResult(MappingResult):
    """Principal components of location means, concatenated over locations.

    Attributes
    ----------
    data : dict
        'components': (n_components, n_locations, n_time) array, in standard deviations of the units' rates;
        'explained_variance_ratio': (n_components,) array.
    dt : float
        Length of a step in ms.
    epochs : dict or None
        {epoch: (start, end)} in steps.
    title : str
    """

    data: dict
    dt: float
    epochs: dict | None = None
    title: str = ""

    def to_frame(self):
        """Return a table with a row for each component, location and step.

        Returns
        -------
        pandas.DataFrame
            Columns component (1 is the leading one), location (index), time_ms, value (standard deviations),
            explained_variance_ratio (of the component).
        """
        components = self.data["components"]
        number, where, step = np.indices(components.shape).reshape(3, -1)
        columns = {"component": number + 1, "location": where, "time_ms": step * self.dt, "value": components.ravel()}
        return pd.DataFrame({**columns, "explained_variance_ratio": self.data["explained_variance_ratio"][number]})

    def plot(self):
        """Draw the components against time, one line per location.

        Returns
        -------
        matplotlib.figure.Figure
        """
        return figures.principal_components(self)


def neuron_PCA(hp, log, model_dir, trial_num, rule, task_mode="test", n_components=2, save=True):
    """Compute and draw a PCA of the units' standardized location means, concatenated over locations.

    Parameters
    ----------
    hp, log : dict
    model_dir : str
    trial_num : int
    rule : str
    task_mode : str
        Mode of `task.generate_trials`, see `Get_H`.
    n_components : int
    save : bool
        Write the figure.

    Returns
    -------
    PCAResult

    Raises
    ------
    ValueError
        If the network has no such rule, or there are more components than units.
    FileNotFoundError
        If there is no such checkpoint.
    """
    info = task_info(hp, model_dir, rule)
    perf = performance_at(log, rule, trial_num)
    if task_mode == "test":
        means = location_means(hp, model_dir, trial_num, rule)
    else:
        means = mean_by_location(Get_H(hp, model_dir, trial_num, rule, task_mode=task_mode), info["in_loc"])
    title = f"{rule_name[rule]} at {trial_num:,} trials, performance {perf:.2f}"
    result = compute_pca(means, hp["dt"], n_components, info["epoch_info"], title)
    if save:
        stem = f"{rule}_comp{n_components}_neuron_pca_trial_num_{trial_num}_all_loc_bycomp_conc_pref{perf:.4f}_std"
        figures.save_figure(result.plot(), figure_dir(model_dir, rule) / stem)
    return result


def real_neuron_PCA(neuron_file="data/adultneuron.txt", time_len=176, direc_num=8, n_components=2, save=True):
    """Compute and draw `neuron_PCA` of recorded neurons.

    Parameters
    ----------
    neuron_file : str
        Comma-separated, units x (locations x time), in steps of 20 ms.
    time_len, direc_num, n_components : int
        Steps of a trial, number of locations, number of components.
    save : bool
        Write the figure.

    Returns
    -------
    PCAResult

    Raises
    ------
    ValueError
        If the file has another layout.
    FileNotFoundError
        If there is no such file.
    """
    means, name = load_recorded_means(neuron_file, time_len, direc_num), Path(neuron_file).stem
    result = compute_pca(means, RECORDED_DT, n_components, title=f"Recorded neurons, {name}")
    if save:
        stem = f"{name}comp{n_components}_all_loc_bycomp_conc_std"
        figures.save_figure(result.plot(), Path("figure") / "real_neuron_pca" / stem)
    return result


def compute_pca(means, dt, n_components=2, epochs=None, title=""):
    """Compute a PCA of location means in which each unit is standardized over locations and times.

    Parameters
    ----------
    means : (n_locations, n_time, n_units) array
        Mean activity at each location; ``activity.mean_by_location(activity, locations)`` makes it from trials.
    dt : float
        Length of a step in ms.
    n_components : int
    epochs : dict, optional
        {epoch: (start, end)} in steps, for the figure.
    title : str

    Returns
    -------
    PCAResult

    Raises
    ------
    ValueError
        If there are more components than units.
    """
    n_locations, n_time, n_units = means.shape
    if not 1 <= n_components <= min(n_locations * n_time, n_units):
        raise ValueError(f"n_components must be 1 to {min(n_locations * n_time, n_units)}, got {n_components}.")
    standardized = StandardScaler().fit_transform(means.reshape(-1, n_units).astype(float))
    pca = PCA(n_components, svd_solver="full")
    with threadpool_limits(1, user_api="blas"):  # the matrix is small: more threads take longer
        components = pca.fit_transform(standardized).T.reshape(n_components, n_locations, n_time)
    data = {"components": components, "explained_variance_ratio": np.asarray(pca.explained_variance_ratio_)}
    return PCAResult(data, dt, epochs, title)
