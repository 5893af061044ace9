from pathlib import Path

import numpy as np
import pytest

from rnn_maturation.analysis import odrd_distractor_analysis, saccade_distribut_analysis
from rnn_maturation.analysis.behavior import saccade_error
from rnn_maturation.model_directory import checkpoint_dir
from rnn_maturation.network import Model, gen_feed_dict, get_perf, popvec, tf1
from rnn_maturation.task import generate_trials, get_dist


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
    folder = Path("figure/figure_run/odrd")
    assert (folder / "odrd_distractor_analysis_by_growth.png").exists()
    assert (folder / "saccade_distribut_analysis_by_growth_dis_4.png").exists()


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
    with pytest.raises(ValueError, match="never saw a rule 'odr500'"):
        saccade_distribut_analysis(hp, log, "odr500", model_dir, trials)
