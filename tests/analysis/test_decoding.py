from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.svm import SVC

from rnn_maturation.analysis import Decoder_analysis, realneuron_Decoder_analysis
from rnn_maturation.analysis.decoding import (
    cross_temporal_scores,
    fit_classifier,
    location_folds,
    predict,
    window_rates,
)


def noisy_rates(n_windows=6, n_locations=4, n_per_location=6, n_units=5, noise=0.8, seed=0):
    """Rates in which the location moves slowly from unit to unit."""
    rng = np.random.default_rng(seed)
    locations = np.repeat(np.arange(n_locations), n_per_location)
    centre = rng.normal(size=(n_windows, n_locations, n_units)).cumsum(axis=0)
    return centre[:, locations] + noise * rng.normal(size=(n_windows, len(locations), n_units)), locations


def scikit_learn_scores(rates, locations, folds, everywhere):
    scores = np.zeros((len(rates), len(rates)))
    for i in range(len(rates)):
        for j in range(len(rates)):
            hits = []
            for held_out in folds:
                model = SVC().fit(rates[i][~held_out], locations[~held_out])
                scored = held_out if everywhere or i == j else slice(None)
                hits.append(model.predict(rates[j][scored]) == locations[scored])
            scores[i, j] = np.concatenate(hits).mean()
    return scores


@pytest.mark.parametrize("n_locations", [2, 3, 8])
@pytest.mark.parametrize("noise", [0.0, 0.5, 3.0])
def test_predictions_are_scikit_learns(n_locations, noise):
    rates, locations = noisy_rates(3, n_locations, 7, 6, noise)
    locations = locations + 5  # labels need not start at 0
    model, plain = fit_classifier(rates[0], locations), SVC().fit(rates[0], locations)
    for of_window in rates:
        np.testing.assert_array_equal(predict(model, rates[0], of_window), plain.predict(of_window))


def test_constant_features_have_a_classifier():
    features, labels = np.ones((6, 2)), np.repeat([0, 1, 2], 2)
    model = fit_classifier(features, labels)
    np.testing.assert_array_equal(predict(model, features, features), SVC().fit(features, labels).predict(features))


@pytest.mark.parametrize("holdout", ["original", "everywhere"])
def test_scores_are_those_of_the_pairwise_loop(holdout):
    rates, locations = noisy_rates()
    folds = location_folds(locations, 2)
    wanted = scikit_learn_scores(
        rates, locations, folds if holdout == "everywhere" else folds[:1], holdout != "original"
    )
    np.testing.assert_array_equal(cross_temporal_scores(rates, locations, 2, holdout), wanted)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.integers(3, 7), min_size=2, max_size=5),
    st.integers(1, 2),
    st.sampled_from(["original", "everywhere"]),
    st.tuples(st.integers(1, 4), st.integers(1, 6), st.floats(0.01, 5), st.integers(0, 2**32 - 1)),
)
def test_scores_are_scikit_learns_for_any_number_of_windows_locations_trials_and_units(n_trials, held_out, how, rest):
    n_windows, n_units, noise, seed = rest
    rng = np.random.default_rng(seed)
    locations = rng.permutation(np.repeat(np.arange(len(n_trials)), n_trials))
    centre = rng.normal(size=(n_windows, len(n_trials), n_units))
    rates = centre[:, locations] + noise * rng.normal(size=(n_windows, len(locations), n_units))
    folds = location_folds(locations, held_out)
    wanted = scikit_learn_scores(rates, locations, folds if how == "everywhere" else folds[:1], how == "everywhere")
    np.testing.assert_array_equal(cross_temporal_scores(rates, locations, held_out, how), wanted)


def test_holding_out_everywhere_does_not_leak():
    rng = np.random.default_rng(0)
    locations = np.repeat(np.arange(8), 16)
    fixed = rng.normal(size=(1, 128, 40))  # nothing about the location, but the same noise at all times
    rates = np.repeat(fixed, 4, axis=0)
    off_diagonal = ~np.eye(4, dtype=bool)
    assert cross_temporal_scores(rates, locations)[off_diagonal].min() > 0.8
    assert cross_temporal_scores(rates, locations, holdout="everywhere").max() < 0.3


def test_folds_hold_every_trial_out_once():
    locations = np.array([0, 1, 0, 1, 0, 1, 0, 1])
    folds = location_folds(locations, 2)
    assert folds.shape == (2, 8) and (folds.sum(axis=0) == 1).all()
    assert folds[0].tolist() == [True] * 4 + [False] * 4
    for test_num in (0, 4):
        with pytest.raises(ValueError, match="test_num must be 1 to 3"):
            location_folds(locations, test_num)


def test_windows():
    activity = np.arange(24.0).reshape(12, 2)
    windows = window_rates(activity, 4, 3)
    assert windows.shape == ((12 - 4) // 3 + 1, 2)
    np.testing.assert_allclose(windows[1], activity[3:7].mean(axis=0))
    for size, stride in ((0, 1), (13, 1), (2, 0)):
        with pytest.raises(ValueError, match="window_size must be 1 to 12"):
            window_rates(activity, size, stride)


def test_decoder_analysis(run, trials):
    hp, _, model_dir = run
    scores = Decoder_analysis(hp, model_dir, trials[0], "overlap", window_size=10, stride=20)
    assert list(scores.index) == list(scores.columns) == ["0.0", "0.4", "0.8", "1.2"]
    assert scores.loc["1.2", "1.2"] > 0.5 and Path("figure/figure_run/overlap/overlap_0_w200ms_s400ms.png").exists()
    free = Decoder_analysis(hp, model_dir, trials[0], "overlap", window_size=10, stride=20, holdout="everywhere")
    assert free.shape == (4, 4) and free.loc["1.2", "1.2"] > 0.5
    assert Path("figure/figure_run/overlap/overlap_0_w200ms_s400ms_holdout_everywhere.png").exists()
    with pytest.raises(ValueError, match="holdout must be 'original' or 'everywhere'"):
        Decoder_analysis(hp, model_dir, trials[0], holdout="nowhere")
    with pytest.raises(FileNotFoundError):
        Decoder_analysis(hp, model_dir, 12345)


def test_recorded_neurons(tmp_path, monkeypatch, recorded_trials):
    monkeypatch.chdir(tmp_path)
    file = recorded_trials("cells.txt", n_locations=4, n_trials=8, n_time=12, n_units=5)
    layout = {"time_len": 12, "loc_num": 4, "trial_per_loc": 8}
    scores = realneuron_Decoder_analysis(file, window_size=3, stride=3, **layout)
    assert scores.shape == (4, 4) and list(scores.index) == ["0.0", "0.06", "0.12", "0.18"]
    assert np.diag(scores).min() > 0.9  # the recordings tell their location
    assert Path("figure/realneuron_cells_w60ms_s60ms_arti_0_per_loc.png").exists()
    again = realneuron_Decoder_analysis(file, window_size=3, stride=3, **layout)
    assert scores.equals(again)
    more = realneuron_Decoder_analysis(file, window_size=3, stride=3, artifact_trial_num_per_loc=4, **layout)
    assert more.shape == (4, 4)
