import ctypes
import errno
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from rnn_maturation.analysis import fixed_point_analysis
from rnn_maturation.analysis.dynamics.fixed_points import TOLERANCE, compute_fixed_points, newton
from rnn_maturation.analysis.dynamics.spectrum import (
    frequency_hz,
    leading_pair,
    memory_time_s,
    participation,
    participation_ratio,
    plane,
    principal_axes,
    rotation,
    rotation_size,
    sorted_eigenvalues,
)
from rnn_maturation.analysis.dynamics.step import ACTIVATIONS, GRUStep, LeakyStep, LSTMStep
from rnn_maturation.model_directory import load_hp

ROOT = Path(__file__).parents[3]
PRETRAINED = str(ROOT / "data/6tasks_pretrained")
GOLDEN = json.loads((ROOT / "tests/golden/dynamics.json").read_text())


def small(kind, w_h, bias, activation, **settings):
    n = len(w_h)
    return kind(np.zeros((1, w_h.shape[1])), w_h, bias, np.zeros((n, 3)), np.zeros(3), activation, **settings)


def search(network, n_starts=60, seed=0, scale=2.0, **settings):
    starts = scale * np.random.default_rng(seed).normal(size=(n_starts, network.n_state))
    return compute_fixed_points(network, np.zeros(1), starts, dt=20.0, **settings)


@pytest.mark.parametrize("activation", ["softplus", "relu", "tanh", "elu", "power", "retanh"])
def test_a_planted_point_is_found(activation):
    rng = np.random.default_rng(3)
    z = rng.uniform(0.2, 1.0, 20)
    point = ACTIVATIONS[activation][0](z)
    w = 0.6 * rng.normal(size=(20, 20)) / np.sqrt(20)
    network = small(LeakyStep, w, z - point @ w, activation, alpha=0.2)
    found = search(network, scale=1.0)
    nearest = np.abs(found.states - point).max(axis=1).argmin()
    np.testing.assert_allclose(found.states[nearest], point, atol=1e-8)
    expected = sorted_eigenvalues(0.8 * np.eye(20) + 0.2 * ACTIVATIONS[activation][1](z)[:, None] * w.T)
    np.testing.assert_allclose(abs(found.eigenvalues[nearest]), abs(expected), atol=1e-8)


def test_all_nine_points_of_two_bistable_units_and_their_stability():
    network = small(LeakyStep, 2 * np.eye(2), np.zeros(2), "tanh", alpha=0.1)
    found = search(network, 200)
    assert len(found.states) == 9 and found.n_converged == 200
    assert np.linalg.norm(found.states[0]) < 1, "the one nearest to the mean of the starts comes first"
    assert (found.residuals <= TOLERANCE).all()
    stable = (abs(found.eigenvalues) < 1).all(axis=1)
    assert stable.sum() == 4 and found.data["is_stable"].tolist() == stable.tolist()
    assert (np.abs(found.states[stable]) > 0.9).all()
    assert found.n_unstable == 2 and np.isnan(found.pair_modulus) and np.isnan(found.memory_time_s)
    assert sorted(set(found.reached)) == list(range(9))


@pytest.mark.parametrize(("kind", "gates", "settings"), [(GRUStep, 3, {}), (LSTMStep, 4, {})])
def test_gated_networks_rest_where_a_point_is_found(kind, gates, settings):
    rng = np.random.default_rng(0)
    network = small(kind, rng.normal(size=(8, 8 * gates)) / 2, rng.normal(size=8 * gates) / 2, "tanh", **settings)
    found = search(network, 40)
    assert len(found.states) >= 1
    for state, jacobian in zip(found.states, found.jacobians, strict=True):
        np.testing.assert_allclose(network.hold(network.drive(np.zeros(1)), state[None], 3)[0], state, atol=1e-7)
        assert jacobian.shape == (network.n_state, network.n_state)


def test_a_slow_point_is_no_fixed_point():
    network = small(LeakyStep, np.array([[1.0]]), np.array([0.26]), "power", alpha=0.2)  # (h + .26)^2 > h everywhere
    found = search(network, 20, scale=0.2)
    assert len(found.states) == 0 and found.n_converged == 0
    np.testing.assert_allclose(found.slow_points, [[0.24]], atol=1e-3)
    np.testing.assert_allclose(found.slow_residuals, [0.01], atol=1e-6)
    assert found.to_frame().kind.tolist() == ["slow point"]


def test_nothing_to_be_found_is_a_counted_gap(tmp_path):
    network = small(LeakyStep, np.array([[1.0]]), np.array([1.0]), "relu", alpha=0.2)  # max(h + 1, 0) > h everywhere
    found = search(network, 10)
    assert (len(found.states), found.n_converged, found.n_starts) == (0, 0, 10)
    assert np.isnan([found.pair_modulus, found.memory_time_s, found.frequency_hz, found.largest_modulus]).all()
    assert (
        found.n_unstable == 0
        and "fixed point" not in set(found.to_frame().kind)
        and found.data["xstar"].shape == (0, 1)
    )
    found.plot().savefig(tmp_path / "figure.png")


def test_newton_gives_up_on_states_that_are_not_finite():
    network = small(LeakyStep, np.eye(2), np.zeros(2), "softplus", alpha=0.2)
    _, norms, _ = newton(network, np.zeros(2), np.array([[np.nan, 0.0], [0.5, 0.5]]))
    assert np.isnan(norms[0])


@pytest.mark.parametrize("golden", GOLDEN, ids=[f"{g['rule']} {g['trial']}" for g in GOLDEN])
def test_the_pretrained_network(golden):
    hp = load_hp(PRETRAINED)
    found = fixed_point_analysis(hp, PRETRAINED, golden["trial"], golden["rule"], save=False)
    (expected,) = golden["fixed_points"]
    assert len(found.states) == 1 and found.n_converged >= 0.85 * found.n_starts and found.n_starts == 64
    assert np.linalg.norm(found.states[0]) == pytest.approx(expected["norm"], abs=1e-9)
    assert found.largest_modulus == pytest.approx(expected["largest_modulus"], abs=1e-9)
    assert found.n_unstable == expected["n_unstable"]
    assert (found.pair_modulus, found.frequency_hz) == pytest.approx(expected["pair"], abs=1e-9)
    values = found.eigenvalues[0]
    second = leading_pair(values[abs(values) < found.pair_modulus - 1e-12])
    assert (abs(second), frequency_hz(second, 20)) == pytest.approx(expected["second_pair"], abs=1e-9)


def test_files_have_the_names_that_users_of_fixed_point_finder_know(run):
    hp, _, model_dir = run
    before = sorted(Path().rglob("*"))
    fixed_point_analysis(hp, model_dir, 1280, "odr", n_starts=16, save=False)
    assert sorted(Path().rglob("*")) == before
    result = fixed_point_analysis(hp, model_dir, 1280, "odr", n_starts=16)
    folder = Path("figure/figure_run/odr/delay1")
    stored = np.load(folder / "fixed_points_1280.npz")
    names = "xstar x_init inputs F_xstar qstar dq n_iters J_xstar eigval_J_xstar is_stable cond_id".split()
    assert set(names) <= set(stored)
    n = len(stored["xstar"])
    assert n >= 1 and all(len(stored[name]) == n for name in names)
    np.testing.assert_array_equal(stored["xstar"], result.states)
    np.testing.assert_allclose(stored["F_xstar"], stored["xstar"], atol=1e-8)
    np.testing.assert_array_equal(result["J_xstar"], stored["J_xstar"])
    assert set(result) == set(result.data) and len(result.to_frame()) == n + len(result.slow_points)
    assert (folder / "fixed_points_1280.png").exists() and result._repr_png_().startswith(b"\x89PNG")


def test_bad_input_is_named(run):
    hp, _, model_dir = run
    with pytest.raises(ValueError, match="no epoch 'delay7'"):
        fixed_point_analysis(hp, model_dir, 0, "odr", "delay7")
    with pytest.raises(ValueError, match="nothing to hold"):
        fixed_point_analysis(hp, model_dir, 0, "odr", "stim1")
    with pytest.raises(ValueError, match="match_or_non"):
        fixed_point_analysis(hp, model_dir, 0, "match_or_non")
    with pytest.raises(FileNotFoundError, match="77"):
        fixed_point_analysis(hp, model_dir, 77, "odr")
    with pytest.raises(ValueError, match="n_starts"):
        fixed_point_analysis(hp, model_dir, 0, "odr", n_starts=2)


def test_memory_times_and_frequencies():
    assert memory_time_s(np.exp(-0.02 / 1.5), 20) == pytest.approx(1.5)
    assert memory_time_s(1.0, 20) == np.inf and memory_time_s(1.01j, 20) == np.inf
    assert memory_time_s(0.0, 20) == 0 and np.isnan(memory_time_s(np.nan, 20))
    assert frequency_hz(0.9 * np.exp(-2j * np.pi * 0.02 * 0.7), 20) == pytest.approx(0.7)
    assert leading_pair(np.array([0.9, 0.5 + 0.5j, 0.5 - 0.5j, 0.1j, -0.1j])) == 0.5 + 0.5j
    assert np.isnan(leading_pair(np.array([0.9 + 0j])))


@pytest.mark.skipif(sys.platform != "linux", reason="sets the C library's error number")
def test_a_missing_pair_has_no_modulus_whatever_overflowed_before():
    """Python's abs(complex(nan)) raises an OverflowError if another call left the error number of an overflow."""
    location = ctypes.CDLL(None).__errno_location
    location.restype = ctypes.POINTER(ctypes.c_int)
    error_number, pair = location(), leading_pair(np.array([0.9 + 0j]))
    error_number[0] = errno.ERANGE
    assert np.isnan(abs(pair))
    error_number[0] = errno.ERANGE
    assert np.isnan(memory_time_s(pair, 20)) and np.isnan(frequency_hz(pair, 20))


def test_the_rotation_of_a_planted_pair():
    rng = np.random.default_rng(0)
    turn = 0.98 * np.array([[np.cos(0.1), -np.sin(0.1)], [np.sin(0.1), np.cos(0.1)]])
    blocks = np.zeros((6, 6))
    blocks[:2, :2], blocks[2:, 2:] = turn, np.diag([0.99, 0.5, 0.4, 0.3])
    basis = rng.normal(size=(6, 6))
    jacobian = basis @ blocks @ np.linalg.inv(basis)
    pair, right, left = rotation(jacobian)
    assert pair == pytest.approx(0.98 * np.exp(0.1j))
    np.testing.assert_allclose(jacobian @ right, pair * right, atol=1e-10)
    np.testing.assert_allclose(left @ jacobian, pair * left, atol=1e-10)
    assert left @ right == pytest.approx(1) and participation(jacobian).sum() == pytest.approx(1)
    q = plane(jacobian)
    np.testing.assert_allclose(q @ q.T @ basis[:, :2], basis[:, :2], atol=1e-10)
    assert participation(np.kron(np.diag([1, 0.1]), turn))[2:].max() < 1e-10
    with pytest.raises(ValueError, match="no rotation"):
        rotation(np.eye(3))


def test_dimensionality_and_size():
    rng = np.random.default_rng(0)
    activity = np.zeros((500, 4, 9))
    activity[..., :3] = rng.normal(size=(500, 4, 3))
    assert participation_ratio(activity) == pytest.approx(3, rel=0.02)
    assert np.isnan(participation_ratio(np.ones((5, 3))))
    angles = np.arange(8) * np.pi / 4
    circle = 3 * np.stack([np.cos(angles), np.sin(angles)], axis=1) + 7
    assert rotation_size(circle) == pytest.approx(3)
    mean, axes, explained = principal_axes(activity, 3)
    assert mean.shape == (9,) and np.abs(axes[3:]).max() < 1e-10 and explained.sum() == pytest.approx(1)
