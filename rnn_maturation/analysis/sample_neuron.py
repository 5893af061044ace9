"""Draw pages of single units: the activity at each location, and the polar tuning."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from rnn_maturation import figures
from rnn_maturation.analysis.activity import location_means, mean_by_location
from rnn_maturation.analysis.conditions import check_epochs, epoch_steps, task_info
from rnn_maturation.analysis.results import MappingResult, Result, labelled
from rnn_maturation.analysis.selectivity import check_types, neuron_infos, select_units
from rnn_maturation.checks import checks_run_arguments, quoted
from rnn_maturation.model_directory import figure_dir
from rnn_maturation.stages import flat_trials, performance_at, present_trials, stage_by_trial, trials_by_stage
from rnn_maturation.task import rule_name


@labelled
class SampleUnit(Result):
    """Activity of one unit at each location, and its polar tuning in an epoch.

    Attributes
    ----------
    means : (n_locations, n_time) array
        Mean activity over the trials of each location.
    relative_rates : (n_locations,) array
        Absolute value of the mean rate in the epoch at each location, divided by the largest of them (0 to 1).
    preferred : int
        Index of the preferred location.
    epochs : dict
        ``{epoch: (start, end)}`` in steps.
    dt : float
        Length of a step in ms.
    stage : str or None
        Stage of maturation, which determines the color.
    title : str
        Title of the page.
    """

    means: np.ndarray
    relative_rates: np.ndarray
    preferred: int
    epochs: dict
    dt: float
    stage: str | None = None
    title: str = ""

    def to_frame(self):
        """Return a table with one row for each location and time step.

        Returns
        -------
        pandas.DataFrame
            Columns location_deg, time_ms (from the start of the trial), rate, relative_rate (that of the location in
            the epoch, the same at all time steps).
        """
        n_locations, n_time = self.means.shape
        degrees = np.arange(n_locations) * 360 / n_locations
        columns = {"location_deg": np.repeat(degrees, n_time), "time_ms": np.tile(np.arange(n_time), n_locations)}
        columns |= {"rate": self.means.ravel(), "relative_rate": np.repeat(self.relative_rates, n_time)}
        table = pd.DataFrame(columns)
        table["time_ms"] *= self.dt
        return table

    def plot(self):
        """Draw the page of the unit (Fig. 3B), or only the polar plot if there are not 8 locations.

        Returns
        -------
        matplotlib.figure.Figure
        """
        return figures.sample_unit(self) if len(self.means) == 8 else self.plot_polar()

    def plot_polar(self):
        """Draw only the polar plot of the tuning.

        Returns
        -------
        matplotlib.figure.Figure
        """
        return figures.polar_tuning(self)


@labelled
class SampleUnits(MappingResult):
    """The units that are drawn at each checkpoint.

    Attributes
    ----------
    data : dict
        ``{trial number: list of unit indices}``.
    pages : dict
        ``{(trial number, unit): SampleUnit}``.
    """

    data: dict
    pages: dict

    def to_frame(self):
        """Return a table with one row for each checkpoint, unit, location and time step.

        Returns
        -------
        pandas.DataFrame
            Columns trial (number of training trials), unit, and those of `SampleUnit.to_frame`.
        """
        if not self.pages:
            return pd.DataFrame(columns=["trial", "unit", "location_deg", "time_ms", "rate", "relative_rate"])
        tables = {key: page.to_frame() for key, page in self.pages.items()}
        return pd.concat(tables, names=["trial", "unit", None]).reset_index(["trial", "unit"]).reset_index(drop=True)

    def plot(self, trial=None, unit=None):
        """Draw the page of a unit; the default is the first page.

        Parameters
        ----------
        trial, unit : int, optional
            Trial number of the checkpoint, and index of the unit. If only one is given, the first page that matches it
            is drawn.

        Returns
        -------
        matplotlib.figure.Figure

        Raises
        ------
        ValueError
            If there is no page of this unit at this checkpoint.
        """
        for key, page in self.pages.items():
            if (trial is None or key[0] == trial) and (unit is None or key[1] == unit):
                return page.plot()
        raise ValueError(
            f"There is no page of unit {'(any)' if unit is None else quoted(unit)} at checkpoint "
            f"{'(any)' if trial is None else quoted(trial)}. There are pages (trial number, unit) "
            f"{quoted(list(self.pages))}."
        )


@checks_run_arguments
def sample_neuron_by_trial(hp, log, model_dir, rule, epoch, trial_list, n_type, units=None, max_units=None, save=True):
    """Draw a page for each unit of a type: its activity at the 8 locations around its polar tuning (Fig. 3B).

    Parameters
    ----------
    hp, log : dict
    model_dir, rule, epoch : str
        `epoch` is the epoch in which the units are selective, and for which the tuning is shown.
    trial_list : range, list, tuple, array or stage dict
    n_type : str
        Type of units, see `generate_neuron_info`.
    units : list of int, optional
        Indices of the units to draw. At each checkpoint, those that are not of the type are left out. Default: all
        units of the type.
    max_units : int, optional
        Largest number of units to draw at each checkpoint; the first ones are taken. By default, there is no limit,
        which can produce hundreds of pages.
    save : bool
        Whether to write each page, each polar plot in a file of its own, and the neuron_info files that checkpoints
        lack.

    Returns
    -------
    SampleUnits
        Can be used as ``{trial number: list of the units drawn}``.

    Raises
    ------
    ValueError
        If there are not 8 locations, if the rule, the epoch or the type of units is unknown, or if a file is damaged.
    FileNotFoundError
        If none of the checkpoints is on disk. If some are missing, one warning names them.
    """
    check_types(n_type)
    info = task_info(hp, model_dir, rule)
    check_epochs(info["epoch_info"], epoch, f"Rule {rule}")
    if len(info["in_loc_set"]) != 8:
        raise ValueError(
            f"The pages need exactly 8 stimulus locations, but the network in {model_dir} has "
            f"{len(info['in_loc_set'])} (n_eachring)."
        )
    trials = present_trials(model_dir, flat_trials(trial_list, rule), rule)
    stages = trials_by_stage(trial_list if isinstance(trial_list, Mapping) else trials, hp, log, rule)
    infos = neuron_infos(hp, model_dir, trials, rule, epoch, save)
    stage_of, steps, drawn, pages = stage_by_trial(stages), epoch_steps(info, rule, epoch), {}, {}
    for trial in trials:
        found = zip(*select_units(infos[trial], n_type), strict=True)
        chosen = [(int(unit), int(where)) for unit, where in found if units is None or unit in units][:max_units]
        drawn[trial] = [unit for unit, _ in chosen]
        where = f"{rule_name[rule]} at {trial:,} trials ({stage_of[trial]}, performance"
        where += f" {performance_at(log, rule, trial):.2f})\npolar plot: rate in {epoch} / maximum over locations"
        for unit, preferred in chosen:
            means = location_means(hp, model_dir, trial, rule)[:, :, unit]
            about = (info["epoch_info"], hp["dt"], stage_of[trial], f"Unit {unit}, {where}")
            pages[trial, unit] = SampleUnit(means, relative_rates(means, steps), preferred, *about)
    if save:
        for (trial, unit), page in pages.items():
            folder = figure_dir(model_dir, rule, epoch) / "sample_neuron" / f"{trial}{stage_of[trial]}" / n_type
            figures.save_figure(page.plot(), folder / str(unit))
            figures.save_figure(page.plot_polar(), folder / f"{unit}_polar")
    return SampleUnits(drawn, pages)


# -------------------------------------------------------------------------------------------------- arrays in and out


def compute_sample_unit(activity, locations, unit, epochs, epoch, dt, preferred=None, stage=None, title=""):
    """Compute the activity of a unit at each location, and its polar tuning in an epoch.

    Parameters
    ----------
    activity : (n_time, n_trials, n_units) array
    locations : (n_trials,) array
        Label of the location shown in each trial. The labels in ascending order have the indices 0 … n_locations − 1;
        the locations are taken to be evenly spaced on a circle.
    unit : int
        Index of the unit in `activity`.
    epochs : dict
        ``{epoch: (start, end)}`` in steps.
    epoch : str
        Epoch for which the tuning is computed.
    dt : float
        Length of a step in ms.
    preferred : int, optional
        Index of the preferred location. Default: the location with the largest relative rate (absolute value) in the
        epoch.
    stage : str, optional
        Stage of maturation, which determines the color.
    title : str
        Title of the page.

    Returns
    -------
    SampleUnit

    Raises
    ------
    ValueError
        If `epochs` lacks `epoch`.
    """
    check_epochs(epochs, epoch)
    means = mean_by_location(np.asarray(activity)[:, :, [unit]], locations)[:, :, 0]
    rates = relative_rates(means, slice(*epochs[epoch]))
    preferred = int(np.argmax(rates)) if preferred is None else preferred
    return SampleUnit(means, rates, preferred, epochs, dt, stage, title)


def relative_rates(means, steps):
    """Return the absolute value of the mean rate over some time steps at each location, divided by the largest.

    Parameters
    ----------
    means : (n_locations, n_time) array
        Mean activity of one unit over the trials of each location.
    steps : slice
        Time steps of the epoch.

    Returns
    -------
    (n_locations,) array
        Values from 0 to 1; all are zero if the unit is silent at every location.
    """
    rates = np.abs(means[:, steps].mean(axis=1))
    return rates / (np.max(rates) or 1)
