"""Demixed PCA: components of the time, stimulus and interaction parts of population activity."""

import numbers
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.linalg import eigh
from threadpoolctl import threadpool_limits

from rnn_maturation import figures
from rnn_maturation.analysis.activity import Get_H, conditions_text
from rnn_maturation.analysis.conditions import task_info
from rnn_maturation.analysis.memory import remembered
from rnn_maturation.analysis.recorded import load_recorded_trials
from rnn_maturation.analysis.results import MappingResult, labelled
from rnn_maturation.checks import checks_run_arguments, quoted
from rnn_maturation.model_directory import figure_dir
from rnn_maturation.stages import performance_at
from rnn_maturation.task import rule_name

REGULARIZER_GRID = 1e-7 * 1.4 ** np.arange(45)
N_FOLDS = 3
RECORDED_SMOOTHING = 3  # window of `stages.smooth` for the drawn curves of recorded neurons, as published


@labelled
class DemixedPCA(MappingResult):
    """Demixed principal components, as `demixed_pca` returns them.

    The dicts below have the keys 't' (time), 's' (stimulus) and 'st' (interaction of stimulus and time), one for each
    part of the activity.

    Attributes
    ----------
    components : dict of (n_components, n_locations, n_time) arrays
        Centered activity projected onto each decoder, leading component first.
    decoders, encoders : dict of (n_units, n_components) arrays
        Weights that read a component out of the activity, and axes along which the components reconstruct the part.
    explained_variance_ratio : dict of (n_components,) arrays
        Variance of each component as a share of the total variance (0 to 1).
    regularizer : float
        Penalty that was used; `demixed_pca` defines its scale.
    location_names : list of str or None
        Names of the locations; if None, the indices of the locations serve as names.
    dt : float or None
        Duration of a time step in ms; if None (unknown), time is given in steps.
    epochs : dict or None
        {epoch: (start, end)} in steps; None if unknown.
    title : str
        Title of the figure.
    limits : dict or None
        {'t', 's' or 'st': (low, high)}, the limits of the y-axes in the figure; a limit that is None is set
        automatically.
    inverted : tuple of str
        Parts whose y-axis is inverted in the figure; the sign of a component is arbitrary.
    smoothing : int
        Window of `stages.smooth` for the drawn curves; 0 draws them unsmoothed.
    """

    components: dict
    decoders: dict
    encoders: dict
    explained_variance_ratio: dict
    regularizer: float
    location_names: list | None = None
    dt: float | None = None
    epochs: dict | None = None
    title: str = ""
    limits: dict | None = None
    inverted: tuple = ()
    smoothing: int = 0

    @property
    def data(self):
        """Return components, decoders, encoders, explained_variance_ratio and regularizer as a dict."""
        names = ("components", "decoders", "encoders", "explained_variance_ratio", "regularizer")
        return {name: getattr(self, name) for name in names}

    @property
    def names(self):
        """Return the names of the locations, or their indices as text if they have no names."""
        return self.location_names or [str(where) for where in range(self.components["t"].shape[1])]

    def to_frame(self):
        """Return a table with one row for each part, component, location and time step.

        Returns
        -------
        pandas.DataFrame
            Columns part ('t', 's', 'st'), component (1 is the leading one), location (name), time_ms (or step, if
            `dt` is None), value (in the unit of the activity), explained_variance_ratio (of the component).
        """
        tables = []
        for part, values in self.components.items():
            number, where, step = np.indices(values.shape).reshape(3, -1)
            time = {"step": step} if self.dt is None else {"time_ms": step * self.dt}
            columns = {"part": part, "component": number + 1, "location": np.array(self.names)[where], **time}
            columns |= {
                "value": values.ravel(),
                "explained_variance_ratio": self.explained_variance_ratio[part][number],
            }
            tables.append(pd.DataFrame(columns))
        return pd.concat(tables, ignore_index=True)

    def plot(self):
        """Draw the first time, stimulus and interaction components (Fig. 5E).

        Returns
        -------
        matplotlib.figure.Figure
        """
        return figures.demixed_components(self)


def demixed_pca(trials, regularizer="auto", n_components=10):
    """Compute a demixed PCA of activity in single trials.

    The result is deterministic, including the signs of the components. All fits use Gram matrices (units x units):
    G = X X' of the centered trial mean X, and G_p = X_p X_p' of its parts X_p, which are orthogonal to each other. The
    encoders of part p are the leading eigenvectors of G_p (G + ridge I)^-1 G_p. They equal the left singular vectors
    that the published algorithm computes from the full data.

    Parameters
    ----------
    trials : (n_trials, n_units, n_locations, n_time) array
        Firing rates.
    regularizer : 'auto' or float
        Penalty; the ridge is (regularizer * sum(X ** 2)) ** 2. 'auto' chooses the penalty from `REGULARIZER_GRID` that
        has the smallest cross-validation error. A held-out trial is held out for all units, as if they were recorded
        simultaneously.
    n_components : int
        Number of components of each part. If the rank of a part is lower (that of the stimulus part is at most the
        number of locations minus one), the remaining components are zero.

    Returns
    -------
    DemixedPCA

    Raises
    ------
    ValueError
        If the array has another shape, contains NaN or infinity, or does not vary over locations and times, if
        `n_components` is out of range, `regularizer` is neither 'auto' nor a number of at least 0, or 'auto' has fewer
        than two trials.

    References
    ----------
    Kobak et al., Demixed principal component analysis of neural population data, eLife 5:e10989, 2016. Figure 5E of
    the maturation paper.
    """
    trials = _checked(trials, regularizer, n_components)
    with threadpool_limits(1, user_api="blas"):  # the matrices are so small that more threads take longer
        if isinstance(regularizer, str):
            total, n_trials, errors = trials.sum(axis=0), len(trials), np.zeros(len(REGULARIZER_GRID))
            for held_out in trials[np.linspace(0, n_trials, min(N_FOLDS, n_trials), endpoint=False).astype(int)]:
                training, test = _Gram((total - held_out) / (n_trials - 1)), _Gram(held_out)
                errors += [test.error(fit) for fit in training.fits(REGULARIZER_GRID, n_components)]
            regularizer = REGULARIZER_GRID[errors.argmin()]
        gram = _Gram(trials.mean(axis=0))
        fit = next(gram.fits([regularizer], n_components))
    decoders, encoders, components, explained = {}, {}, {}, {}
    for part, (decoder, encoder) in fit.items():
        padding = ((0, 0), (0, n_components - encoder.shape[1]))
        decoders[part], encoders[part] = np.pad(decoder, padding), np.pad(encoder, padding)
        seen = decoders[part].T @ gram.centered
        components[part] = seen.reshape(n_components, *trials.shape[2:])
        explained[part] = (seen**2).sum(axis=1) / gram.total
    return DemixedPCA(components, decoders, encoders, explained, float(regularizer))


def _checked(trials, regularizer, n_components):
    """Return the trials as float64, or raise a ValueError that names the unsuitable argument."""
    trials = np.asarray(trials, dtype=float)
    if trials.ndim != 4 or min(trials.shape) == 0:
        raise ValueError(
            "demixed_pca needs a non-empty array (n_trials, n_units, n_locations, n_time); got an array of shape "
            f"{quoted(trials.shape)}."
        )
    if not np.isfinite(trials).all():
        raise ValueError(
            "The activity given to demixed_pca contains NaN or infinity. Leave out the units or trials concerned."
        )
    if np.ptp(trials.mean(axis=0), axis=(1, 2)).max() == 0:
        raise ValueError(
            "The activity given to demixed_pca is the same at all times and locations, so that there is no variance to "
            "explain."
        )
    if not 1 <= n_components <= trials.shape[1]:
        raise ValueError(
            f"n_components must be 1 to {trials.shape[1]} (the number of units); got {quoted(n_components)}."
        )
    if regularizer != "auto" and not (isinstance(regularizer, numbers.Real) and 0 <= regularizer < np.inf):
        raise ValueError(f"regularizer must be 'auto' or a number of at least 0; got {quoted(regularizer)}.")
    if isinstance(regularizer, str) and len(trials) < 2:
        raise ValueError(
            "regularizer='auto' holds out trials and needs two or more trials per location; with a single trial, pass "
            "a number instead."
        )
    return trials


class _Gram:
    """Gram matrices of activity and of its parts, which suffice to fit with any penalty and to compute test errors.

    Parameters
    ----------
    activity : (n_units, n_locations, n_time) array
        Activity in one trial per location, or its mean over trials.

    Attributes
    ----------
    centered : (n_units, n_locations * n_time) array
        Activity minus each unit's mean over locations and times; the sum of the parts, which are orthogonal to each
        other.
    total : float
        Sum of squares of `centered`.
    whole : (n_units, n_units) array
        Gram matrix of `centered`.
    parts : dict of (n_units, n_units) arrays
        {'t', 's' or 'st': Gram matrix of the part}.
    """

    def __init__(self, activity):
        centered = activity - activity.mean(axis=(1, 2), keepdims=True)
        time = np.broadcast_to(centered.mean(axis=1, keepdims=True), centered.shape)
        stimulus = np.broadcast_to(centered.mean(axis=2, keepdims=True), centered.shape)
        parts = {"t": time, "s": stimulus, "st": centered - time - stimulus}
        parts = {name: part.reshape(len(activity), -1) for name, part in parts.items()}
        self.centered = centered.reshape(len(activity), -1)
        self.total = (self.centered**2).sum()
        self.whole = self.centered @ self.centered.T
        self.parts = {name: part @ part.T for name, part in parts.items()}

    def fits(self, regularizers, n_components):
        """Yield {part: (decoder, encoder)} for each penalty, with the same eigendecompositions for all penalties."""
        values, vectors = np.linalg.eigh(self.whole)
        bases, scaled = {}, {}
        for name, gram in self.parts.items():
            sizes, axes = np.linalg.eigh(gram)
            in_range = sizes > sizes[-1] * len(sizes) * np.finfo(float).eps  # the others are zero within rounding
            bases[name] = axes[:, in_range]
            scaled[name] = sizes[in_range][:, None] * (bases[name].T @ vectors)
        for regularizer in regularizers:
            inverse = 1 / (np.maximum(values, 0) + max((regularizer * self.total) ** 2, np.finfo(float).tiny))
            fit = {}
            for name, basis in bases.items():
                leading = (scaled[name] * inverse) @ scaled[name].T
                rank = len(leading)
                if rank:  # take the leading eigenvectors, largest eigenvalue first
                    kept = (max(rank - n_components, 0), rank - 1)
                    leading = eigh(leading, subset_by_index=kept, check_finite=False)[1][:, ::-1]
                encoder = basis @ leading
                sign = np.sign(encoder[np.abs(encoder).argmax(axis=0), np.arange(encoder.shape[1])])
                decoder = vectors @ (inverse[:, None] * (scaled[name].T @ leading))
                fit[name] = decoder * sign, encoder * sign
            yield fit

    def error(self, fit):
        """Return the error of a fit on this activity: the sum over parts of ||X_p - F D'X + diag(F D')X||^2.

        F is the encoder and D the decoder of part p.
        """
        errors = []
        for name, (decoder, encoder) in fit.items():
            part = self.parts[name]
            # what a unit predicts of itself is taken out of the prediction, because it includes the unit's own noise
            own = (encoder * decoder).sum(axis=1)
            seen, seen_part = self.whole @ decoder, part @ decoder
            crossing = (own * np.diag(part)).sum() - (encoder * seen_part).sum()
            predicted = (own**2 * np.diag(self.whole)).sum() - 2 * (own[:, None] * encoder * seen).sum()
            errors.append(np.trace(part) + 2 * crossing + predicted + (decoder * seen).sum())
        return sum(errors)


def compute_demixed_pca(
    activity, locations, dt=None, epochs=None, shown=None, regularizer="auto", n_components=10, title=""
):
    """Compute a demixed PCA of activity in trials of known locations, with labels for tables and figures.

    Parameters
    ----------
    activity : (n_time, n_trials, n_units) array
        Firing rates of a network's units, or of neurons recorded simultaneously.
    locations : (n_trials,) array
        Label of the location in each trial. Every location must have the same number of trials.
    dt : float, optional
        Duration of a time step in ms; without it, time is given in steps.
    epochs : dict, optional
        {epoch: (start, end)} in steps, for the figure.
    shown : list, optional
        Labels of the locations that are analyzed, at least two; default: all.
    regularizer, n_components
        As for `demixed_pca`.
    title : str
        Title of the figure.

    Returns
    -------
    DemixedPCA
        The locations are named by their angles in degrees. All labels in `locations`, in ascending order, are taken to
        be evenly spaced on a circle that starts at 0°.

    Raises
    ------
    ValueError
        If the locations have different numbers of trials, `shown` contains fewer than two locations or an unknown one,
        or the activity cannot be analyzed (see `demixed_pca`).
    """
    known = np.unique(locations).tolist()
    shown = known if shown is None else _chosen(shown, known)
    result = demixed_pca(trials_by_location(np.asarray(activity), locations, shown), regularizer, n_components)
    names = [f"{known.index(where) * 360 / len(known):g}°" for where in shown]
    return replace(result, location_names=names, dt=dt, epochs=epochs, title=title)


def checkpoint_demixed_pca(hp, model_dir, trial_num, rule, conditions, locations, task_mode="test"):
    """Compute a demixed PCA of the activity at a checkpoint; the result is remembered for further calls.

    Parameters
    ----------
    hp : dict
    model_dir : str
    trial_num : int
    rule : str
    conditions : dict
        'in_loc' (n_trials,) and 'epoch_info' {epoch: (start, end)} in steps.
    locations : list of int
        Indices of the locations that are analyzed.
    task_mode : str
        Mode of `task.generate_trials`; see `Get_H`.

    Returns
    -------
    DemixedPCA
    """

    def compute():
        activity = Get_H(hp, model_dir, trial_num, rule, task_mode=task_mode)
        return compute_demixed_pca(activity, conditions["in_loc"], hp["dt"], conditions["epoch_info"], locations)

    details = task_mode, str(locations), conditions_text(conditions)
    return remembered(compute, "demixed PCA", hp, model_dir, trial_num, rule, *details)


# ---------------------------------------------------------------------------------------------------- public analyses


@checks_run_arguments
def neuron_dPCA(
    hp,
    log,
    model_dir,
    trial_num,
    rule,
    task_mode="test",
    appoint_loc_analysis=False,
    appoint_locs=(0, 4),
    invert_tcomp_y=False,
    invert_scomp_y=False,
    invert_stcomp_y=False,
    tcomp_ylim=(None, None),
    scomp_ylim=(None, None),
    stcomp_ylim=(None, None),
    save=True,
):
    """Compute a demixed PCA of the activity at a checkpoint and draw its first components (Fig. 5E).

    The figure shows the first time, stimulus and interaction component.

    Parameters
    ----------
    hp, log : dict
    model_dir : str
    trial_num : int
    rule : str
    task_mode : str
        Mode of `task.generate_trials`; see `Get_H`.
    appoint_loc_analysis : bool
        Whether to analyze only the locations `appoint_locs`.
    appoint_locs : sequence of int
        Location indices, starting at 0.
    invert_tcomp_y, invert_scomp_y, invert_stcomp_y : bool
        Whether to invert the y-axis of the time, stimulus or interaction component; the sign of a component is
        arbitrary.
    tcomp_ylim, scomp_ylim, stcomp_ylim : (low, high)
        Limits of the y-axes; None sets a limit automatically.
    save : bool
        Whether to write the figure.

    Returns
    -------
    DemixedPCA

    Raises
    ------
    ValueError
        If the rule is not in the network's rule set, fewer than two locations or an unknown one are to be analyzed, or
        the activity does not vary over locations and times.
    FileNotFoundError
        If the checkpoint does not exist.
    """
    info = task_info(hp, model_dir, rule)
    locations = _chosen(appoint_locs, info["in_loc_set"]) if appoint_loc_analysis else list(info["in_loc_set"])

    result = checkpoint_demixed_pca(hp, model_dir, trial_num, rule, info, locations, task_mode)
    title = f"{rule_name[rule]} at {trial_num:,} trials, performance {performance_at(log, rule, trial_num):.2f}"
    limits = {"t": tcomp_ylim, "s": scomp_ylim, "st": stcomp_ylim}
    inverted = _inverted(invert_tcomp_y, invert_scomp_y, invert_stcomp_y)
    result = replace(result, title=title, limits=limits, inverted=inverted)
    if save:
        chosen = f"_locs_{locations}" if appoint_loc_analysis else ""
        stem = f"RNNneuron_dPCA_rule_{rule}_trialnum_{trial_num}{chosen}"
        figures.save_figure(result.plot(), figure_dir(model_dir, rule) / stem)
    return result


def real_neuron_dPCA(
    neuron_file="data/adultFiringRate8trials.txt",
    time_len=176,
    trial_per_loc=8,
    dt=20,
    appoint_loc_analysis=False,
    appoint_locs=(1, 5),
    invert_tcomp_y=False,
    invert_scomp_y=False,
    invert_stcomp_y=False,
    tcomp_ylim=(None, None),
    scomp_ylim=(None, None),
    stcomp_ylim=(None, None),
    save=True,
):
    """Compute a demixed PCA of recorded neurons and draw its first components, as `neuron_dPCA` does.

    The drawn curves are smoothed; the returned components are not.

    Parameters
    ----------
    neuron_file : str
        File in the format that `recorded.load_recorded_trials` reads.
    time_len, trial_per_loc : int
        Steps per trial, and number of trials per location, in the file.
    dt : float
        Duration of a time step in ms.
    appoint_loc_analysis : bool
        Whether to analyze only the locations `appoint_locs`.
    appoint_locs : sequence of int
        Location numbers as in the file, starting at 1.
    invert_tcomp_y, invert_scomp_y, invert_stcomp_y, tcomp_ylim, scomp_ylim, stcomp_ylim
        As for `neuron_dPCA`.
    save : bool
        Whether to write the figure, to figure/ in the current folder.

    Returns
    -------
    DemixedPCA

    Raises
    ------
    ValueError
        If the file has another layout, or fewer than two locations or an unknown one are to be analyzed.
    FileNotFoundError
        If the file does not exist.
    """
    trials, name = load_recorded_trials(neuron_file, time_len, trial_per_loc), Path(neuron_file).stem
    numbers = list(range(1, trials.shape[2] + 1))
    locations = _chosen(appoint_locs, numbers) if appoint_loc_analysis else numbers
    result = replace(
        demixed_pca(trials[:, :, [where - 1 for where in locations]]),
        location_names=[f"{(where - 1) * 360 / len(numbers):g}°" for where in locations],
        dt=dt,
        title=f"Recorded neurons, {name}",
        limits={"t": tcomp_ylim, "s": scomp_ylim, "st": stcomp_ylim},
        inverted=_inverted(invert_tcomp_y, invert_scomp_y, invert_stcomp_y),
        smoothing=RECORDED_SMOOTHING,
    )
    if save:
        figures.save_figure(result.plot(), Path("figure") / f"realneuron_dPCA_{name}")
    return result


def _inverted(*invert):
    """Return the parts whose y-axis is inverted, given one flag for each of t, s and st."""
    return tuple(part for part, inverted in zip(("t", "s", "st"), invert, strict=True) if inverted)


def _chosen(appoint_locs, known):
    """Return the chosen locations as a list; raise a ValueError if there are fewer than two or one is unknown."""
    locations = np.asarray(appoint_locs).ravel().tolist()
    if len(set(locations)) < 2 or not set(locations) <= set(known):
        raise ValueError(
            f"Choose two or more different locations (appoint_locs or shown) from {quoted(list(known))}; got "
            f"{quoted(appoint_locs)}."
        )
    return locations


def trials_by_location(activity, in_loc, locations):
    """Return activity sorted by location, with the axes in the order that `demixed_pca` expects.

    Parameters
    ----------
    activity : (n_time, n_trials, n_units) array
    in_loc : (n_trials,) array
        Label of the location in each trial.
    locations : sequence
        Labels of the locations to include.

    Returns
    -------
    (n_trials, n_units, n_locations, n_time) array
        Here n_trials is the number of trials per location.

    Raises
    ------
    ValueError
        If the locations do not have the same number of trials.
    """
    of_each = [np.flatnonzero(np.asarray(in_loc) == where) for where in locations]
    counts = [len(trials) for trials in of_each]
    if len(set(counts)) != 1:
        raise ValueError(
            f"Demixed PCA needs the same number of trials at each location; the numbers are {quoted(counts)}."
        )
    return activity[:, np.stack(of_each)].transpose(2, 3, 1, 0)
