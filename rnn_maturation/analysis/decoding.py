"""Cross-temporal decoding: which location was shown, read at one time by a classifier trained at another."""

from itertools import combinations

import numpy as np
from sklearn.svm import SVC

from .parallel import in_order


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
            model = SVC().fit(rates[window][~held_out], locations[~held_out])
            scored = held_out if scored_elsewhere is None else scored_elsewhere
            hits = predict(model, rates[window][~held_out], rates[:, scored]) == locations[scored]
            own = hits[window] if scored_elsewhere is None else hits[window][held_out]
            hit_sums, counts = hits.sum(axis=1), np.full(len(rates), hits.shape[1])
            hit_sums[window], counts[window] = own.sum(), len(own)
            correct, total = correct + hit_sums, total + counts
        return correct / total

    return np.stack(list(in_order(scores_of, range(len(rates)))))


def predict(model, training, features):
    """What a fitted `SVC()` predicts for features (..., n_units), the kernel computed by matrix products.

    libsvm evaluates the kernel one pair at a time; here it is one product for all windows. The votes of the pairwise
    classifiers are counted as libsvm counts them: ties go to the class that comes first.
    """
    support, flat = training[model.support_], features.reshape(-1, features.shape[-1])
    gamma = model._gamma
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
