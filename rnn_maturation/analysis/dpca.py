"""Demixed principal components: population activity split into its time, stimulus and mixed parts."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.linalg import eigh
from threadpoolctl import threadpool_limits

from rnn_maturation import figures
from rnn_maturation.analysis.activity import Get_H
from rnn_maturation.analysis.conditions import task_info
from rnn_maturation.analysis.recorded import load_recorded_trials
from rnn_maturation.model_directory import figure_dir
from rnn_maturation.stages import performance_at, smooth
from rnn_maturation.task import rule_name

REGULARIZER_GRID = 1e-7 * 1.4 ** np.arange(45)
N_FOLDS = 3


@dataclass(frozen=True)
class DemixedPCA:
    """Result of `demixed_pca`; every dict has the keys 't' (time), 's' (stimulus) and 'st' (their mixture).

    Attributes
    ----------
    components : dict of (n_components, n_locations, n_time) arrays
        Activity seen by each decoder, leading component first.
    decoders, encoders : dict of (n_units, n_components) arrays
        Read-out weights and the axes on which the part is rebuilt.
    explained_variance_ratio : dict of (n_components,) arrays
        Share of the total variance that each component has.
    regularizer : float
        The penalty used, relative to the total variance.
    """

    components: dict
    decoders: dict
    encoders: dict
    explained_variance_ratio: dict
    regularizer: float


def demixed_pca(trials, regularizer="auto", n_components=10):
    """Demixed PCA of trial-wise activity, deterministic, signs included.

    All fits work on units x units Gram matrices: with G = X X' and G_p = X_p X_p' of the centred trial mean and of
    its parts (which are orthogonal to each other), the encoders of part p are the leading eigenvectors of
    G_p (G + ridge)^-1 G_p, the same as the left singular vectors that the textbook takes from the full data.

    Parameters
    ----------
    trials : (n_trials, n_units, n_locations, n_time) array
        Firing rates.
    regularizer : 'auto' or float
        Penalty; the ridge is (regularizer * sum(X ** 2)) ** 2. 'auto' cross-validates `REGULARIZER_GRID` on held-out
        trials; whole trials are held out, because all units were recorded in the same ones.
    n_components : int
        Components of each part. A part of lower rank (the stimulus part has one less than locations) is filled
        up with zeros.

    Returns
    -------
    DemixedPCA

    Raises
    ------
    ValueError
        When the array has another shape, holds nan or inf, or has fewer than two trials to choose a penalty with.

    References
    ----------
    Kobak et al., Demixed principal component analysis of neural population data, eLife 5:e10989, 2016. Figure 5E of
    the maturation paper.
    """
    trials = _checked(trials, n_components)
    with threadpool_limits(1, user_api="blas"):  # hundreds of small matrices: more threads only wait for each other
        if isinstance(regularizer, str):
            regularizer = _choose_regularizer(trials, regularizer, n_components)
        mean, parts = _marginalise(trials.mean(axis=0))
        fits = _Gram(mean, parts).fit(regularizer, n_components)
    decoders, encoders, components, explained = {}, {}, {}, {}
    for part, (decoder, encoder) in fits.items():
        padding = ((0, 0), (0, n_components - encoder.shape[1]))
        decoders[part], encoders[part] = np.pad(decoder, padding), np.pad(encoder, padding)
        seen = decoders[part].T @ mean
        components[part] = seen.reshape(n_components, *trials.shape[2:])
        explained[part] = (seen**2).sum(axis=1) / (mean**2).sum()
    return DemixedPCA(components, decoders, encoders, explained, float(regularizer))


def _checked(trials, n_components):
    """The trials as float64, or a ValueError that says what is wrong with them."""
    trials = np.asarray(trials, dtype=float)
    if trials.ndim != 4 or min(trials.shape) == 0:
        raise ValueError(f"demixed_pca needs (trials, units, locations, time), none of them empty; got {trials.shape}")
    if not np.isfinite(trials).all():
        raise ValueError("demixed_pca got nan or inf in the activity; leave those units or trials out")
    if np.ptp(trials.mean(axis=0), axis=(1, 2)).max() == 0:
        raise ValueError("demixed_pca got activity that is the same at all times and locations: nothing to explain")
    if not 1 <= n_components <= trials.shape[1]:
        raise ValueError(f"n_components must be 1 to {trials.shape[1]} (the number of units), got {n_components}")
    return trials


def _marginalise(mean):
    """Centred activity (n_units, n_locations * n_time) and its parts, which add up to it."""
    centred = mean - mean.mean(axis=(1, 2), keepdims=True)
    time = np.broadcast_to(centred.mean(axis=1, keepdims=True), centred.shape)
    stimulus = np.broadcast_to(centred.mean(axis=2, keepdims=True), centred.shape)
    parts = {"t": time, "s": stimulus, "st": centred - time - stimulus}
    flat = (mean.shape[0], -1)
    return centred.reshape(flat), {name: part.reshape(flat) for name, part in parts.items()}


class _Gram:
    """Gram matrices of one data set, from which fits at any penalty and held-out errors follow."""

    def __init__(self, mean, parts):
        self.total = (mean**2).sum()
        self.whole = mean @ mean.T
        self.parts = {name: part @ part.T for name, part in parts.items()}

    def fit(self, regularizer, n_components):
        """{part: (decoder, encoder)} at one penalty."""
        return next(self.fits([regularizer], n_components))

    def fits(self, regularizers, n_components):
        """Yield the fit at each penalty; the eigendecompositions are shared by all of them."""
        values, vectors = np.linalg.eigh(self.whole)
        bases = {name: _range_of(gram) for name, gram in self.parts.items()}
        scaled = {name: size[:, None] * (basis.T @ vectors) for name, (size, basis) in bases.items()}
        for regularizer in regularizers:
            inverse = 1 / (np.maximum(values, 0) + max((regularizer * self.total) ** 2, np.finfo(float).tiny))
            fit = {}
            for name, (_, basis) in bases.items():
                leading = _leading_eigenvectors((scaled[name] * inverse) @ scaled[name].T, n_components)
                encoder = basis @ leading
                sign = np.sign(encoder[np.abs(encoder).argmax(axis=0), np.arange(encoder.shape[1])])
                decoder = vectors @ (inverse[:, None] * (scaled[name].T @ leading))
                fit[name] = decoder * sign, encoder * sign
            yield fit

    def error(self, fit):
        """Sum over parts of ||X_p - P D'X + diag(P D')X||^2 on this data set, X never needed itself."""
        return sum(self._part_error(self.parts[name], *axes) for name, axes in fit.items())

    def _part_error(self, part, decoder, encoder):
        own = (encoder * decoder).sum(axis=1)  # what a unit predicts of itself would reward its noise
        seen, seen_part = self.whole @ decoder, part @ decoder
        crossing = (own * np.diag(part)).sum() - (encoder * seen_part).sum()
        predicted = (own**2 * np.diag(self.whole)).sum() - 2 * (own[:, None] * encoder * seen).sum()
        return np.trace(part) + 2 * crossing + predicted + (decoder * seen).sum()


def _range_of(gram):
    """Non-zero eigenvalues of a Gram matrix and their eigenvectors (n_units, rank)."""
    values, vectors = np.linalg.eigh(gram)
    kept = values > values[-1] * len(values) * np.finfo(float).eps
    return values[kept], vectors[:, kept]


def _leading_eigenvectors(matrix, number):
    """Up to `number` eigenvectors of a symmetric matrix, largest eigenvalue first."""
    size = len(matrix)
    if size == 0:
        return matrix
    return eigh(matrix, subset_by_index=(max(size - number, 0), size - 1), check_finite=False)[1][:, ::-1]


def _choose_regularizer(trials, regularizer, n_components):
    """The penalty of `REGULARIZER_GRID` with the least error on held-out trials, summed over evenly spread ones."""
    if regularizer != "auto":
        raise ValueError(f"regularizer must be 'auto' or a number, got {regularizer!r}")
    n_trials = len(trials)
    if n_trials < 2:
        raise ValueError("the automatic regularizer holds trials out and needs two or more; give a number instead")
    errors = np.zeros(len(REGULARIZER_GRID))
    total = trials.sum(axis=0)
    for held_out in trials[np.linspace(0, n_trials, min(N_FOLDS, n_trials), endpoint=False).astype(int)]:
        training, test = _Gram(*_marginalise((total - held_out) / (n_trials - 1))), _Gram(*_marginalise(held_out))
        errors += [test.error(fit) for fit in training.fits(REGULARIZER_GRID, n_components)]
    return REGULARIZER_GRID[errors.argmin()]


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
):
    """Demixed PCA of a checkpoint's activity; draws the first time, stimulus and mixing components (Fig. 5E).

    Parameters
    ----------
    hp, log : dict
    model_dir : str
    trial_num : int
    rule : str
    task_mode : str
        Mode of `task.generate_trials`, see `Get_H`.
    appoint_loc_analysis : bool
        Use the locations `appoint_locs` (0-based) only.
    invert_tcomp_y, invert_scomp_y, invert_stcomp_y : bool
        Draw a component upside down; its sign is arbitrary.
    tcomp_ylim, scomp_ylim, stcomp_ylim : (low, high)
        Limits of the drawn ordinates.

    Returns
    -------
    DemixedPCA

    Raises
    ------
    ValueError
        An unknown rule or location, or activity in which nothing varies.
    FileNotFoundError
        There is no such checkpoint.
    """
    info = task_info(hp, model_dir, rule)
    locations = _chosen(appoint_locs, info["in_loc_set"]) if appoint_loc_analysis else info["in_loc_set"]
    activity = Get_H(hp, model_dir, trial_num, rule, task_mode=task_mode)
    result = demixed_pca(trials_by_location(activity, info["in_loc"], locations))
    title = f"{rule_name[rule]} at {trial_num} trials, performance {performance_at(log, rule, trial_num):.2f}"
    names = [f"{where * 360 / len(info['in_loc_set']):g}°" for where in locations]
    figure = figures.demixed_components(
        result,
        hp["dt"],
        info["epoch_info"],
        names,
        {"t": tcomp_ylim, "s": scomp_ylim, "st": stcomp_ylim},
        {"t": invert_tcomp_y, "s": invert_scomp_y, "st": invert_stcomp_y},
        title,
    )
    chosen = f"_locs_{list(locations)}" if appoint_loc_analysis else ""
    folder = figure_dir(model_dir, rule)
    figures.save_figure(figure, folder / f"RNNneuron_dPCA_rule_{rule}_trialnum_{trial_num}{chosen}")
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
):
    """`neuron_dPCA` of recorded neurons; drawn curves are smoothed.

    Parameters
    ----------
    neuron_file : str
        See `recorded.load_recorded_trials`.
    time_len, trial_per_loc : int
        Steps of a trial, trials of a location.
    dt : float
        Step, ms.
    appoint_locs : tuple of int
        1-based locations, used with `appoint_loc_analysis`.

    Returns
    -------
    DemixedPCA

    Raises
    ------
    ValueError
        The file has another layout, or locations that it does not have are asked for.
    FileNotFoundError
        There is no such file.
    """
    trials = load_recorded_trials(neuron_file, time_len, trial_per_loc)
    numbers = list(range(1, trials.shape[2] + 1))
    locations = _chosen(appoint_locs, numbers) if appoint_loc_analysis else numbers
    result = demixed_pca(trials[:, :, [numbers.index(where) for where in locations]])
    figure = figures.demixed_components(
        result,
        dt,
        None,
        [f"{(where - 1) * 360 / len(numbers):g}°" for where in locations],
        {"t": tcomp_ylim, "s": scomp_ylim, "st": stcomp_ylim},
        {"t": invert_tcomp_y, "s": invert_scomp_y, "st": invert_stcomp_y},
        f"Recorded neurons, {Path(neuron_file).stem}",
        smoothing=lambda curve: smooth(curve, 3),
    )
    figures.save_figure(figure, Path("figure") / f"realneuron_dPCA_{Path(neuron_file).stem}")
    return result


def _chosen(appoint_locs, known):
    """The locations asked for; ValueError when there are less than two or one is unknown."""
    locations = [int(where) for where in appoint_locs]
    if len(set(locations)) < 2 or not set(locations) <= {int(where) for where in known}:
        raise ValueError(f"appoint_locs must be two or more of the locations {list(known)}, not {appoint_locs}.")
    return locations


def trials_by_location(activity, in_loc, locations):
    """Activity (n_time, n_trials, n_units) sorted by location: (trials of each, n_units, n_locations, n_time).

    Raises
    ------
    ValueError
        When the locations do not have the same number of trials.
    """
    of_each = [np.flatnonzero(np.asarray(in_loc) == where) for where in locations]
    counts = [len(trials) for trials in of_each]
    if len(set(counts)) != 1:
        raise ValueError(f"demixed PCA needs the same number of trials at each location, got {counts}.")
    return activity[:, np.stack(of_each)].transpose(2, 3, 1, 0)
