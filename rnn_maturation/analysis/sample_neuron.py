"""Pages that show single units: activity at each location and polar tuning."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from rnn_maturation import figures
from rnn_maturation.analysis.activity import location_means, mean_by_location
from rnn_maturation.analysis.conditions import check_epochs, epoch_steps, task_info
from rnn_maturation.analysis.results import MappingResult, Result, labelled
from rnn_maturation.analysis.selectivity import check_types, neuron_infos, select_units
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
        Absolute mean rate in the epoch at each location, divided by its maximum: 0 to 1.
    preferred : int
        Index of the preferred location.
    epochs : dict
        ``{epoch: (start, end)}`` in steps.
    dt : float
        Length of a step in ms.
    stage : str or None
        Stage of maturation, which gives the color.
    title : str
    """

    means: np.ndarray
    relative_rates: np.ndarray
    preferred: int
    epochs: dict
    dt: float
    stage: str | None = None
    title: str = ""

    def to_frame(self):
        """Return a table with a row for each location and step.

        Returns
        -------
        pandas.DataFrame
            Columns location_deg, time_ms, rate, relative_rate (of the location, in the epoch).
        """
        n_locations, n_time = self.means.shape
        degrees = np.arange(n_locations) * 360 / n_locations
        columns = {"location_deg": np.repeat(degrees, n_time), "time_ms": np.tile(np.arange(n_time), n_locations)}
        columns |= {"rate": self.means.ravel(), "relative_rate": np.repeat(self.relative_rates, n_time)}
        table = pd.DataFrame(columns)
        table["time_ms"] *= self.dt
        return table

    def plot(self):
        """Draw the page of the unit (Fig. 3B); without 8 locations, the polar plot alone.

        Returns
        -------
        matplotlib.figure.Figure
        """
        return figures.sample_unit(self) if len(self.means) == 8 else self.plot_polar()

    def plot_polar(self):
        """Draw the polar tuning alone.

        Returns
        -------
        matplotlib.figure.Figure
        """
        return figures.polar_tuning(self)


@labelled
class SampleUnits(MappingResult):
    """The units drawn at each checkpoint.

    Attributes
    ----------
    data : dict
        ``{trial number: list of units}``.
    pages : dict
        ``{(trial number, unit): SampleUnit}``.
    """

    data: dict
    pages: dict

    def to_frame(self):
        """Return a table with a row for each checkpoint, unit, location and step.

        Returns
        -------
        pandas.DataFrame
            Columns trial, unit, and those of `SampleUnit.to_frame`.
        """
        if not self.pages:
            return pd.DataFrame(columns=["trial", "unit", "location_deg", "time_ms", "rate", "relative_rate"])
        tables = {key: page.to_frame() for key, page in self.pages.items()}
        return pd.concat(tables, names=["trial", "unit", None]).reset_index(["trial", "unit"]).reset_index(drop=True)

    def plot(self, trial=None, unit=None):
        """Draw the page of a unit; default: the first one.

        Parameters
        ----------
        trial, unit : int, optional

        Returns
        -------
        matplotlib.figure.Figure

        Raises
        ------
        ValueError
            If no such unit was drawn.
        """
        for key, page in self.pages.items():
            if (trial is None or key[0] == trial) and (unit is None or key[1] == unit):
                return page.plot()
        raise ValueError(f"There is no page of unit {unit} at checkpoint {trial}.")


def sample_neuron_by_trial(hp, log, model_dir, rule, epoch, trial_list, n_type, units=None, max_units=None, save=True):
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
    save : bool
        Write the pages, and the polar plots alone.

    Returns
    -------
    SampleUnits
        Can be used as ``{trial number: units drawn}``.

    Raises
    ------
    ValueError
        If the ring does not have 8 units, or the type or epoch is unknown.
    FileNotFoundError
        If none of the checkpoints is on disk. If some are missing, one warning names them.
    """
    check_types(n_type)
    info = task_info(hp, model_dir, rule)
    check_epochs(info, rule, epoch)
    if len(info["in_loc_set"]) != 8:
        raise ValueError(f"The pages show 8 locations; {model_dir} has {len(info['in_loc_set'])} (n_eachring).")
    trials = present_trials(model_dir, flat_trials(trial_list, rule), rule)
    stages = trials_by_stage(trial_list if isinstance(trial_list, Mapping) else trials, hp, log, rule)
    infos = neuron_infos(hp, model_dir, trials, rule, epoch, save)
    stage_of, steps, drawn, pages = stage_by_trial(stages), epoch_steps(info, rule, epoch), {}, {}
    for trial in trials:
        found = zip(*select_units(infos[trial], n_type), strict=True)
        chosen = [(int(unit), int(where)) for unit, where in found if units is None or unit in units][:max_units]
        drawn[trial] = [unit for unit, _ in chosen]
        where = f"{rule_name[rule]} at {trial:,} trials ({stage_of[trial]}, performance"
        where += f" {performance_at(log, rule, trial):.2f})\npolar plot: rate in {epoch} / its maximum"
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
        Location shown in each trial. In ascending order, the locations have the indices 0 … n_locations − 1.
    unit : int
    epochs : dict
        ``{epoch: (start, end)}`` in steps.
    epoch : str
        Epoch of the tuning.
    dt : float
        Length of a step in ms.
    preferred : int, optional
        Index of the preferred location; default: that of the highest rate.
    stage : str, optional
        Stage of maturation, which gives the color.
    title : str

    Returns
    -------
    SampleUnit
    """
    means = mean_by_location(np.asarray(activity)[:, :, [unit]], locations)[:, :, 0]
    rates = relative_rates(means, slice(*epochs[epoch]))
    preferred = int(np.argmax(rates)) if preferred is None else preferred
    return SampleUnit(means, rates, preferred, epochs, dt, stage, title)


def relative_rates(means, steps):
    """Return the absolute mean rate over some steps at each location, divided by its maximum.

    Parameters
    ----------
    means : (n_locations, n_time) array
    steps : slice

    Returns
    -------
    (n_locations,) array
        0 to 1; zeros for a unit that is silent everywhere.
    """
    rates = np.abs(means[:, steps].mean(axis=1))
    return rates / (np.max(rates) or 1)
