"""Recorded neurons: read them from text files, and draw artificial trials from the recorded ones."""

from pathlib import Path

import numpy as np


def load_recorded_trials(neuron_file, time_len=176, trial_per_loc=8, loc_num=None):
    """Read trials of recorded neurons from a comma-separated text file.

    The first column is the location number, starting at 1; each further column contains the firing rates of one unit.
    The rows are ordered by location, then by trial, then by time step.

    Parameters
    ----------
    neuron_file : str
        Path of the file.
    time_len : int
        Number of time steps per trial.
    trial_per_loc : int
        Number of trials per location.
    loc_num : int, optional
        Number of locations; default: as many as the rows of the file contain.

    Returns
    -------
    (n_trials, n_units, n_locations, n_time) array
        Firing rates; n_trials is the number of trials per location.

    Raises
    ------
    FileNotFoundError
        If the file does not exist. The package contains no recordings.
    ValueError
        If the number of rows is not locations x trials x time steps, the first column does not fit, or the file
        contains anything but finite numbers.
    """
    table = _read(neuron_file)
    per_location = trial_per_loc * time_len
    n_locations = len(table) // per_location if loc_num is None else loc_num
    if len(table) != n_locations * per_location or not n_locations or table.shape[1] < 2:
        raise ValueError(
            f"{neuron_file} has {len(table)} rows and {table.shape[1]} columns. Expected are one column of locations "
            f"and one column per unit, with one row for each of {loc_num or 'any number of'} locations x "
            f"{trial_per_loc} trials x {time_len} steps. Pass the loc_num, trial_per_loc and time_len "
            "that fit this file."
        )
    if not (table[:, 0].reshape(n_locations, -1) == np.arange(1, n_locations + 1)[:, None]).all():
        raise ValueError(
            f"In {neuron_file}, the first column must be the location, 1 to {n_locations}, in ascending order with "
            "the same number of rows each."
        )
    activity = table[:, 1:].reshape(n_locations, trial_per_loc, time_len, -1)
    return np.ascontiguousarray(activity.transpose(1, 3, 0, 2))


def load_recorded_means(neuron_file, time_len=176, direc_num=8):
    """Read the mean activity of recorded neurons for each location from a comma-separated text file.

    The file has one row per unit and one column per location and time step: all steps of the first location come first.

    Parameters
    ----------
    neuron_file : str
        Path of the file.
    time_len : int
        Number of time steps per trial.
    direc_num : int
        Number of locations.

    Returns
    -------
    (n_locations, n_time, n_units) array
        Firing rates, averaged over the trials of each location.

    Raises
    ------
    FileNotFoundError
        If the file does not exist. The package contains no recordings.
    ValueError
        If the number of columns is not locations x time steps, or the file contains anything but finite numbers.
    """
    table = _read(neuron_file)
    if table.shape[1] != direc_num * time_len:
        raise ValueError(
            f"{neuron_file} has {table.shape[1]} columns, but {direc_num} locations x {time_len} steps are expected. "
            "Pass the values of direc_num and time_len that fit this file."
        )
    return np.ascontiguousarray(table.reshape(len(table), direc_num, time_len).transpose(1, 2, 0))


def _read(neuron_file):
    if not Path(neuron_file).is_file():
        raise FileNotFoundError(
            f"There is no file of recorded neurons named {neuron_file}. The package contains no recordings: pass the "
            "path of your own file."
        )
    try:
        table = np.loadtxt(neuron_file, delimiter=",", ndmin=2)
    except ValueError as error:
        raise ValueError(f"{neuron_file} is not a table of comma-separated numbers: {str(error)[:200]}") from error
    if not np.isfinite(table).all() or not table.size:
        raise ValueError(f"{neuron_file} is empty or contains NaN or infinity.")
    return table


def artificial_trials(rates, locations, n_per_location, rng):
    """Draw artificial trials by resampling the rates of each unit from its recorded trials at the same location.

    The recorded trial is drawn independently for each unit and window, so that correlations between units and between
    windows are lost.

    Parameters
    ----------
    rates : (n_windows, n_trials, n_units) array
        Mean activity in each window.
    locations : (n_trials,) array
        Label of the location in each trial.
    n_per_location : int
        Number of artificial trials per location.
    rng : numpy.random.Generator

    Returns
    -------
    rates : (n_windows, n_locations * n_per_location, n_units) array
        Rates in the artificial trials.
    locations : (n_locations * n_per_location,) array
        Their locations.
    """
    n_windows, _, n_units = rates.shape
    made = []
    for location in np.unique(locations):
        source = rates[:, locations == location]
        drawn = rng.integers(source.shape[1], size=(n_windows, n_per_location, n_units))
        made.append(np.take_along_axis(source, drawn, axis=1))
    return np.concatenate(made, axis=1), np.repeat(np.unique(locations), n_per_location)
