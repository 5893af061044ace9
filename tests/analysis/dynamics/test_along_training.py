"""Eigenvalue growth, other delays, lesions, perturbations, and what the findings measure."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from rnn_maturation import analysis
from rnn_maturation.analysis import (
    delay_generalization_analysis,
    eigenvalue_growth_analysis,
    generate_neuron_info,
    lesion_analysis,
    perturbation_analysis,
)
from rnn_maturation.analysis.dynamics.delay_generalization import (
    DELAYS_MS,
    compute_delay_generalization,
)
from rnn_maturation.analysis.dynamics.eigenvalues import EigenvalueGrowthResult, compute_growth_row
from rnn_maturation.analysis.dynamics.fixed_points import fixed_points_at
from rnn_maturation.analysis.dynamics.lesions import GROUPS, compute_lesions, unit_groups
from rnn_maturation.analysis.dynamics.perturbation import compute_kicks, compute_removal, random_planes
from rnn_maturation.analysis.dynamics.spectrum import plane
from rnn_maturation.analysis.dynamics.step import LeakyStep, network_at
from rnn_maturation.analysis.dynamics.task_input import saccades, task_input
from rnn_maturation.analysis.selectivity import load_neuron_info, select_units
from rnn_maturation.figures import STAGE_COLORS
from rnn_maturation.model_directory import load_hp, load_log

ROOT = Path(__file__).parents[3]
PRETRAINED = str(ROOT / "data/6tasks_pretrained")
GOLDEN = json.loads((ROOT / "tests/golden/dynamics.json").read_text())


@pytest.fixture(scope="module")
def mature():
    """(hp, network, ODR's input in 16 directions) of the pretrained network at 449,280 trials."""
    hp = load_hp(PRETRAINED)
    return hp, network_at(hp, PRETRAINED, 449280), task_input("odr", hp, 16)


def test_growth_of_the_pretrained_network():
    hp, log = load_hp(PRETRAINED), load_log(PRETRAINED)
    trials = [0, 107520, 349440, 449280]
    result = eigenvalue_growth_analysis(hp, log, PRETRAINED, trials, "odr", n_starts=16, save=False)
    expected = {g["trial"]: g["fixed_points"][0]["pair"] for g in GOLDEN if g["rule"] == "odr"}
    assert result.trial.tolist() == trials and set(result.spectra) == set(trials)
    for row in result.data.itertuples():
        assert (row.pair_modulus, row.frequency_hz) == pytest.approx(expected[row.trial], abs=1e-9)
        assert row.n_starts == 16 and row.n_fixed_points == 1 and row.stage in ("early", "mature")
    memory = -0.02 / np.log([expected[trial][0] for trial in trials[:3]])
    np.testing.assert_allclose(result["memory_time_s"][:3], memory, rtol=1e-6)
    assert result["memory_time_s"][3] == np.inf and result["n_unstable"].tolist() == [0, 0, 0, 2]
    assert 1 <= result["participation_ratio"].min() and result["participation_ratio"].max() < 20
    assert (np.diff(result["rotation_size"][1:]) > 0).all()
    assert result.trained_delay_s == 1.5 and result.shown_trials["mature"] == 449280
    alone = eigenvalue_growth_analysis(hp, log, PRETRAINED, [349440], "odr", n_starts=16, save=False)
    pd.testing.assert_frame_equal(alone.data, result.data.iloc[[2]].reset_index(drop=True))


def test_spectra_are_of_their_stage_and_have_its_color():
    # at 110, performance is nearest to the early level, but already that of mid
    performance, stages = [0.1, 0.1, 0.2, 0.28, 0.4, 0.7, 1.0], ["early"] * 4 + ["mid"] * 2 + ["mature"]
    table = pd.DataFrame({"trial": [1, 2, 45, 100, 110, 120, 130], "performance": performance, "stage": stages})
    table = table.assign(memory_time_s=1.0, n_fixed_points=1)
    spectra = {trial: np.exp([0.1j, -0.1j]) for trial in table.trial}
    levels = {"early": 0.35, "mid": 0.65, "mature": 0.95}
    result = EigenvalueGrowthResult(table, spectra, levels, "odr", "delay1", 1.5, 20)
    assert result.shown_trials == {"plateau": 45, "early": 100, "mid": 120, "mature": 130}
    axes = {ax.get_title().split(":")[0]: ax for ax in result.plot().axes}
    for name, stage in {"plateau": "early", "early": "early", "mid": "mid", "mature": "mature"}.items():
        assert axes[name].lines[-1].get_color() == STAGE_COLORS[stage]
    without_early = EigenvalueGrowthResult(table[table.trial > 100], spectra, levels, "odr", "delay1", 1.5, 20)
    assert without_early.shown_trials == {"mid": 120, "mature": 130}


def test_stages_of_a_stage_dict_are_kept(run, trials):
    hp, log, model_dir = run
    chosen = {"odr": {"early": trials[:1], "mid": trials[1:2]}}
    result = eigenvalue_growth_analysis(hp, log, model_dir, chosen, "odr", n_starts=4, n_directions=4, save=False)
    assert result["stage"].tolist() == ["early", "mid"]
    result = eigenvalue_growth_analysis(hp, log, model_dir, trials[:2], "odr", n_starts=4, n_directions=4, save=False)
    assert result["stage"].tolist() == ["early", "early"]


def test_growth_writes_only_when_asked(run, trials):
    hp, log, model_dir = run
    arguments = hp, log, model_dir, {"odr": {"early": trials[:2], "mature": trials[2:]}}, "odr"
    before = sorted(Path().rglob("*"))
    result = eigenvalue_growth_analysis(*arguments, n_starts=8, n_directions=8, save=False)
    assert sorted(Path().rglob("*")) == before
    eigenvalue_growth_analysis(*arguments, n_starts=8, n_directions=8)
    (table,) = Path("figure/figure_run/odr/delay1").glob("*eigenvalue_growth.csv")
    assert pd.read_csv(table).trial.tolist() == trials and table.with_suffix(".png").exists()
    assert result.to_frame() is not result.data and result._repr_png_().startswith(b"\x89PNG")
    with pytest.raises(FileNotFoundError):
        eigenvalue_growth_analysis(hp, log, model_dir, [6400], "odr")
    with pytest.raises(ValueError, match="no epoch"):
        eigenvalue_growth_analysis(hp, log, model_dir, trials, "overlap")


def test_a_checkpoint_without_fixed_point_is_a_gap(run, tmp_path):
    hp, _, _ = run
    n = 6
    network = LeakyStep(np.zeros((15, n)), np.eye(n), np.ones(n), np.zeros((n, 9)), np.zeros(9), "relu", alpha=0.2)
    row, spectrum = compute_growth_row(network, task_input("odr", hp, 8), "delay1", 8, 1280)
    assert spectrum is None and row["n_fixed_points"] == row["n_converged"] == 0 and row["n_starts"] == 8
    assert np.isnan(row["memory_time_s"]) and not row["largest_is_complex"]
    rows = [{**row, "trial": trial, "stage": "early", "performance": 0.2} for trial in (0, 1280)]
    levels = {"early": 0.35, "mid": 0.65, "mature": 0.95}
    result = EigenvalueGrowthResult(pd.DataFrame(rows), {}, levels, "odr", "delay1", 1.5, 20)
    result.plot().savefig(tmp_path / "gap.png")


@pytest.mark.parametrize("golden", GOLDEN[2:7:2], ids=lambda g: f"{g['rule']} {g['trial']}")
def test_other_delays_of_the_pretrained_network(golden):
    hp = load_hp(PRETRAINED)
    network, task = network_at(hp, PRETRAINED, golden["trial"]), task_input(golden["rule"], hp, 64)
    delays = [delay for delay in DELAYS_MS if delay < 6000]
    performance, error_deg = compute_delay_generalization(network, task, "delay1", delays)
    expected = np.array([golden["accuracy"][str(delay)] for delay in delays])
    np.testing.assert_array_equal(performance, expected[:, 0])
    assert np.abs((error_deg - expected[:, 1] + 180) % 360 - 180).max() < 0.01


def test_the_trained_delay_is_the_trial_itself(run, trials):
    hp, log, model_dir = run
    result = delay_generalization_analysis(hp, log, model_dir, trials[:2], "odr", [200], n_directions=8, save=False)
    assert result["delay_ms"].tolist() == [200, 1500] * 2 and result.trained_delay_ms == 1500
    task, network = task_input("odr", hp, 8), network_at(hp, model_dir, trials[1])
    correct, _ = saccades(network.output(network.run(task.inputs)[-1]), task.targets)
    assert result["performance"].iloc[3] == correct.mean()
    assert not Path("figure").exists()
    delay_generalization_analysis(hp, log, model_dir, trials[:2], "odr", [200], n_directions=8)
    assert len(list(Path("figure/figure_run/odr/delay1").glob("*delay_generalization.*"))) == 2
    for rule, epoch, reason in (("overlap", "delay1", "no epoch"), ("gap", "delay1", "no delay between")):
        with pytest.raises(ValueError, match=reason):
            delay_generalization_analysis(hp, log, model_dir, trials, rule, epoch=epoch)
    with pytest.raises(ValueError, match="at least one step"):
        delay_generalization_analysis(hp, log, model_dir, trials, "odr", [-5])


def test_an_answer_without_direction_has_no_error(mature):
    hp, _, task = mature
    network = LeakyStep(
        np.zeros((15, 4)), np.zeros((4, 4)), np.ones(4), np.ones((4, 9)), np.zeros(9), "tanh", alpha=0.2
    )
    _, error_deg = compute_delay_generalization(network, task, "delay1", [500])
    assert np.isnan(error_deg).all()


def test_lesions_beside_random_units(mature):
    _, network, task = mature
    groups = {"none": np.empty(0, dtype=int), "all": np.arange(256), "three": np.array([1, 2, 3])}
    table = compute_lesions(network, {"odr": task}, groups, n_draws=3).set_index("group")
    assert np.isnan(table.performance["none"]) and table.intact["three"] == 1
    silent = network.silenced(np.arange(256))
    correct, _ = saccades(np.tile(silent.output(np.zeros(256)), (16, 1)), task.targets)
    assert table.performance["all"] == correct.mean() == table.random_mean["all"]
    assert table.random_min["three"] <= table.random_mean["three"] <= table.random_max["three"] <= 1


def test_groups_of_units_are_those_of_the_selectivity_analysis(run, trials):
    hp, log, model_dir = run
    groups = unit_groups(hp, model_dir, trials[2], network_at(hp, model_dir, trials[2]), "odr", "delay1")
    generate_neuron_info(hp, model_dir, ["stim1", "delay1"], trials[2:3], ["odr"], verbose=False)
    info = {epoch: load_neuron_info(model_dir, trials[2], "odr", epoch) for epoch in ("stim1", "delay1")}
    assert tuple(groups) == GROUPS
    assert groups[GROUPS[0]].tolist() == select_units(info["stim1"], "selective_neurons")[0].tolist()
    assert groups["mixed"].tolist() == select_units(info["delay1"], "mix_neurons")[0].tolist()
    halves = np.concatenate([groups["more in the rotation"], groups["less in the rotation"]])
    assert sorted(halves) in ([], list(range(12)))
    result = lesion_analysis(hp, log, model_dir, trials[2:4], ["odr", "gap"], n_directions=4, n_draws=2)
    assert len(result) == 2 * len(GROUPS) * 2 and set(result["stage"]) == {"mid"}
    assert len(list(Path("figure/figure_run/odr/delay1").glob("*lesions.*"))) == 2


def test_a_kick_in_the_rotation_moves_the_saccade_by_its_angle(mature):
    _, network, task = mature
    found = fixed_points_at(network, task, "delay1", network.run(task.inputs), 16, with_slow_points=False)
    planes = random_planes(256, 2)
    np.testing.assert_allclose(planes[0].T @ planes[0], np.eye(2), atol=1e-12)
    table = compute_kicks(network, task, "delay1", found.jacobians[0], 30.0, 500, planes)
    kicked, random = table[table.plane == "rotation"], table[table.plane == "random"]
    assert kicked.time_ms.tolist() == [0, 500, 1000] and len(random) == 6
    assert kicked.shift_deg.between(20, 40).all() and random.shift_deg.abs().max() < 10
    assert compute_removal(network, task, np.zeros((256, 2))) == 1
    assert compute_removal(network, task, plane(found.jacobians[0])) < 0.3
    assert compute_removal(network, task, planes[0]) > 0.9


def test_perturbations_are_one_table(run, trials):
    hp, _, model_dir = run
    result = perturbation_analysis(hp, model_dir, trials[1], "odr", rules=["odr", "gap"], n_directions=8, n_planes=2)
    counts = result.data.groupby("manipulation").size()
    assert counts["removed"] == 2 * (4 + 2 * 2) and counts["kick"] == 15 * 3
    assert list(Path("figure/figure_run/odr/delay1").glob("*perturbation.csv"))
    with pytest.raises(ValueError, match="no delay between"):
        perturbation_analysis(hp, model_dir, trials[1], "gap")


@pytest.mark.parametrize(
    "analyze, message",
    [
        (lambda a, hp, log, d: a.delay_generalization_analysis(hp, log, d, [0], "odr", [0]), "at least one step"),
        (
            lambda a, hp, log, d: a.delay_generalization_analysis(hp, log, d, [0], "odr", ["a"]),
            "must be numbers",
        ),
        (lambda a, hp, log, d: a.end_state_analysis(hp, d, 0, "odr", hold_s=1), "hold_s must be at least 20 seconds"),
        (lambda a, hp, log, d: a.end_state_analysis(hp, d, 0, "odr", n_locations=1), "at least 2 locations"),
        (
            lambda a, hp, log, d: a.lesion_analysis(hp, log, d, [0], ["odr"], n_draws=0),
            "n_draws must be",
        ),
        (lambda a, hp, log, d: a.lesion_analysis(hp, log, d, [0], []), "rules is empty"),
    ],
)
def test_settings_that_say_nothing_are_named(run, analyze, message):
    hp, log, model_dir = run
    with pytest.raises(ValueError, match=message):
        analyze(analysis, hp, log, model_dir)
    assert not Path("figure").exists()
