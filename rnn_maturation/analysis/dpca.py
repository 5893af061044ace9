"""Demixed principal components: population activity split into its time, stimulus and mixed parts."""

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
from rnn_maturation.model_directory import figure_dir
from rnn_maturation.stages import performance_at
from rnn_maturation.task import rule_name

REGULARIZER_GRID = 1e-7 * 1.4 ** np.arange(45)
N_FOLDS = 3
RECORDED_SMOOTHING = 3  # window of `stages.smooth` with which curves of recorded neurons are drawn, as published


@labelled
class DemixedPCA(MappingResult):
    """Result of `demixed_pca`; the dicts have the keys 't' (time), 's' (stimulus) and 'st' (their interaction).

    Attributes
    ----------
    components : dict of (n_components, n_locations, n_time) arrays
        Activity seen by each decoder, leading component first.
    decoders, encoders : dict of (n_units, n_components) arrays
        Read-out weights, and the axes on which the part is reconstructed.
    explained_variance_ratio : dict of (n_components,) arrays
        Share of the total variance that each component explains.
    regularizer : float
        Penalty that was used, relative to the total variance.
    location_names : list of str or None
        Names of the locations; None: their indices.
    dt : float or None
        Length of a step in ms; None: unknown, time is given in steps.
    epochs : dict or None
        {epoch: (start, end)} in steps.
    title : str
    limits : dict
        {'t', 's', 'st': (low, high)} of the ordinates in the figure; None leaves a limit open.
    inverted : tuple of str
        Parts whose ordinate points downwards; the sign of a component is arbitrary.
    smoothing : int
        Window of `stages.smooth` with which the curves are drawn; 0: not smoothed.
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
        """Return the names of the locations, their indices where they have none."""
        return self.location_names or [str(where) for where in range(self.components["t"].shape[1])]

    def to_frame(self):
        """Return a table with a row for each part, component, location and step.

        Returns
        -------
        pandas.DataFrame
            Columns part ('t', 's', 'st'), component (1 is the leading one), location (name), time_ms (or step where
            dt is not known), value, explained_variance_ratio (of the component).
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
    """Compute a demixed PCA of trial-wise activity; deterministic, including the signs.

    All fits use Gram matrices (units x units): with G = X X' and G_p = X_p X_p' of the centered trial mean and of its
    parts, which are orthogonal to each other, the encoders of part p are the leading eigenvectors of
    G_p (G + ridge)^-1 G_p. These are the left singular vectors that the algorithm as published takes of the full data.

    Parameters
    ----------
    trials : (n_trials, n_units, n_locations, n_time) array
        Firing rates.
    regularizer : 'auto' or float
        Penalty; the ridge is (regularizer * sum(X ** 2)) ** 2. 'auto' cross-validates `REGULARIZER_GRID` on held-out
        trials. Whole trials are held out, because all units are recorded in the same trials.
    n_components : int
        Number of components of each part. Where a part has a lower rank (that of the stimulus part is one less than
        the number of locations), the remaining components are zero.

    Returns
    -------
    DemixedPCA

    Raises
    ------
    ValueError
        If the array has another shape, contains nan or inf, or has fewer than two trials to choose a penalty with.

    References
    ----------
    Kobak et al., Demixed principal component analysis of neural population data, eLife 5:e10989, 2016. Figure 5E of
    the maturation paper.
    """
    trials = _checked(trials, regularizer, n_components)
    with threadpool_limits(1, user_api="blas"):  # matrices are small: threads would wait for each other
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
    """Return the trials as float64, or raise a ValueError that says what is wrong with an argument."""
    trials = np.asarray(trials, dtype=float)
    if trials.ndim != 4 or min(trials.shape) == 0:
        raise ValueError(f"demixed_pca needs (trials, units, locations, time), none of them empty; got {trials.shape}")
    if not np.isfinite(trials).all():
        raise ValueError("demixed_pca got nan or inf in the activity; leave out those units or trials")
    if np.ptp(trials.mean(axis=0), axis=(1, 2)).max() == 0:
        raise ValueError("demixed_pca got activity that is the same at all times and locations: nothing to explain")
    if not 1 <= n_components <= trials.shape[1]:
        raise ValueError(f"n_components must be 1 to {trials.shape[1]} (the number of units), got {n_components}")
    if isinstance(regularizer, str) and regularizer != "auto":
        raise ValueError(f"regularizer must be 'auto' or a number, got {regularizer!r}")
    if isinstance(regularizer, str) and len(trials) < 2:
        raise ValueError("the automatic regularizer holds trials out and needs two or more; give a number instead")
    return trials


class _Gram:
    """Gram matrices of activity and of its parts, from which fits with any penalty and held-out errors follow.

    Parameters
    ----------
    activity : (n_units, n_locations, n_time) array

    Attributes
    ----------
    centered : (n_units, n_locations * n_time) array
        Activity minus its mean; the parts add up to it and are orthogonal to each other.
    total : float
        Sum of squares of `centered`.
    whole : (n_units, n_units) array
    parts : {'t', 's', 'st': (n_units, n_units) array}
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
        """Yield {part: (decoder, encoder)} for each penalty; all of them share the eigendecompositions."""
        values, vectors = np.linalg.eigh(self.whole)
        bases, scaled = {}, {}
        for name, gram in self.parts.items():
            sizes, axes = np.linalg.eigh(gram)
            in_range = sizes > sizes[-1] * len(sizes) * np.finfo(float).eps  # the others are zero but for rounding
            bases[name] = axes[:, in_range]
            scaled[name] = sizes[in_range][:, None] * (bases[name].T @ vectors)
        for regularizer in regularizers:
            inverse = 1 / (np.maximum(values, 0) + max((regularizer * self.total) ** 2, np.finfo(float).tiny))
            fit = {}
            for name, basis in bases.items():
                leading = (scaled[name] * inverse) @ scaled[name].T
                rank = len(leading)
                if rank:  # its leading eigenvectors, largest eigenvalue first
                    kept = (max(rank - n_components, 0), rank - 1)
                    leading = eigh(leading, subset_by_index=kept, check_finite=False)[1][:, ::-1]
                encoder = basis @ leading
                sign = np.sign(encoder[np.abs(encoder).argmax(axis=0), np.arange(encoder.shape[1])])
                decoder = vectors @ (inverse[:, None] * (scaled[name].T @ leading))
                fit[name] = decoder * sign, encoder * sign
            yield fit

    def error(self, fit):
        """Return the sum over parts of ||X_p - P D'X + diag(P D')X||^2 on this data set."""
        errors = []
        for name, (decoder, encoder) in fit.items():
            part = self.parts[name]
            own = (encoder * decoder).sum(axis=1)  # left out: a unit that predicts itself predicts its noise
            seen, seen_part = self.whole @ decoder, part @ decoder
            crossing = (own * np.diag(part)).sum() - (encoder * seen_part).sum()
            predicted = (own**2 * np.diag(self.whole)).sum() - 2 * (own[:, None] * encoder * seen).sum()
            errors.append(np.trace(part) + 2 * crossing + predicted + (decoder * seen).sum())
        return sum(errors)


def compute_demixed_pca(
    activity, locations, dt=None, epochs=None, shown=None, regularizer="auto", n_components=10, title=""
):
    """Compute a demixed PCA of activity with the location of each trial; labelled for tables and figures.

    Parameters
    ----------
    activity : (n_time, n_trials, n_units) array
        Firing rates of a network or of neurons recorded together.
    locations : (n_trials,) array
        Label of the location in each trial; every location has the same number of trials.
    dt : float, optional
        Length of a step in ms.
    epochs : dict, optional
        {epoch: (start, end)} in steps, for the figure.
    shown : list, optional
        Labels of two or more locations to which the analysis is restricted; default: all.
    regularizer, n_components
        As for `demixed_pca`.
    title : str

    Returns
    -------
    DemixedPCA
        Locations are named by their angles, as all of them are taken to be evenly spaced on a circle.

    Raises
    ------
    ValueError
        If locations have different numbers of trials, or the activity cannot be analyzed (see `demixed_pca`).
    """
    known = np.unique(locations).tolist()
    shown = known if shown is None else _chosen(shown, known)
    result = demixed_pca(trials_by_location(np.asarray(activity), locations, shown), regularizer, n_components)
    names = [f"{known.index(where) * 360 / len(known):g}°" for where in shown]
    return replace(result, location_names=names, dt=dt, epochs=epochs, title=title)


def checkpoint_demixed_pca(hp, model_dir, trial_num, rule, conditions, locations, task_mode="test"):
    """Compute a demixed PCA of a checkpoint, once for the same conditions.

    Parameters
    ----------
    hp : dict
    model_dir : str
    trial_num : int
    rule : str
    conditions : dict
        'in_loc' (n_trials,) and 'epoch_info' {epoch: (start, end)} in steps.
    locations : list of int
        Indices of the locations to which the analysis is restricted.
    task_mode : str
        Mode of `task.generate_trials`, see `Get_H`.

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
    """Compute a demixed PCA of a checkpoint; draw the first time, stimulus and interaction components (Fig. 5E).

    Parameters
    ----------
    hp, log : dict
    model_dir : str
    trial_num : int
    rule : str
    task_mode : str
        Mode of `task.generate_trials`, see `Get_H`.
    appoint_loc_analysis : bool
        Analyze only the locations `appoint_locs` (0-based).
    appoint_locs : sequence of int
    invert_tcomp_y, invert_scomp_y, invert_stcomp_y : bool
        Turn the ordinate of a component upside down; the sign of a component is arbitrary.
    tcomp_ylim, scomp_ylim, stcomp_ylim : (low, high)
        Limits of the ordinates.
    save : bool
        Write the figure.

    Returns
    -------
    DemixedPCA

    Raises
    ------
    ValueError
        If the network has no such rule or location, or nothing varies in the activity.
    FileNotFoundError
        If there is no such checkpoint.
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
    """Compute and draw `neuron_dPCA` of recorded neurons; the drawn curves are smoothed.

    Parameters
    ----------
    neuron_file : str
        See `recorded.load_recorded_trials`.
    time_len, trial_per_loc : int
        Steps of a trial, trials of each location.
    dt : float
        Length of a step in ms.
    appoint_loc_analysis : bool
        Analyze only the locations `appoint_locs` (1-based).
    appoint_locs : sequence of int
    invert_tcomp_y, invert_scomp_y, invert_stcomp_y, tcomp_ylim, scomp_ylim, stcomp_ylim
        As for `neuron_dPCA`.
    save : bool
        Write the figure.

    Returns
    -------
    DemixedPCA

    Raises
    ------
    ValueError
        If the file has another layout, or has no such locations.
    FileNotFoundError
        If there is no such file.
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
    """Return the parts whose axis is turned, of three flags in the order t, s, st."""
    return tuple(part for part, inverted in zip(("t", "s", "st"), invert, strict=True) if inverted)


def _chosen(appoint_locs, known):
    """Return the locations asked for; raise a ValueError if there are fewer than two or one is unknown."""
    locations = np.asarray(appoint_locs).ravel().tolist()
    if len(set(locations)) < 2 or not set(locations) <= set(known):
        raise ValueError(f"appoint_locs must be two or more of the locations {list(known)}, not {appoint_locs}.")
    return locations


def trials_by_location(activity, in_loc, locations):
    """Return activity sorted by location, in the order of axes that `demixed_pca` takes.

    Parameters
    ----------
    activity : (n_time, n_trials, n_units) array
    in_loc : (n_trials,) array
        Label of the location in each trial.
    locations : sequence
        Labels of the locations to take.

    Returns
    -------
    (trials of each location, n_units, n_locations, n_time) array

    Raises
    ------
    ValueError
        If the locations do not have the same number of trials.
    """
    of_each = [np.flatnonzero(np.asarray(in_loc) == where) for where in locations]
    counts = [len(trials) for trials in of_each]
    if len(set(counts)) != 1:
        raise ValueError(f"demixed PCA needs the same number of trials at each location, got {counts}.")
    return activity[:, np.stack(of_each)].transpose(2, 3, 1, 0)
