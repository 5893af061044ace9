"""Cross-temporal decoding: which location was shown, read at one time by a classifier trained at another."""

from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.model_selection import StratifiedShuffleSplit
from sklearn.svm import SVC

from rnn_maturation import figures
from rnn_maturation.analysis.activity import Get_H
from rnn_maturation.analysis.conditions import task_info
from rnn_maturation.analysis.parallel import in_order
from rnn_maturation.analysis.recorded import artificial_trials, load_recorded_trials
from rnn_maturation.model_directory import figure_dir
from rnn_maturation.task import rule_name

SPLIT_SEED = 0  # of the splits and artificial trials of recorded neurons: the same in every call


# ---------------------------------------------------------------------------------------------------- public analyses


def Decoder_analysis(
    hp, model_dir, trial_num, rule="odr", task_mode="test", window_size=2, stride=1, test_num=2, holdout="original"
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
        Trials of each location held out.
    holdout : 'original' or 'everywhere'
        See `cross_temporal_scores`: as published, which flatters the scores off the diagonal, or leak-free.

    Returns
    -------
    pandas.DataFrame
        Share of trials decoded right, row = training window, column = tested window; labels: start of the window, s.

    Raises
    ------
    ValueError
        An unknown rule, or windows or held-out trials that are not possible.
    FileNotFoundError
        There is no such checkpoint.
    """
    info = task_info(hp, model_dir, rule)
    check_holdout(holdout)
    rates = window_rates(Get_H(hp, model_dir, trial_num, rule, task_mode=task_mode), window_size, stride)
    scores = cross_temporal_scores(rates, np.asarray(info["in_loc"]), test_num, holdout)
    chance = 1 / len(info["in_loc_set"])
    title = f"{rule_name[rule]} at {trial_num} trials"
    title += ", held out everywhere" if holdout == "everywhere" else ""
    figure = figures.decoder_scores(scores, hp["dt"], window_size, stride, info["epoch_info"], chance, title)
    stem = f"{rule}_{trial_num}_{_window_name(hp['dt'], window_size, stride)}"
    stem += "_holdout_everywhere" if holdout == "everywhere" else ""
    figures.save_figure(figure, figure_dir(model_dir, rule) / stem)
    return _labelled(scores, hp["dt"], stride)


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
):
    """`Decoder_analysis` of recorded neurons: features standardised at each window, scored on held-out trials.

    Parameters
    ----------
    neuron_file : str
        See `recorded.load_recorded_trials`.
    test_size : float
        Share of the trials held out in a split, the same trials at all windows.
    test_num : int
        Number of random splits, stratified by location, over which scores are averaged.
    time_len, loc_num, trial_per_loc : int
        Layout of the file.
    dt : float
        Step, ms.
    window_size, stride : int
        In steps.
    artifact_trial_num_per_loc : int
        Artificial trials a location, see `recorded.artificial_trials`. They are made of all real trials before the
        split, so that a held-out trial shares rates with trained ones: scores with them are too high.

    Returns
    -------
    As `Decoder_analysis`.

    Raises
    ------
    ValueError
        The file has another layout; names it.
    FileNotFoundError
        There is no such file.
    """
    trials = load_recorded_trials(neuron_file, time_len, trial_per_loc, loc_num)
    activity = trials.transpose(3, 2, 0, 1).reshape(time_len, loc_num * trial_per_loc, -1)
    rates, locations = window_rates(activity, window_size, stride), np.repeat(np.arange(loc_num), trial_per_loc)
    rng = np.random.default_rng(SPLIT_SEED)
    made, made_locations = artificial_trials(rates, locations, artifact_trial_num_per_loc, rng)
    rates, locations = np.concatenate([rates, made], axis=1), np.concatenate([locations, made_locations])
    deviations = rates.std(axis=1, keepdims=True)
    rates = (rates - rates.mean(axis=1, keepdims=True)) / np.where(deviations > 0, deviations, 1)
    scores = split_scores(rates, locations, _random_folds(locations, test_num, test_size))
    name = Path(neuron_file).stem
    figure = figures.decoder_scores(scores, dt, window_size, stride, None, 1 / loc_num, f"Recorded neurons, {name}")
    stem = f"realneuron_{name}_{_window_name(dt, window_size, stride)}_arti_{artifact_trial_num_per_loc}_per_loc"
    figures.save_figure(figure, Path("figure") / stem)
    return _labelled(scores, dt, stride)


def _random_folds(locations, test_num, test_size):
    """Trials held out in each of `test_num` random splits, stratified by location: (test_num, n_trials) bool."""
    folds = np.zeros((test_num, len(locations)), dtype=bool)
    splits = StratifiedShuffleSplit(test_num, test_size=test_size, random_state=SPLIT_SEED)
    for fold, (_, held_out) in zip(folds, splits.split(locations, locations), strict=True):
        fold[held_out] = True
    return folds


def _window_name(dt, window_size, stride):
    return f"w{window_size * dt:g}ms_s{stride * dt:g}ms"


def _labelled(scores, dt, stride):
    labels = [str(window * stride * dt / 1000) for window in range(len(scores))]
    return pd.DataFrame(scores, index=labels, columns=labels)


# -------------------------------------------------------------------------------------------------- arrays in and out


def window_rates(activity, window_size, stride):
    """Activity (n_time, ...) averaged in sliding windows: (n_windows, ...), (n_time - window_size) // stride + 1.

    Raises
    ------
    ValueError
        When window or stride are not whole numbers of steps that fit.
    """
    n_time = len(activity)
    if not 1 <= window_size <= n_time or stride < 1:
        raise ValueError(f"window_size must be 1 to {n_time} steps and stride at least 1, got {window_size}, {stride}")
    return np.stack([activity[i : i + window_size].mean(axis=0) for i in range(0, n_time - window_size + 1, stride)])


def location_folds(locations, test_num):
    """Trials held out, fold by fold: the first `test_num` trials of every location, the next ones, and so on.

    Parameters
    ----------
    locations : (n_trials,) array
    test_num : int
        Trials of each location in a fold. What is left over after the last whole fold is never held out.

    Returns
    -------
    (n_folds, n_trials) array of bool

    Raises
    ------
    ValueError
        When a location would have no trial left to train on.
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


def cross_temporal_scores(rates, locations, test_num=2, holdout="original"):
    """Share of trials decoded right, for every training window and tested window.

    Parameters
    ----------
    rates : (n_windows, n_trials, n_units) array
    locations : (n_trials,) array
        Label of each trial.
    test_num : int
        Trials of each location that are held out together.
    holdout : 'original' or 'everywhere'
        'original', as published: one fold; the first `test_num` trials of each location are left out of the training
        and scored at the training window; at all other windows all trials are scored, those trained on included,
        which flatters the off-diagonal scores. 'everywhere': every trial is held out once, in the same stratified
        folds at all windows, and scored only by classifiers that never saw it at any time.

    Returns
    -------
    (n_windows, n_windows) array, row = training window, column = tested window
    """
    check_holdout(holdout)
    folds = location_folds(locations, test_num)
    if holdout == "original":
        return _scores(rates, locations, folds[:1], slice(None))
    return _scores(rates, locations, folds, None)


def check_holdout(holdout):
    """ValueError unless the way to hold trials out is known."""
    if holdout not in ("original", "everywhere"):
        raise ValueError(f"holdout must be 'original' or 'everywhere', got {holdout!r}")


def split_scores(rates, locations, folds):
    """Scores (n_windows, n_windows) on the held-out trials of the given folds, at all windows."""
    return _scores(rates, locations, folds, None)


def _scores(rates, locations, folds, scored_elsewhere):
    """Mean score; away from the training window trials `scored_elsewhere` count (None: the held-out ones)."""
    rates = np.asarray(rates, dtype=np.float64)

    def scores_of(window):
        correct, total = np.zeros(len(rates)), np.zeros(len(rates))
        for held_out in folds:
            model = fit_classifier(rates[window][~held_out], locations[~held_out])
            scored = held_out if scored_elsewhere is None else scored_elsewhere
            hits = predict(model, rates[window][~held_out], rates[:, scored]) == locations[scored]
            own = hits[window] if scored_elsewhere is None else hits[window][held_out]
            hit_sums, counts = hits.sum(axis=1), np.full(len(rates), hits.shape[1])
            hit_sums[window], counts[window] = own.sum(), len(own)
            correct, total = correct + hit_sums, total + counts
        return correct / total

    return np.stack(list(in_order(scores_of, range(len(rates)))))


def fit_classifier(features, labels):
    """scikit-learn's default SVC; gamma='scale' is given as the number that it stands for, so that it is known."""
    variance = features.var()
    return SVC(gamma=1 / (features.shape[1] * variance) if variance > 0 else 1.0).fit(features, labels)


def predict(model, training, features):
    """What a classifier of `fit_classifier`, trained on `training`, predicts for features (..., n_units).

    libsvm evaluates the kernel pair by pair; here it is one matrix product for all windows. The votes of the pairwise
    classifiers are counted as libsvm counts them: ties go to the class that comes first.
    """
    support, flat = training[model.support_], features.reshape(-1, features.shape[-1])
    gamma = model.gamma
    kernel = (2 * gamma * support) @ flat.T  # (n_support, n_samples)
    kernel -= gamma * np.einsum("ij,ij->i", support, support)[:, None]
    kernel -= gamma * np.einsum("ij,ij->i", flat, flat)
    np.exp(kernel, out=kernel)
    weights, intercepts, pairs = _pairwise_classifiers(model)
    first_wins = weights @ kernel + intercepts[:, None] > 0
    votes = np.zeros((len(model.classes_), len(flat)), dtype=np.int16)
    for wins, (first, second) in zip(first_wins, pairs, strict=True):
        votes[first] += wins
        votes[second] += ~wins
    return model.classes_[votes.argmax(axis=0)].reshape(features.shape[:-1])


def _pairwise_classifiers(model):
    """Weights (n_pairs, n_support) of the one-against-one classifiers, intercepts, and the pairs of classes."""
    pairs = list(combinations(range(len(model.classes_)), 2))
    ends = np.cumsum(model.n_support_)
    of_class = [slice(end - count, end) for end, count in zip(ends, model.n_support_, strict=True)]
    weights = np.zeros((len(pairs), len(model.support_)))
    for row, (first, second) in enumerate(pairs):
        weights[row, of_class[first]] = model.dual_coef_[second - 1, of_class[first]]
        weights[row, of_class[second]] = model.dual_coef_[first, of_class[second]]
    sign = -1 if len(pairs) == 1 else 1  # scikit-learn turns the sign of a two-class machine round
    return sign * weights, sign * model.intercept_, pairs
