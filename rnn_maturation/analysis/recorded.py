"""Recorded neurons: text files are read, and artificial trials are drawn from the recorded ones."""

from pathlib import Path

import numpy as np


def load_recorded_trials(neuron_file, time_len=176, trial_per_loc=8, loc_num=None):
    """Read trials of recorded neurons from a comma-separated text file.

    The first column is the location (1-based), each further column a unit; rows are ordered location, trial, time.

    Parameters
    ----------
    neuron_file : str
    time_len : int
        Steps of a trial.
    trial_per_loc : int
        Trials of each location.
    loc_num : int, optional
        Number of locations; default: the number in the file.

    Returns
    -------
    (n_trials, n_units, n_locations, n_time) array
        n_trials is the number of trials of each location.

    Raises
    ------
    FileNotFoundError
        If there is no such file. The recordings are not part of the program.
    ValueError
        If the rows are not locations x trials x time steps.
    """
    table = _read(neuron_file)
    per_location = trial_per_loc * time_len
    n_locations = len(table) // per_location if loc_num is None else loc_num
    if len(table) != n_locations * per_location or not n_locations or table.shape[1] < 2:
        raise ValueError(
            f"{neuron_file} has {len(table)} rows and {table.shape[1]} columns. Expected are a column of locations and "
            f"one column per unit, and rows for {loc_num or 'any number of'} locations x {trial_per_loc} trials x "
            f"{time_len} steps. Give loc_num, trial_per_loc and time_len of this file."
        )
    if not (table[:, 0].reshape(n_locations, -1) == np.arange(1, n_locations + 1)[:, None]).all():
        raise ValueError(f"{neuron_file}: the first column must be the location, 1 to {n_locations}, ascending.")
    activity = table[:, 1:].reshape(n_locations, trial_per_loc, time_len, -1)
    return np.ascontiguousarray(activity.transpose(1, 3, 0, 2))


def load_recorded_means(neuron_file, time_len=176, direc_num=8):
    """Read location means of recorded neurons from a comma-separated text file of units x (locations x time).

    Parameters
    ----------
    neuron_file : str
    time_len : int
        Steps of a trial.
    direc_num : int
        Number of locations.

    Returns
    -------
    (n_locations, n_time, n_units) array

    Raises
    ------
    FileNotFoundError
        If there is no such file. The recordings are not part of the program.
    ValueError
        If the columns are not locations x time steps.
    """
    table = _read(neuron_file)
    if table.shape[1] != direc_num * time_len:
        raise ValueError(
            f"{neuron_file} has {table.shape[1]} columns; expected {direc_num} locations x {time_len} steps. "
            "Give direc_num and time_len of this file."
        )
    return np.ascontiguousarray(table.reshape(len(table), direc_num, time_len).transpose(1, 2, 0))


def _read(neuron_file):
    if not Path(neuron_file).is_file():
        raise FileNotFoundError(f"There is no file of recorded neurons {neuron_file}: give the name of your own file.")
    try:
        table = np.loadtxt(neuron_file, delimiter=",", ndmin=2)
    except ValueError as error:
        raise ValueError(f"{neuron_file} is not a table of comma-separated numbers: {str(error)[:200]}") from error
    if not np.isfinite(table).all() or not table.size:
        raise ValueError(f"{neuron_file} is empty or contains nan or inf.")
    return table


def artificial_trials(rates, locations, n_per_location, rng):
    """Draw trials in which the rate of each unit is that of one of its real trials at that location.

    Units and windows are drawn independently, so that correlations between units and between times are lost.

    Parameters
    ----------
    rates : (n_windows, n_trials, n_units) array
    locations : (n_trials,) array
    n_per_location : int
    rng : numpy.random.Generator

    Returns
    -------
    (n_windows, n_locations * n_per_location, n_units) array, (n_locations * n_per_location,) array
    """
    n_windows, _, n_units = rates.shape
    made = []
    for location in np.unique(locations):
        source = rates[:, locations == location]
        drawn = rng.integers(source.shape[1], size=(n_windows, n_per_location, n_units))
        made.append(np.take_along_axis(source, drawn, axis=1))
    return np.concatenate(made, axis=1), np.repeat(np.unique(locations), n_per_location)
