"""Cross-temporal decoding: classifiers trained on activity at one time decode the location at all times."""

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
from rnn_maturation.checks import check_whole_number, checks_run_arguments, quoted
from rnn_maturation.model_directory import figure_dir
from rnn_maturation.task import rule_name

SPLIT_SEED = 0  # seeds random splits and artificial trials of recorded neurons, so that every call draws the same


@labelled
class DecoderResult(TableResult):
    """Share of trials whose location is decoded correctly, for every training window and tested window.

    It can be used like the pandas.DataFrame that the original function returned.

    Attributes
    ----------
    data : pandas.DataFrame
        Scores (0 to 1); rows are training windows, columns tested windows. The labels are the start times of the
        windows in s, as text.
    dt : float
        Duration of a time step in ms.
    window_size, stride : int
        Length of a window, and distance between the starts of successive windows, in steps.
    chance : float
        Expected score of a random guess, 1 / number of locations.
    epochs : dict or None
        {epoch: (start, end)} in steps; None if unknown.
    title : str
        Start of the figure's title.
    """

    data: pd.DataFrame
    dt: float
    window_size: int
    stride: int
    chance: float
    epochs: dict | None = None
    title: str = ""

    def to_frame(self):
        """Return a table with one row for each pair of training window and tested window.

        Returns
        -------
        pandas.DataFrame
            Columns training_start_ms and tested_start_ms (start times of the two windows), share_correct (0 to 1).
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


@checks_run_arguments
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
    """Decode the stimulus location in every time window with classifiers trained in every window (Fig. S5E).

    A task with several stimuli is decoded by the location of the first one.

    Parameters
    ----------
    hp : dict
    model_dir : str
    trial_num : int
    rule : str
    task_mode : str
        Mode of `task.generate_trials`; see `Get_H`.
    window_size, stride : int
        Length of a window, and distance between the starts of successive windows, in steps.
    test_num : int
        Number of trials per location that are held out together.
    holdout : 'original' or 'everywhere'
        'original': as published; the scores off the diagonal can be too high. 'everywhere': no tested trial was used
        for training. See `cross_temporal_scores`.
    save : bool
        Whether to write the figure.

    Returns
    -------
    DecoderResult

    Raises
    ------
    ValueError
        If the rule is not in the network's rule set, `holdout` is unknown, or `window_size`, `stride` or `test_num` is
        out of range.
    FileNotFoundError
        If the checkpoint does not exist.
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
    """Decode the stimulus location from the activity of recorded neurons, in every window as `Decoder_analysis` does.

    Parameters
    ----------
    neuron_file : str
        File in the format that `recorded.load_recorded_trials` reads.
    test_size : float
        Share of the trials that each random split holds out with holdout='everywhere'. With holdout='original' it has
        no effect, as in the published code.
    test_num : int
        With holdout='original', the number of trials per location that are held out; with holdout='everywhere', the
        number of random splits.
    time_len, loc_num, trial_per_loc : int
        Layout of the file: steps per trial, number of locations, and trials per location.
    dt : float
        Duration of a time step in ms.
    window_size, stride : int
        Length of a window, and distance between the starts of successive windows, in steps.
    artifact_trial_num_per_loc : int
        Number of artificial trials that are added per location; see `recorded.artificial_trials`.
    holdout : 'original' or 'everywhere'
        See `compute_recorded_decoder_scores`.
    save : bool
        Whether to write the figure, to figure/ in the current folder.

    Returns
    -------
    DecoderResult

    Raises
    ------
    ValueError
        If the file has another layout, `holdout` is unknown, or `window_size`, `stride`, `test_num` or `test_size` is
        out of range.
    FileNotFoundError
        If the file does not exist.
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
    """Decode the location of each trial in every time window with classifiers trained in every window.

    Parameters
    ----------
    activity : (n_time, n_trials, n_units) array
        Firing rates of a network's units, or of neurons recorded simultaneously.
    locations : (n_trials,) array
        Label of the location in each trial.
    dt : float
        Duration of a time step in ms.
    window_size, stride : int
        Length of a window, and distance between the starts of successive windows, in steps.
    test_num : int
        Number of trials per location that are held out together.
    holdout : 'original' or 'everywhere'
        See `cross_temporal_scores`.
    epochs : dict, optional
        {epoch: (start, end)} in steps, for the figure.
    title : str
        Start of the figure's title.

    Returns
    -------
    DecoderResult

    Raises
    ------
    ValueError
        If `holdout` is unknown, or `window_size`, `stride` or `test_num` is out of range.
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
    """Decode the location of recorded trials from rates that are standardized in each window.

    Only trials that are held out from training in all windows are scored.

    Parameters
    ----------
    activity : (n_time, n_trials, n_units) array
        Firing rates of recorded neurons.
    locations : (n_trials,) array
        Label of the location in each trial.
    dt : float
        Duration of a time step in ms.
    window_size, stride : int
        Length of a window, and distance between the starts of successive windows, in steps.
    test_num : int
        With holdout='original', the number of trials per location that are held out; with holdout='everywhere', the
        number of random splits.
    test_size : float
        Share of the trials that each random split holds out; used only with holdout='everywhere'.
    n_artificial : int
        Number of artificial trials that are added per location; see `recorded.artificial_trials`.
    holdout : 'original' or 'everywhere'
        'original', as published: the first `test_num` trials of each location are held out in all windows. The
        held-out trials are nevertheless included when rates are standardized and artificial trials are drawn, so that
        scores with artificial trials can be too high. Artificial trials follow the real ones, so that none of them is
        held out unless `test_num` exceeds the number of real trials of a location. 'everywhere': the mean over random
        splits, stratified by location; artificial trials are drawn from the training trials only, and rates are
        standardized by the training trials and their artificial trials only.
    epochs : dict, optional
        {epoch: (start, end)} in steps, for the figure.
    title : str
        Start of the figure's title.

    Returns
    -------
    DecoderResult

    Raises
    ------
    ValueError
        If `holdout` is unknown, or `window_size`, `stride`, `test_num` or `test_size` is out of range.
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
                f"test_size must be such that at least {n_locations} of the {len(where)} trials (one per location) are "
                f"held out and at least {n_locations} are left for training; got {quoted(test_size)}."
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
    """Return rates (n_windows, n_trials, n_units) as z-scores by the trials of `reference`, per window and unit."""
    deviations = reference.std(axis=1, keepdims=True)
    return (rates - reference.mean(axis=1, keepdims=True)) / np.where(deviations > 0, deviations, 1)


def _labelled_scores(scores, locations, dt, window_size, stride, epochs, title):
    labels = [str(window * stride * dt / 1000) for window in range(len(scores))]
    table = pd.DataFrame(scores, index=labels, columns=labels)
    return DecoderResult(table, dt, window_size, stride, 1 / len(np.unique(locations)), epochs, title)


def window_rates(activity, window_size, stride):
    """Return the mean activity in each sliding window.

    Parameters
    ----------
    activity : (n_time, ...) array
    window_size, stride : int
        Length of a window, and distance between the starts of successive windows, in steps.

    Returns
    -------
    (n_windows, ...) array
        Here n_windows = (n_time - window_size) // stride + 1.

    Raises
    ------
    ValueError
        If `window_size` is longer than the trial, or `window_size` or `stride` is less than one step.
    """
    n_time = len(activity)
    if not 1 <= window_size <= n_time or stride < 1:
        raise ValueError(
            f"window_size must be 1 to {n_time} steps and stride must be at least 1 step; got "
            f"window_size={quoted(window_size)} and stride={quoted(stride)}."
        )
    return np.stack([activity[i : i + window_size].mean(axis=0) for i in range(0, n_time - window_size + 1, stride)])


def location_folds(locations, test_num):
    """Return which trials each fold holds out: successive groups of `test_num` trials of every location.

    Parameters
    ----------
    locations : (n_trials,) array
        Label of the location in each trial.
    test_num : int
        Number of held-out trials per location and fold. Trials left over after the last complete fold are never held
        out.

    Returns
    -------
    (n_folds, n_trials) array of bool
        True for held-out trials.

    Raises
    ------
    ValueError
        If `test_num` is less than 1, or would leave a location without a training trial.
    """
    fewest = min(np.count_nonzero(locations == location) for location in np.unique(locations))
    if fewest < 2:
        raise ValueError(
            "A location has only one trial. A decoder needs two or more, of which one is left for testing."
        )
    if not 1 <= test_num < fewest:
        raise ValueError(
            f"test_num must be 1 to {fewest - 1}, because a location has only {fewest} trials and at least one of them "
            f"must be left for training; got {quoted(test_num)}."
        )
    held_out = np.zeros((fewest // test_num, len(locations)), dtype=bool)
    for location in np.unique(locations):
        trials = np.flatnonzero(locations == location)
        for fold in range(len(held_out)):
            held_out[fold, trials[fold * test_num : (fold + 1) * test_num]] = True
    return held_out


def cross_temporal_scores(rates, locations, test_num=2, holdout="original", folds=None):
    """Compute the share of correctly decoded trials for every pair of training window and tested window.

    Parameters
    ----------
    rates : (n_windows, n_trials, n_units) array
        Mean activity in each window, as `window_rates` returns it.
    locations : (n_trials,) array
        Label of the location in each trial.
    test_num : int
        Number of trials per location that are held out together; not used if `folds` is given.
    holdout : 'original' or 'everywhere'
        'original', as published: there is one fold. The first `test_num` trials of each location are held out from
        training, and only they are scored in the training window. In all other windows all trials are scored,
        including the training trials, so that the scores off the diagonal can be too high. 'everywhere': all windows
        have the same folds, stratified by location. A trial is scored only in its own fold, by classifiers that were
        not trained on it in any window.
    folds : (n_folds, n_trials) array of bool, optional
        Trials that are held out in each fold. Default: the folds of `location_folds`; only the first one with
        'original'.

    Returns
    -------
    (n_windows, n_windows) array
        Shares from 0 to 1; rows are training windows, columns tested windows.

    Raises
    ------
    ValueError
        If `holdout` is unknown, or `test_num` is out of range.
    """
    check_holdout(holdout)
    elsewhere_all = holdout == "original"  # all trials are scored outside the training window
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
        raise ValueError(f"holdout must be 'original' or 'everywhere', got {quoted(holdout)}.")


def fit_classifier(features, labels):
    """Fit a support vector classifier with scikit-learn's default settings.

    The default gamma='scale' is passed as the number it stands for, because `predict` needs that number.

    Parameters
    ----------
    features : (n_trials, n_units) array
    labels : (n_trials,) array
        Label of the location in each trial.

    Returns
    -------
    sklearn.svm.SVC
    """
    variance = features.var()
    return SVC(gamma=1 / (features.shape[1] * variance) if variance > 0 else 1.0).fit(features, labels)


def predict(model, training, features):
    """Predict the labels that ``model.predict`` would return, for all windows at once.

    libsvm evaluates the kernel separately for each pair of a support vector and a sample; here one matrix product
    gives all values. The votes of the one-versus-one classifiers are counted as in libsvm: a tie goes to the class
    that comes first in ``model.classes_``.

    Parameters
    ----------
    model : sklearn.svm.SVC
        As `fit_classifier` returns it.
    training : (n_trials, n_units) array
        Features to which the model was fitted.
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

    # weights (n_pairs, n_support) of the support vectors in the one-versus-one classifiers
    pairs = list(combinations(range(len(model.classes_)), 2))
    ends = np.cumsum(model.n_support_)
    of_class = [slice(end - count, end) for end, count in zip(ends, model.n_support_, strict=True)]
    weights = np.zeros((len(pairs), len(model.support_)))
    for row, (first, second) in enumerate(pairs):
        weights[row, of_class[first]] = model.dual_coef_[second - 1, of_class[first]]
        weights[row, of_class[second]] = model.dual_coef_[first, of_class[second]]
    sign = -1 if len(pairs) == 1 else 1  # scikit-learn reverses the sign if there are only two classes
    first_wins = (sign * weights) @ kernel + (sign * model.intercept_)[:, None] > 0

    votes = np.zeros((len(model.classes_), len(flat)), dtype=np.int16)
    for wins, (first, second) in zip(first_wins, pairs, strict=True):
        votes[first] += wins
        votes[second] += ~wins
    return model.classes_[votes.argmax(axis=0)].reshape(features.shape[:-1])
