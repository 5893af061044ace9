from pathlib import Path

import numpy as np
import pytest

from rnn_maturation.analysis import odrd_distractor_analysis, saccade_distribut_analysis
from rnn_maturation.analysis.behavior import (
    compute_distractor_effect,
    compute_saccade_distribution,
    noisy_inputs,
    ring_distance,
    saccade_error,
)
from rnn_maturation.model_directory import checkpoint_dir
from rnn_maturation.network import Model, gen_feed_dict, get_perf, popvec, tf1
from rnn_maturation.task import TASKS, generate_trials, get_dist


def test_the_noise_of_the_inputs_follows_from_dt_and_tau(run):
    hp, _, _ = run
    short = {**hp, "dt": 10}  # its alpha is still that of 20 ms
    inputs, _ = noisy_inputs(short, "gap", [["test"]])
    quiet = generate_trials("gap", short, "test", noise_on=False).x
    assert (inputs[0] - quiet).std() == pytest.approx(0.01 * np.sqrt(2 / 0.1), rel=0.02)


def test_saccade_error_is_a_distance_on_the_circle():
    preferred = np.arange(8) * np.pi / 4
    looked_at = np.array([0.1, 6.2, np.pi])
    output = np.concatenate([np.ones((3, 1)), 1 + np.cos(looked_at[:, None] - preferred)], axis=1)
    np.testing.assert_allclose(saccade_error(output, np.array([6.2, 0.1, 0.0])), [10.5, 10.5, 180], atol=0.1)


def outputs(hp, model_dir, trial_num, rule, modes):
    """Performance and saccade error in degrees (n_modes, n_trials), without any noise, computed the plain way."""
    model = Model(model_dir, hp=hp)
    correct, error = [], []
    with tf1.Session() as session:
        model.restore(checkpoint_dir(model_dir, trial_num))
        for mode in modes:
            trial = generate_trials(rule, hp, mode, noise_on=False)
            y_hat = session.run(model.y_hat, gen_feed_dict(model, trial, hp))
            correct.append(get_perf(y_hat, trial.y_loc))
            error.append(np.degrees(get_dist(np.abs(popvec(y_hat[-1, :, 1:]) - trial.y_loc[-1]))))
    return np.array(correct), np.array(error)


def test_distractors_at_all_distances(run, trials):
    hp, log, model_dir = run
    hp = {**hp, "sigma_rec": 0.0, "sigma_x": 0.0}
    result = odrd_distractor_analysis(hp, log, model_dir, [trials[4]])
    performance, errors = result["performance"], result["errors"]["mature"]
    assert list(performance.index) == ["mature"] and list(performance.columns) == [0, 1, 2, 3, 4]
    n_pairs = {0: 8, 1: 16, 2: 16, 3: 16, 4: 8}
    assert {d: len(values) for d, values in errors.items()} == {d: 128 * n for d, n in n_pairs.items()}
    opposite = [f"test-{i}-{(i + 4) % 8}" for i in range(8)]
    correct, error = outputs(hp, model_dir, trials[4], "odrd", opposite)
    np.testing.assert_allclose(errors[4], error.ravel(), atol=1e-2)
    assert performance.loc["mature", 4] == pytest.approx(correct.mean())
    table = result.to_frame()
    assert table["distance_deg"].tolist() == [0, 45, 90, 135, 180] and set(table["n_checkpoints"]) == {1}
    assert table["mean_error_deg"].tolist() == pytest.approx([values.mean() for values in errors.values()])
    assert table["n_trials"].tolist() == [128 * n for n in n_pairs.values()]
    folder = Path("figure/figure_run/odrd")
    assert (folder / "odrd_distractor_analysis_by_growth.png").exists()
    assert (folder / "saccade_distribut_analysis_by_growth_dis_4.png").exists()


def test_any_rule_with_test_pairs_has_distractors(run, trials, monkeypatch):
    hp, log, model_dir = run
    with pytest.raises(ValueError, match="not possible for rule gap500: choose random, test or, for odrd, test-i-j"):
        odrd_distractor_analysis(hp, log, model_dir, trials[4:], rule="gap500")
    monkeypatch.setitem(TASKS, "gap500", TASKS["odrd"])
    result = odrd_distractor_analysis(hp, log, model_dir, trials[4:], rule="gap500")
    assert result["performance"].shape == (1, 5) and result.title == "Gap500"
    assert Path("figure/figure_run/gap500/odrd_distractor_analysis_by_growth.png").exists()


def test_saccades(run, trials):
    hp, log, model_dir = run
    errors = saccade_distribut_analysis(hp, log, "gap", model_dir, trials[:3])
    assert {stage: len(values) for stage, values in errors.items()} == {"early": 2 * 1024, "mid": 1024}
    assert all((values >= 0).all() and (values <= 180).all() for values in errors.values())
    again = saccade_distribut_analysis(hp, log, "gap", model_dir, trials[:3])
    np.testing.assert_array_equal(errors["mid"], again["mid"])
    quiet = {**hp, "sigma_rec": 0.0, "sigma_x": 0.0}
    repeats = saccade_distribut_analysis(quiet, log, "gap", model_dir, trials[:1])["early"].reshape(8, 128)
    np.testing.assert_allclose(repeats, np.repeat(repeats[:1], 8, axis=0), atol=1e-3)
    _, wanted = outputs(quiet, model_dir, trials[0], "gap", ["test"])
    np.testing.assert_allclose(repeats[:1], wanted, atol=1e-2)
    with pytest.raises(ValueError, match="has no rule 'odr500'"):
        saccade_distribut_analysis(hp, log, "odr500", model_dir, trials)


def legend(figure):
    return [text.get_text() for text in figure.axes[0].get_legend().get_texts()]


def test_legends_say_what_is_counted():
    rng = np.random.default_rng(0)
    errors = {trial: rng.uniform(0, 180, 50) for trial in (0, 1280, 2560)}
    stages = {"early": [0], "mid": [1280, 2560]}
    saccades = compute_saccade_distribution(errors, stages, {"early": 0.3, "mid": 0.5}, "ODR")
    assert legend(saccades.plot())[:2] == ["early, performance 0.30, 50 trials", "mid, performance 0.50, 100 trials"]
    pairs = {trial: (np.ones((16, 3)), np.zeros((16, 3))) for trial in errors}
    distractor = compute_distractor_effect(pairs, stages, 4)
    assert legend(distractor.plot())[:2] == ["early, 1 checkpoint", "mid, 2 checkpoints"]
    assert legend(distractor.at_distance(1).plot())[0] == f"early, {8 * 3} trials"


def test_saccades_of_any_source_can_be_pooled():
    errors = {"first day": [3.0, 10.0], "second day": np.array([[20.0], [40.0]])}
    result = compute_saccade_distribution(errors, {"mature": list(errors)})
    assert result["mature"].tolist() == [3, 10, 20, 40] and dict(result).keys() == {"mature"}
    table = result.to_frame()
    assert table.columns.tolist() == ["stage", "error_deg"] and table["error_deg"].sum() == 73


@pytest.mark.parametrize("n_ring", [4, 5])
def test_pairs_are_sorted_by_their_distance_on_the_circle(n_ring):
    stimulus, distractor = np.indices((n_ring, n_ring)).reshape(2, -1)
    apart = np.abs(np.exp(2j * np.pi * stimulus / n_ring) - np.exp(2j * np.pi * distractor / n_ring))
    steps = np.round(np.arcsin(apart / 2) * n_ring / np.pi)[:, None]  # from the length of the chord
    result = compute_distractor_effect({7: (steps % 2, 10 * steps)}, {"mature": [7]}, n_ring)
    distances = list(range(n_ring // 2 + 1))
    assert result["performance"].loc["mature"].tolist() == [d % 2 for d in distances]
    for d in distances:
        assert set(result["errors"]["mature"][d].tolist()) == {10 * d}
    with pytest.raises(ValueError, match=f"must have {n_ring**2} rows, one for each pair of locations"):
        compute_distractor_effect({7: (steps[1:], steps[1:])}, {"mature": [7]}, n_ring)


def test_without_saving_nothing_is_written(run, trials):
    hp, log, model_dir = run
    saccade_distribut_analysis(hp, log, "gap", model_dir, trials[:1], save=False)
    odrd_distractor_analysis(hp, log, model_dir, trials[:1], save=False)
    assert not Path("figure").exists()


@pytest.mark.parametrize("n_ring, most", [(8, 4), (7, 3)])
def test_ring_distances(n_ring, most):
    distance = ring_distance(n_ring).reshape(n_ring, n_ring)
    assert distance.max() == most and (np.diag(distance) == 0).all() and distance[0, n_ring - 1] == 1
    np.testing.assert_array_equal(distance, distance.T)
