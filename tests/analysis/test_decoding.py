from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from rnn_maturation.analysis import Decoder_analysis, realneuron_Decoder_analysis
from rnn_maturation.analysis.decoding import (
    compute_decoder_scores,
    compute_recorded_decoder_scores,
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
    center = rng.normal(size=(n_windows, n_locations, n_units)).cumsum(axis=0)
    return center[:, locations] + noise * rng.normal(size=(n_windows, len(locations), n_units)), locations


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
    center = rng.normal(size=(n_windows, len(n_trials), n_units))
    rates = center[:, locations] + noise * rng.normal(size=(n_windows, len(locations), n_units))
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
    with pytest.raises(ValueError, match="only one trial"):
        location_folds(np.array([0, 0, 1]), 1)


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
    again = realneuron_Decoder_analysis(file, window_size=3, stride=3, save=False, **layout)
    assert scores.data.equals(again.data)
    everywhere = realneuron_Decoder_analysis(file, window_size=3, stride=3, holdout="everywhere", **layout)
    assert everywhere.shape == (4, 4) and everywhere.title.endswith("held out everywhere")
    assert Path("figure/realneuron_cells_w60ms_s60ms_arti_0_per_loc_holdout_everywhere.png").exists()
    with pytest.raises(ValueError, match="holdout must be 'original' or 'everywhere'"):
        realneuron_Decoder_analysis(file, holdout="random", **layout)


def plain_recorded_scores(rates, locations, test_num):
    """The published way: each window standardized, the first trials of each location held out at all windows."""
    scaled = [StandardScaler().fit_transform(of_window) for of_window in rates]
    held_out = location_folds(locations, test_num)[0]
    models = [SVC().fit(of_window[~held_out], locations[~held_out]) for of_window in scaled]
    return [[m.score(of_window[held_out], locations[held_out]) for of_window in scaled] for m in models]


@pytest.mark.parametrize("n_locations, test_num, noise", [(4, 2, 1.0), (2, 4, 2.0), (8, 1, 0.5)])
def test_recorded_scores_are_those_of_trials_held_out_at_all_windows(n_locations, test_num, noise):
    rates, locations = noisy_rates(5, n_locations, 6, 7, noise)
    result = compute_recorded_decoder_scores(rates, locations, 20, window_size=1, test_num=test_num)
    np.testing.assert_allclose(result.data, plain_recorded_scores(rates, locations, test_num), atol=1e-12)
    assert result.chance == 1 / n_locations
    other = compute_recorded_decoder_scores(rates, locations, 20, window_size=1, test_num=test_num, test_size=0.5)
    assert other.data.equals(result.data)  # test_size is not used


def test_no_artificial_trial_is_held_out():
    """The first real trial of each location looks like the other location; only that trial is scored, and wrong."""
    rng = np.random.default_rng(0)
    locations = np.repeat(np.arange(2), 6)
    looks_like = locations.copy()
    looks_like[[0, 6]] = 1, 0
    rates = (2.0 * looks_like - 1)[None, :, None] + 0.3 * rng.normal(size=(1, 12, 60))
    result = compute_recorded_decoder_scores(rates, locations, 20, 1, test_num=1, n_artificial=20)
    assert result.data.iloc[0, 0] == 0
    more = compute_recorded_decoder_scores(rates, locations, 20, 1, test_num=2, n_artificial=20)
    assert more.data.iloc[0, 0] == 0.5  # the second trial of each location is a common one


def test_artificial_trials_flatter_only_the_published_way():
    """Noise without locations: artificial trials of held-out trials leak, those of training trials do not."""
    rng = np.random.default_rng(0)
    locations = np.repeat(np.arange(4), 8)
    noise = rng.normal(size=(1, 32, 60))
    settings = {"window_size": 1, "n_artificial": 40}
    published = compute_recorded_decoder_scores(noise, locations, 20, test_num=2, **settings)
    free = compute_recorded_decoder_scores(noise, locations, 20, test_num=20, holdout="everywhere", **settings)
    assert published.data.iloc[0, 0] > 0.8 and free.data.iloc[0, 0] < 0.45


def test_any_activity_is_decoded_and_gives_a_table_and_a_figure():
    rng = np.random.default_rng(0)
    labels = rng.permutation(np.repeat(["left", "right"], 12))  # trials of a recording, in any order
    activity = rng.poisson(3, size=(20, 24, 5)).astype(float)
    activity[10:, labels == "left", 0] += 20
    result = compute_decoder_scores(activity, labels, 50, 5, 5, epochs={"fix1": (None, 10)}, title="Recording")
    assert result.shape == (4, 4) and result.loc["0.5", "0.75"] == 1 and result.chance == 0.5
    table = result.to_frame()
    assert table.columns.tolist() == ["training_start_ms", "tested_start_ms", "share_correct"] and len(table) == 16
    row = table[(table["training_start_ms"] == 0) & (table["tested_start_ms"] == 750)].iloc[0]
    assert row["share_correct"] == result.data.iloc[0, 3]
    np.testing.assert_array_equal(np.asarray(result, float), result.data)
    assert "Recording, windows of 250 ms" in result.plot().axes[0].get_title()
    assert result._repr_png_().startswith(b"\x89PNG")
