import json
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import ttest_ind

from rnn_maturation.analysis import tunning_analysis
from rnn_maturation.analysis.selectivity import compute_neuron_info
from rnn_maturation.analysis.tuning import (
    centered_tuning,
    compare_heights,
    compute_tuning,
    fit_gaussian,
    gaussian,
    stage_curve,
)
from rnn_maturation.model_directory import load_pickle, neuron_info_file, save_pickle

GOLDEN = Path(__file__).parents[1] / "golden"


def test_curves_and_widths_are_those_of_the_original():
    golden = np.load(GOLDEN / "analysis.npz")
    wanted = json.loads((GOLDEN / "analysis.json").read_text())["tuning"]
    epochs, locations = {"fix1": (None, 1), "stim1": (1, 2)}, np.repeat(np.arange(8), 16)
    for trial, stage, fit in zip((390400, 409600, 488960), ("early", "mid", "mature"), wanted["fits"], strict=True):
        info = compute_neuron_info(golden[f"rates|{trial}"], locations, epochs, "stim1")
        units = sorted(unit for kind in ("exh_neurons", "mix_neurons") for unit, _, _ in info[kind])
        curve = stage_curve([info["firerate_loc_order"][units]])
        np.testing.assert_allclose(curve, wanted["curves"][stage], rtol=1e-3, atol=1e-3)
        np.testing.assert_allclose(fit_gaussian(curve), fit, rtol=1e-2)


@pytest.mark.parametrize("n_locations", [8, 7])
def test_the_preferred_location_is_in_the_middle(n_locations):
    rates = np.random.default_rng(0).random((30, n_locations))
    centered = centered_tuning(rates)
    assert centered.shape == (30, n_locations + (n_locations % 2 == 0))
    assert (centered.argmax(axis=1) == n_locations // 2).all()
    for before, after in zip(rates, centered, strict=True):
        assert sorted(before) == sorted(after[:n_locations])
        where = int(np.flatnonzero(before == after[0])[0])
        np.testing.assert_array_equal(np.roll(before, -where), after[:n_locations])
    if n_locations % 2 == 0:
        np.testing.assert_array_equal(centered[:, 0], centered[:, -1])


def test_units_with_nan_and_empty_checkpoints_are_left_out():
    rates = np.array([[0.0, 1, 2, 3], [np.nan, 1, 2, 3]])
    np.testing.assert_allclose(stage_curve([rates, rates[:0]]), [1, 2, 3, 0, 1])
    assert np.isnan(stage_curve([rates[:0]])).all()


def test_fits():
    x = np.arange(9)
    a, u, s = fit_gaussian(gaussian(x, 4, 4.2, 1.1) - gaussian(x, 4, 4.2, 1.1).min())
    np.testing.assert_allclose((a, u, abs(s)), (4, 4.2, 1.1), rtol=1e-2)
    with np.errstate(all="raise"):
        assert fit_gaussian(np.full(9, np.nan)) is None
        assert fit_gaussian(np.array([1.0, 2.0])) is None  # fewer locations than parameters


def test_heights_are_compared_between_every_two_stages():
    rng = np.random.default_rng(0)
    heights = {"early": rng.random(5), "mid": rng.random(6) + 1, "mature": np.array([1.0])}
    tests = compare_heights(heights)
    assert list(tests) == [("early", "mid"), ("early", "mature"), ("mid", "mature")]
    assert tests["early", "mid"] == ttest_ind(heights["early"], heights["mid"]).pvalue
    assert np.isnan(tests["mid", "mature"])


def test_tuning_of_plain_arrays():
    locations = np.arange(8)
    rng = np.random.default_rng(0)
    distance = np.minimum((locations - rng.integers(0, 8, (20, 1))) % 8, (rng.integers(0, 8, (20, 1)) - locations) % 8)
    rates = {session: (1 + session) * np.exp(-(distance**2) / 2) for session in (0, 1, 2)}
    stages, performance = {"early": [0], "mature": [1, 2]}, {0: 0.2, 1: 0.8, 2: 1.0}
    result = compute_tuning(rates, stages, performance, title="a recording")
    mature = result["stages"]["mature"]
    np.testing.assert_allclose(mature["curve"], 2.5 * result["stages"]["early"]["curve"])
    assert mature["growth"] == pytest.approx(0.9) and mature["n_units"] == 20
    assert result["height_ttest"]["early", "mature"] < 1e-3
    table = result.to_frame()
    assert table["location_deg"].tolist() == 2 * [-180, -135, -90, -45, 0, 45, 90, 135, 180]
    np.testing.assert_allclose(table["activity"].iloc[9:], mature["curve"])
    ax = result.plot().axes[0]
    assert ax.get_title() == "a recording"
    assert any("width" in text.get_text() and "20 units" in text.get_text() for text in ax.get_legend().get_texts())


def test_tunning_analysis(run, trials):
    hp, log, model_dir = run
    result = tunning_analysis(hp, log, model_dir, "odr", "stim1", trials)
    assert list(result["stages"]) == ["early", "mid", "mature"]
    assert result["stages"]["mid"]["curve"].shape == (9,) and result["stages"]["mid"]["growth"] == pytest.approx(0.55)
    assert set(result["height_ttest"]) == {("early", "mid"), ("early", "mature"), ("mid", "mature")}
    folder = Path("figure/figure_run/odr/stim1/exh_neurons_mix_neurons")
    assert (folder / "odr_stim1_(0, 5120)_step_1280_tuning_analysis.png").exists()
    assert "exh + mix" in result.title and "5 checkpoints from 0 to 5,120 trials" in result.title
    options = {"gaussion_fit": False, "height_ttest": False, "save": False}
    bare = tunning_analysis(hp, log, model_dir, "odr", "stim1", trials[1:], **options)
    assert len(list(folder.iterdir())) == 1
    assert bare["height_ttest"] == {}
    assert all(stage["fit"] is None and np.isnan(stage["width"]) for stage in bare["stages"].values())


def test_a_fit_that_fails_is_a_gap_with_one_warning(run, trials):
    hp, log, model_dir = run
    tunning_analysis(hp, log, model_dir, "odr", "stim1", trials)
    for trial in trials[:2]:  # no curve at all: nothing to fit
        file = neuron_info_file(model_dir, trial, "odr", "stim1")
        save_pickle(file, {**load_pickle(file), "exh_neurons": [], "mix_neurons": []})
    with pytest.warns(UserWarning, match="no unit of these types in stage early") as warned:
        result = tunning_analysis(hp, log, model_dir, "odr", "stim1", trials)
    assert len(warned) == 1
    assert result["stages"]["early"]["fit"] is None and np.isnan(result["stages"]["early"]["width"])
    assert np.isnan(result["height_ttest"]["early", "mid"])
