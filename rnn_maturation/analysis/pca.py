"""PCA of the units' mean activity for each stimulus location."""

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
from rnn_maturation.checks import checks_run_arguments, quoted
from rnn_maturation.model_directory import figure_dir
from rnn_maturation.stages import performance_at
from rnn_maturation.task import rule_name

RECORDED_DT = 20  # ms, duration of a time step in the recordings


@labelled
class PCAResult(MappingResult):
    """Principal components of the units' location means, which are concatenated over locations.

    Attributes
    ----------
    data : dict
        'components': (n_components, n_locations, n_time) array, weighted sums of the units' z-scored rates;
        'explained_variance_ratio': (n_components,) array, shares of the total variance (0 to 1).
    dt : float
        Duration of a time step in ms.
    epochs : dict or None
        {epoch: (start, end)} in steps; None if unknown.
    title : str
        Title of the figure.
    """

    data: dict
    dt: float
    epochs: dict | None = None
    title: str = ""

    def to_frame(self):
        """Return a table with one row for each component, location and time step.

        Returns
        -------
        pandas.DataFrame
            Columns component (1 is the leading one), location (index), time_ms, value (of the component, in standard
            deviations of the units' rates), explained_variance_ratio (of the component).
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


@checks_run_arguments
def neuron_PCA(hp, log, model_dir, trial_num, rule, task_mode="test", n_components=2, save=True):
    """Compute and draw a PCA of the units' standardized location means, concatenated over locations.

    Parameters
    ----------
    hp, log : dict
    model_dir : str
    trial_num : int
    rule : str
    task_mode : str
        Mode of `task.generate_trials`; see `Get_H`.
    n_components : int
        Number of components.
    save : bool
        Whether to write the figure.

    Returns
    -------
    PCAResult

    Raises
    ------
    ValueError
        If the rule is not in the network's rule set, or `n_components` is out of range (see `compute_pca`).
    FileNotFoundError
        If the checkpoint does not exist.
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
    """Compute and draw a PCA of recorded neurons' standardized location means, as `neuron_PCA` does.

    Parameters
    ----------
    neuron_file : str
        Comma-separated text file with one row per unit and columns locations x time, in steps of 20 ms; see
        `recorded.load_recorded_means`.
    time_len, direc_num, n_components : int
        Steps per trial, number of locations, number of components.
    save : bool
        Whether to write the figure, to figure/real_neuron_pca/ in the current folder.

    Returns
    -------
    PCAResult

    Raises
    ------
    ValueError
        If the file has another layout, or `n_components` is out of range (see `compute_pca`).
    FileNotFoundError
        If the file does not exist.
    """
    means, name = load_recorded_means(neuron_file, time_len, direc_num), Path(neuron_file).stem
    result = compute_pca(means, RECORDED_DT, n_components, title=f"Recorded neurons, {name}")
    if save:
        stem = f"{name}comp{n_components}_all_loc_bycomp_conc_std"
        figures.save_figure(result.plot(), Path("figure") / "real_neuron_pca" / stem)
    return result


def compute_pca(means, dt, n_components=2, epochs=None, title=""):
    """Compute a PCA of location means after standardizing each unit over locations and times.

    Parameters
    ----------
    means : (n_locations, n_time, n_units) array
        Mean activity for each location; ``activity.mean_by_location(activity, locations)`` computes it from trials.
    dt : float
        Duration of a time step in ms.
    n_components : int
        Number of components.
    epochs : dict, optional
        {epoch: (start, end)} in steps, for the figure.
    title : str
        Title of the figure.

    Returns
    -------
    PCAResult

    Raises
    ------
    ValueError
        If `n_components` is less than 1, or exceeds the number of units or that of locations times time steps.
    """
    n_locations, n_time, n_units = means.shape
    if not 1 <= n_components <= min(n_locations * n_time, n_units):
        raise ValueError(
            f"n_components must be 1 to {min(n_locations * n_time, n_units)}, the smaller of the number of units and "
            f"the number of locations x time steps; got {quoted(n_components)}."
        )
    standardized = StandardScaler().fit_transform(means.reshape(-1, n_units).astype(float))
    pca = PCA(n_components, svd_solver="full")
    with threadpool_limits(1, user_api="blas"):  # the matrix is so small that more threads take longer
        components = pca.fit_transform(standardized).T.reshape(n_components, n_locations, n_time)
    data = {"components": components, "explained_variance_ratio": np.asarray(pca.explained_variance_ratio_)}
    return PCAResult(data, dt, epochs, title)
