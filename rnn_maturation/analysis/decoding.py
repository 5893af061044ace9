"""Cross-temporal decoding: which location was shown, read at one time by a classifier trained at another."""

from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.model_selection import StratifiedShuffleSplit
from sklearn.svm import SVC

from rnn_maturation import figures
from rnn_maturation.analysis.activity import Get_H, conditions_text
from rnn_maturation.analysis.conditions import task_info
from rnn_maturation.analysis.memory import remembered
from rnn_maturation.analysis.parallel import in_order
from rnn_maturation.analysis.recorded import artificial_trials, load_recorded_trials
from rnn_maturation.analysis.results import TableResult, labelled
from rnn_maturation.checks import check_whole_number
from rnn_maturation.model_directory import figure_dir
from rnn_maturation.task import rule_name

SPLIT_SEED = 0  # of the random splits and artificial trials of recorded neurons: the same in every call


@labelled
class DecoderResult(TableResult):
    """Share of trials whose location is decoded correctly, for every training window and tested window.

    It can be used as the pandas.DataFrame that the original returned.

    Attributes
    ----------
    data : pandas.DataFrame
        Scores, row = training window, column = tested window; labels: start of the window in s, as text.
    dt : float
        Length of a step in ms.
    window_size, stride : int
        Steps over which activity is averaged, and between the starts of windows.
    chance : float
        Score of guessing, 1 / number of locations.
    epochs : dict or None
        {epoch: (start, end)} in steps.
    title : str
    """

    data: pd.DataFrame
    dt: float
    window_size: int
    stride: int
    chance: float
    epochs: dict | None = None
    title: str = ""

    def to_frame(self):
        """Return a table with a row for each pair of windows.

        Returns
        -------
        pandas.DataFrame
            Columns training_start_ms, tested_start_ms (start of the window), share_correct.
        """
        scores = self.data.to_numpy()
        start_ms = np.arange(len(scores)) * self.stride * self.dt
        columns = {
            "training_start_ms": np.repeat(start_ms, len(scores)),
            "tested_start_ms": np.tile(start_ms, len(scores)),
        }
        return pd.DataFrame({**columns, "share_correct": scores.ravel()})

    def plot(self):
        """Draw the scores as a heat map (Fig. S5E).

        Returns
        -------
        matplotlib.figure.Figure
        """
        return figures.decoder_scores(self)


# ---------------------------------------------------------------------------------------------------- public analyses


def Decoder_analysis(
    hp,
    model_dir,
    trial_num,
    rule="odr",
    task_mode="test",
    window_size=2,
    stride=1,
    test_num=2,
    holdout="original",
    save=True,
):
    """Decode the shown location from activity at one time with classifiers trained at another (Fig. S5E).

    Parameters
    ----------
    hp : dict
    model_dir : str
    trial_num : int
    rule : str
    task_mode : str
        Mode of `task.generate_trials`, see `Get_H`.
    window_size, stride : int
        Steps over which activity is averaged, and between the starts of windows.
    test_num : int
        Number of trials of each location that are held out.
    holdout : 'original' or 'everywhere'
        See `cross_temporal_scores`: as published, where the scores off the diagonal are too high, or leak-free.
    save : bool
        Write the figure.

    Returns
    -------
    DecoderResult

    Raises
    ------
    ValueError
        If the network has no such rule, or windows or held-out trials are impossible.
    FileNotFoundError
        If there is no such checkpoint.
    """
    info = task_info(hp, model_dir, rule)
    check_holdout(holdout)
    title = f"{rule_name[rule]} at {trial_num:,} trials"
    title += ", held out everywhere" if holdout == "everywhere" else ""

    def compute():
        activity = Get_H(hp, model_dir, trial_num, rule, task_mode=task_mode)
        settings = hp["dt"], window_size, stride, test_num, holdout, info["epoch_info"], title
        return compute_decoder_scores(activity, info["in_loc"], *settings)

    details = task_mode, window_size, stride, test_num, holdout, conditions_text(info)
    result = remembered(compute, "decoder", hp, model_dir, trial_num, rule, *details)
    if save:
        stem = f"{rule}_{trial_num}_w{window_size * hp['dt']:g}ms_s{stride * hp['dt']:g}ms"
        stem += "_holdout_everywhere" if holdout == "everywhere" else ""
        figures.save_figure(result.plot(), figure_dir(model_dir, rule) / stem)
    return result


def realneuron_Decoder_analysis(
    neuron_file,
    test_size=0.25,
    test_num=4,
    time_len=176,
    dt=20,
    loc_num=8,
    trial_per_loc=8,
    window_size=2,
    stride=1,
    artifact_trial_num_per_loc=0,
    holdout="original",
    save=True,
):
    """Decode the shown location from recorded neurons, as `Decoder_analysis` does.

    Parameters
    ----------
    neuron_file : str
        See `recorded.load_recorded_trials`.
    test_size : float
        Used with holdout='everywhere' only: the share of the trials that a split holds out. As published, it is
        accepted and not used otherwise.
    test_num : int
        Number of trials of each location that are held out; with holdout='everywhere' the number of random splits.
    time_len, loc_num, trial_per_loc : int
        Layout of the file.
    dt : float
        Length of a step in ms.
    window_size, stride : int
        In steps.
    artifact_trial_num_per_loc : int
        Number of artificial trials of each location, see `recorded.artificial_trials`.
    holdout : 'original' or 'everywhere'
        See `compute_recorded_decoder_scores`.
    save : bool
        Write the figure.

    Returns
    -------
    DecoderResult

    Raises
    ------
    ValueError
        If the file has another layout, or windows or held-out trials are impossible.
    FileNotFoundError
        If there is no such file.
    """
    check_holdout(holdout)
    trials = load_recorded_trials(neuron_file, time_len, trial_per_loc, loc_num)
    activity = trials.transpose(3, 2, 0, 1).reshape(time_len, loc_num * trial_per_loc, -1)
    name, n_artificial = Path(neuron_file).stem, artifact_trial_num_per_loc
    title = f"Recorded neurons, {name}" + (", held out everywhere" if holdout == "everywhere" else "")
    locations = np.repeat(np.arange(loc_num), trial_per_loc)
    settings = dt, window_size, stride, test_num, test_size, n_artificial, holdout, None, title
    result = compute_recorded_decoder_scores(activity, locations, *settings)
    if save:
        stem = f"realneuron_{name}_w{window_size * dt:g}ms_s{stride * dt:g}ms_arti_{n_artificial}_per_loc"
        stem += "_holdout_everywhere" if holdout == "everywhere" else ""
        figures.save_figure(result.plot(), Path("figure") / stem)
    return result


# -------------------------------------------------------------------------------------------------- arrays in and out


def compute_decoder_scores(
    activity, locations, dt, window_size=2, stride=1, test_num=2, holdout="original", epochs=None, title=""
):
    """Decode the location of each trial at one time with classifiers trained at another.

    Parameters
    ----------
    activity : (n_time, n_trials, n_units) array
        Firing rates of a network or of neurons recorded together.
    locations : (n_trials,) array
        Label of the location in each trial.
    dt : float
        Length of a step in ms.
    window_size, stride : int
        Steps over which activity is averaged, and between the starts of windows.
    test_num : int
        Number of trials of each location that are held out together.
    holdout : 'original' or 'everywhere'
        See `cross_temporal_scores`.
    epochs : dict, optional
        {epoch: (start, end)} in steps, for the figure.
    title : str

    Returns
    -------
    DecoderResult

    Raises
    ------
    ValueError
        If windows or held-out trials are impossible.
    """
    rates = window_rates(activity, window_size, stride)
    scores = cross_temporal_scores(rates, np.asarray(locations), test_num, holdout)
    return _labelled_scores(scores, locations, dt, window_size, stride, epochs, title)


def compute_recorded_decoder_scores(
    activity,
    locations,
    dt,
    window_size=2,
    stride=1,
    test_num=4,
    test_size=0.25,
    n_artificial=0,
    holdout="original",
    epochs=None,
    title="",
):
    """Decode the location of recorded trials: rates standardized in each window, scores of held-out trials only.

    Parameters
    ----------
    activity : (n_time, n_trials, n_units) array
        Firing rates.
    locations : (n_trials,) array
        Label of the location in each trial.
    dt : float
        Length of a step in ms.
    window_size, stride : int
        In steps.
    test_num : int
        'original': number of trials of each location that are held out. 'everywhere': number of random splits.
    test_size : float
        Share of the trials that a split holds out ('everywhere' only).
    n_artificial : int
        Number of artificial trials of each location that are added, see `recorded.artificial_trials`.
    holdout : 'original' or 'everywhere'
        'original', as published: the first `test_num` trials of each location are held out at all windows. Rates are
        standardized, and artificial trials drawn, over all trials, the held-out ones included: scores with artificial
        trials are too high. Artificial trials come after the real ones of their location, so none of them is held out
        as long as `test_num` is at most the number of real ones. 'everywhere': mean over random splits, stratified by
        location, in which artificial trials are drawn, and rates standardized, over the training trials only.
    epochs : dict, optional
        {epoch: (start, end)} in steps, for the figure.
    title : str

    Returns
    -------
    DecoderResult

    Raises
    ------
    ValueError
        If windows or held-out trials are impossible.
    """
    check_holdout(holdout)
    rates, where = window_rates(activity, window_size, stride), np.asarray(locations)
    rng = np.random.default_rng(SPLIT_SEED)

    def with_artificial(real):
        made, made_where = artificial_trials(rates[:, real], where[real], n_artificial, rng)
        return np.concatenate([rates, made], axis=1), np.concatenate([where, made_where])

    if holdout == "original":
        all_rates, all_where = with_artificial(np.full(len(where), True))
        folds = location_folds(all_where, test_num)[:1]
        scores = cross_temporal_scores(
            _standardized(all_rates, all_rates), all_where, holdout="everywhere", folds=folds
        )
    else:
        check_whole_number("test_num", test_num)
        n_locations = len(np.unique(where))
        if not n_locations <= test_size * len(where) <= len(where) - n_locations:
            raise ValueError(
                f"test_size {test_size} of {len(where)} trials must hold out, and leave for training, at least one "
                f"trial of each of the {n_locations} locations."
            )
        of_split = []
        splits = StratifiedShuffleSplit(test_num, test_size=test_size, random_state=SPLIT_SEED)
        for _, test in splits.split(where, where):
            held_out = np.isin(np.arange(len(where)), test)
            all_rates, all_where = with_artificial(~held_out)
            fold = np.pad(held_out, (0, len(all_where) - len(where)))
            standardized = _standardized(all_rates, all_rates[:, ~fold])
            of_split.append(cross_temporal_scores(standardized, all_where, holdout="everywhere", folds=[fold]))
        scores = np.mean(of_split, axis=0)
    return _labelled_scores(scores, locations, dt, window_size, stride, epochs, title)


def _standardized(rates, reference):
    """Return rates (n_windows, n_trials, n_units) with the mean 0 and deviation 1 of the reference's trials."""
    deviations = reference.std(axis=1, keepdims=True)
    return (rates - reference.mean(axis=1, keepdims=True)) / np.where(deviations > 0, deviations, 1)


def _labelled_scores(scores, locations, dt, window_size, stride, epochs, title):
    labels = [str(window * stride * dt / 1000) for window in range(len(scores))]
    table = pd.DataFrame(scores, index=labels, columns=labels)
    return DecoderResult(table, dt, window_size, stride, 1 / len(np.unique(locations)), epochs, title)


def window_rates(activity, window_size, stride):
    """Return the mean activity in sliding windows.

    Parameters
    ----------
    activity : (n_time, ...) array
    window_size, stride : int
        Steps over which activity is averaged, and between the starts of windows.

    Returns
    -------
    (n_windows, ...) array
        n_windows is (n_time - window_size) // stride + 1.

    Raises
    ------
    ValueError
        If a window is longer than the trial, or window or stride are less than one step.
    """
    n_time = len(activity)
    if not 1 <= window_size <= n_time or stride < 1:
        raise ValueError(f"window_size must be 1 to {n_time} steps and stride at least 1, got {window_size}, {stride}")
    return np.stack([activity[i : i + window_size].mean(axis=0) for i in range(0, n_time - window_size + 1, stride)])


def location_folds(locations, test_num):
    """Return the trials held out in each fold: the first `test_num` trials of every location, the next ones, and so on.

    Parameters
    ----------
    locations : (n_trials,) array
    test_num : int
        Trials of each location in a fold. Trials left over after the last whole fold are never held out.

    Returns
    -------
    (n_folds, n_trials) array of bool

    Raises
    ------
    ValueError
        If a location would have no trial left to train on.
    """
    fewest = min(np.count_nonzero(locations == location) for location in np.unique(locations))
    if not 1 <= test_num < fewest:
        raise ValueError(f"test_num must be 1 to {fewest - 1} (a location has {fewest} trials), got {test_num}")
    held_out = np.zeros((fewest // test_num, len(locations)), dtype=bool)
    for location in np.unique(locations):
        trials = np.flatnonzero(locations == location)
        for fold in range(len(held_out)):
            held_out[fold, trials[fold * test_num : (fold + 1) * test_num]] = True
    return held_out


def cross_temporal_scores(rates, locations, test_num=2, holdout="original", folds=None):
    """Compute the share of trials decoded correctly, for every training window and tested window.

    Parameters
    ----------
    rates : (n_windows, n_trials, n_units) array
    locations : (n_trials,) array
        Label of each trial.
    test_num : int
        Trials of each location that are held out together.
    holdout : 'original' or 'everywhere'
        'original', as published: one fold; the first `test_num` trials of each location are left out of the training
        and scored at the training window; at all other windows all trials are scored, including those trained on, so
        that off-diagonal scores are too high. 'everywhere': every trial is held out once, in the same stratified
        folds at all windows, and scored only by classifiers that were not trained on it at any time.
    folds : (n_folds, n_trials) array of bool, optional
        Trials held out in each fold; default: those of `location_folds`, with 'original' the first fold alone.

    Returns
    -------
    (n_windows, n_windows) array, row = training window, column = tested window
    """
    check_holdout(holdout)
    elsewhere_all = holdout == "original"  # whether all trials are scored at windows other than the training window
    if folds is None:
        folds = location_folds(locations, test_num)[: 1 if elsewhere_all else None]
    rates = np.asarray(rates, dtype=np.float64)

    def scores_of(window):
        correct, total = np.zeros(len(rates)), np.zeros(len(rates))
        for held_out in folds:
            model = fit_classifier(rates[window][~held_out], locations[~held_out])
            scored = slice(None) if elsewhere_all else held_out
            hits = predict(model, rates[window][~held_out], rates[:, scored]) == locations[scored]
            own = hits[window][held_out] if elsewhere_all else hits[window]
            hit_sums, counts = hits.sum(axis=1), np.full(len(rates), hits.shape[1])
            hit_sums[window], counts[window] = own.sum(), len(own)
            correct, total = correct + hit_sums, total + counts
        return correct / total

    return np.stack(in_order(scores_of, range(len(rates))))


def check_holdout(holdout):
    """Raise a ValueError if `holdout` is neither 'original' nor 'everywhere'."""
    if holdout not in ("original", "everywhere"):
        raise ValueError(f"holdout must be 'original' or 'everywhere', got {holdout!r}")


def fit_classifier(features, labels):
    """Fit scikit-learn's default SVC.

    gamma='scale' is given as the number that it stands for, because `predict` needs it.

    Parameters
    ----------
    features : (n_trials, n_units) array
    labels : (n_trials,) array

    Returns
    -------
    sklearn.svm.SVC
    """
    variance = features.var()
    return SVC(gamma=1 / (features.shape[1] * variance) if variance > 0 else 1.0).fit(features, labels)


def predict(model, training, features):
    """Predict labels with a classifier of `fit_classifier`; the same labels as ``model.predict`` gives.

    libsvm evaluates the kernel pair by pair; here one matrix product serves all windows. The votes of the pairwise
    classifiers are counted as in libsvm: ties go to the class that comes first.

    Parameters
    ----------
    model : sklearn.svm.SVC
    training : (n_trials, n_units) array
        What the model was fitted to.
    features : (..., n_units) array

    Returns
    -------
    (...) array of labels
    """
    support, flat = training[model.support_], features.reshape(-1, features.shape[-1])
    gamma = model.gamma
    kernel = (2 * gamma * support) @ flat.T  # (n_support, n_samples)
    kernel -= gamma * np.einsum("ij,ij->i", support, support)[:, None]
    kernel -= gamma * np.einsum("ij,ij->i", flat, flat)
    np.exp(kernel, out=kernel)

    # weights (n_pairs, n_support) of the one-against-one classifiers
    pairs = list(combinations(range(len(model.classes_)), 2))
    ends = np.cumsum(model.n_support_)
    of_class = [slice(end - count, end) for end, count in zip(ends, model.n_support_, strict=True)]
    weights = np.zeros((len(pairs), len(model.support_)))
    for row, (first, second) in enumerate(pairs):
        weights[row, of_class[first]] = model.dual_coef_[second - 1, of_class[first]]
        weights[row, of_class[second]] = model.dual_coef_[first, of_class[second]]
    sign = -1 if len(pairs) == 1 else 1  # scikit-learn reverses the sign where there are two classes
    first_wins = (sign * weights) @ kernel + (sign * model.intercept_)[:, None] > 0

    votes = np.zeros((len(model.classes_), len(flat)), dtype=np.int16)
    for wins, (first, second) in zip(first_wins, pairs, strict=True):
        votes[first] += wins
        votes[second] += ~wins
    return model.classes_[votes.argmax(axis=0)].reshape(features.shape[:-1])
