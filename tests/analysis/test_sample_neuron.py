from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_hex

from rnn_maturation.analysis import Get_H, sample_neuron_by_trial
from rnn_maturation.analysis.sample_neuron import compute_sample_unit
from rnn_maturation.figures import STAGE_COLORS
from rnn_maturation.model_directory import load_pickle, neuron_info_file

EPOCHS = {"fix1": (None, 10), "stim1": (10, 20), "go1": (20, None)}


def tuned_activity(peak=3.0, n_locations=8):
    """(activity, locations): unit 1 fires most at location 5, where unit 0 is silent everywhere."""
    locations = np.repeat(np.arange(n_locations), 2)
    activity = np.zeros((30, len(locations), 2))
    activity[10:20, :, 1] = 1 + (locations == 5) * (peak - 1)
    activity[10:20, ::2, 1] += 0.5  # the two trials of a location differ
    activity[10:20, 1::2, 1] -= 0.5
    return activity, locations


def test_polar_rates_are_absolute_and_relative_to_their_maximum():
    unit = compute_sample_unit(*tuned_activity(), 1, EPOCHS, "stim1", 20, stage="mid", title="unit")
    np.testing.assert_allclose(unit.relative_rates, np.where(np.arange(8) == 5, 1, 1 / 3))
    assert unit.preferred == 5 and unit.means.shape == (8, 30)
    with pytest.raises(ValueError, match="epochs has no epoch 'delay9': it has fix1"):
        compute_sample_unit(*tuned_activity(), 1, EPOCHS, "delay9", 20)
    np.testing.assert_allclose(compute_sample_unit(*tuned_activity(-4.0), 1, EPOCHS, "stim1", 20).relative_rates[5], 1)
    assert (compute_sample_unit(*tuned_activity(), 0, EPOCHS, "stim1", 20).relative_rates == 0).all()
    table = unit.to_frame()
    assert list(table) == ["location_deg", "time_ms", "rate", "relative_rate"] and len(table) == 240
    at_peak = table[(table["location_deg"] == 225) & (table["time_ms"] == 200)]
    assert at_peak["rate"].item() == pytest.approx(3) and at_peak["relative_rate"].item() == 1


def test_page_and_polar_plot_have_the_stage_color_and_mark_the_preferred_direction():
    unit = compute_sample_unit(*tuned_activity(), 1, EPOCHS, "stim1", 20, stage="mid", title="Unit 1")
    page, polar = unit.plot(), unit.plot_polar()
    assert len(page.axes) == 9 and page.get_suptitle() == "Unit 1"
    assert {to_hex(ax.lines[-1].get_color()) for ax in page.axes[:8]} == {STAGE_COLORS["mid"]}
    for ax in (page.axes[8], polar.axes[0]):
        curve, direction = ax.lines[0], ax.lines[1]
        assert to_hex(curve.get_color()) == STAGE_COLORS["mid"] and ax.get_ylim() == (0, 1)
        np.testing.assert_allclose(np.max(curve.get_ydata()), 1)
        np.testing.assert_allclose(direction.get_xdata(), 5 * np.pi / 4)
    seven = compute_sample_unit(*tuned_activity(n_locations=7), 1, EPOCHS, "stim1", 20)
    assert len(seven.plot().axes) == 1  # no page without 8 locations


def test_pages(run, trials):
    hp, log, model_dir = run
    trial = trials[-1]
    drawn = sample_neuron_by_trial(hp, log, model_dir, "odr", "stim1", [trial], "active_neurons", max_units=1)
    info = load_pickle(neuron_info_file(model_dir, trial, "odr", "stim1"))
    assert drawn == {trial: [info["active_neurons"][0][0]]}
    folder = Path(f"figure/figure_run/odr/stim1/sample_neuron/{trial}mature/active_neurons")
    assert {file.name for file in folder.iterdir()} == {f"{drawn[trial][0]}.png", f"{drawn[trial][0]}_polar.png"}
    means = Get_H(hp, model_dir, trial, "odr").reshape(175, 8, 16, -1).mean(axis=2)  # 16 trials of each location
    page = drawn.pages[trial, drawn[trial][0]]
    rates = means[50:75, :, drawn[trial][0]].mean(axis=0)
    np.testing.assert_allclose(page.relative_rates, rates / rates.max(), rtol=1e-4)
    assert page.preferred == info["active_neurons"][0][2]
    for text in ("ODR at 5,120 trials", "mature", "performance 0.80", "stim1"):
        assert text in page.title
    assert len(drawn.to_frame()) == 8 * 175 and drawn.plot().get_suptitle() == page.title
    stages = {"odr": {"mid": [trial]}}
    unit = info["active_neurons"][1][0]
    again = sample_neuron_by_trial(hp, log, model_dir, "odr", "stim1", stages, "active_neurons", units=[unit, 999])
    assert again == {trial: [unit]}
    assert Path(f"figure/figure_run/odr/stim1/sample_neuron/{trial}mid/active_neurons/{unit}.png").exists()


def test_errors(run, trials):
    hp, log, model_dir = run
    with pytest.raises(ValueError, match="Unknown unit type"):
        sample_neuron_by_trial(hp, log, model_dir, "odr", "stim1", trials, "all_neurons")
    with pytest.raises(ValueError, match="no epoch 'delay2'"):
        sample_neuron_by_trial(hp, log, model_dir, "odr", "delay2", trials, "exh_neurons")
    nothing = sample_neuron_by_trial(hp, log, model_dir, "odr", "stim1", trials, "exh_neurons", units=[])
    assert nothing == {trial: [] for trial in trials} and nothing.to_frame().empty
    with pytest.raises(ValueError, match=r"no page of unit .any. at checkpoint .any.\. There are pages .* \[\]"):
        nothing.plot()


def test_nothing_is_written_without_save(run, trials):
    hp, log, model_dir = run
    drawn = sample_neuron_by_trial(hp, log, model_dir, "odr", "stim1", trials, "active_neurons", None, 1, save=False)
    assert len(drawn.pages) == len(trials) and not Path("figure").exists()
