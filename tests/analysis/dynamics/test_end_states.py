import json
from pathlib import Path

import numpy as np
import pytest

from rnn_maturation.analysis import end_state_analysis
from rnn_maturation.analysis.dynamics.end_states import compute_end_state, refine_cycle
from rnn_maturation.analysis.dynamics.step import LeakyStep, Step
from rnn_maturation.model_directory import load_hp

ROOT = Path(__file__).parents[3]
PRETRAINED = str(ROOT / "data/6tasks_pretrained")
GOLDEN = json.loads((ROOT / "tests/golden/dynamics.json").read_text())
TURN, PULL, DECAY = 2 * np.pi / 71.3, 0.01, 0.99  # rad, share and factor per step


class PlantedCycle(Step):
    """r' = r + PULL r (1 - r^2), angle' = angle + TURN, z' = DECAY z, in units mixed by a rotation."""

    def __init__(self, pull=PULL, decay=DECAY):
        super().__init__(np.zeros((1, 3)), np.zeros((3, 3)), np.zeros(3), np.zeros((3, 2)), np.zeros(2))
        self.pull, self.decay = pull, decay
        self.mix = np.linalg.qr(np.random.default_rng(1).normal(size=(3, 3)))[0]
        turn = np.array([[np.cos(TURN), np.sin(TURN)], [-np.sin(TURN), np.cos(TURN)]])
        self.turn = np.block([[turn, np.zeros((2, 1))], [np.zeros((1, 2)), np.ones((1, 1))]])

    def _growth(self, own):
        growth = 1 + self.pull * (1 - (own[..., :2] ** 2).sum(axis=-1, keepdims=True))
        return np.concatenate([growth, growth, np.full_like(growth, self.decay)], axis=-1)

    def step(self, states, drive):
        own = states @ self.mix.T
        return (own * self._growth(own)) @ self.turn @ self.mix

    def differential(self, states, drive):
        own = states @ self.mix.T

        def image(v):
            v = v @ self.mix.T
            inner = (own[..., :2] * v[..., :2]).sum(axis=-1, keepdims=True)
            change = v * self._growth(own)
            change[..., :2] -= 2 * self.pull * inner * own[..., :2]
            return change @ self.turn @ self.mix

        return image


def starts_on(network, n=8, radius=0.5):
    angles = np.arange(n) * 2 * np.pi / n
    return radius * np.stack([np.cos(angles), np.sin(angles), np.ones(n)], axis=1) @ network.mix


def test_the_planted_derivative_is_right():
    network, rng = PlantedCycle(), np.random.default_rng(0)
    state, shift = rng.normal(size=3), 1e-6 * np.eye(3)
    numeric = (network.step(state + shift, None) - network.step(state - shift, None)).T / 2e-6
    np.testing.assert_allclose(network.jacobian(state, None), numeric, atol=1e-8)


def test_a_planted_cycle_its_period_amplitude_and_multipliers():
    network = PlantedCycle()
    result = compute_end_state(network, np.zeros(1), starts_on(network), 20.0, trained_delay_s=1.5)
    assert result.kind == "cycle" and result.n_end_states == 1
    assert result.period_ms == pytest.approx(20 * 71.3, rel=1e-6)
    assert result.amplitude == pytest.approx(1, rel=1e-3)
    per_round = np.array([(1 - 2 * PULL) ** 71.3, DECAY**71.3])
    np.testing.assert_allclose(np.sort(abs(result.multipliers)), np.sort(per_round), rtol=2e-3)
    assert set(result.by_location.kind) == {"cycle"} and np.isnan(result.settle_s)
    assert result["kind"] == "cycle" and len(result.to_frame()) == 8


def test_a_cycle_that_is_approached_slowly_is_refined():
    network = PlantedCycle(pull=2e-4)
    states = network.hold(None, starts_on(network, 1, 0.9), 1500, keep_every=1)[-500:, 0]
    cycle = refine_cycle(network, None, states)
    assert np.abs(np.linalg.norm(states @ network.mix[:2].T, axis=1) - 1).max() > 0.02, "not there yet"
    np.testing.assert_allclose(np.linalg.norm(cycle.orbit @ network.mix[:2].T, axis=1), 1, atol=1e-4)
    assert cycle.period == pytest.approx(71.3, rel=1e-6)


def test_a_decaying_rotation_ends_in_its_fixed_point():
    network = PlantedCycle(pull=0.0)
    network.turn = network.turn * 0.995
    result = compute_end_state(network, np.zeros(1), starts_on(network), 20.0, trained_delay_s=1.5)
    assert result.kind == "fixed point" and result.amplitude < 1e-4 and np.isnan(result.period_ms)
    assert 0 < result.settle_s < 60 and result.multipliers is None


def bistable():
    return LeakyStep(np.zeros((1, 2)), 2 * np.eye(2), np.zeros(2), np.zeros((2, 2)), np.zeros(2), "tanh", alpha=0.2)


def test_several_points_keep_the_location():
    starts = np.array([[0.5, 0.4], [-0.4, 0.5], [-0.5, -0.4], [0.4, -0.5]])
    result = compute_end_state(bistable(), np.zeros(1), starts, 20.0, trained_delay_s=1.5)
    assert result.kind == "fixed points" and result.n_end_states == 4
    assert sorted(result.by_location.end_state) == [0, 1, 2, 3]


def test_a_line_of_points_is_kept_in_place_too():
    network = LeakyStep(np.zeros((1, 2)), np.eye(2), np.zeros(2), np.zeros((2, 2)), np.zeros(2), "relu", alpha=0.2)
    starts = np.array([[1.0, 2.0], [2.0, 1.0], [3.0, 3.0]])
    assert compute_end_state(network, np.zeros(1), starts, 20.0, trained_delay_s=1.5).kind == "fixed points"


def test_what_grows_without_end_is_other():
    network = LeakyStep(np.zeros((1, 1)), np.eye(1), np.ones(1), np.zeros((1, 2)), np.zeros(2), "relu", alpha=0.2)
    result = compute_end_state(network, np.zeros(1), np.array([[0.0], [1.0]]), 20.0, trained_delay_s=1.5)
    assert result.kind == "other"


@pytest.mark.parametrize("golden", [GOLDEN[1], GOLDEN[4], GOLDEN[5]], ids=["plateau", "mid", "mature"])
def test_the_pretrained_network(golden):
    result = end_state_analysis(load_hp(PRETRAINED), PRETRAINED, golden["trial"], golden["rule"], save=False)
    expected = golden["end_state"]
    if "period_ms" not in expected:
        assert result.kind == "fixed point" and result.n_end_states == expected["n_end_states"]
        assert result.amplitude < 1e-9 and result.settle_s < 10
        return
    assert result.kind == "cycle"
    assert result.period_ms == pytest.approx(expected["period_ms"], abs=0.01)
    assert result.amplitude == pytest.approx(expected["amplitude"], rel=2e-3)
    assert abs(result.multipliers[0]) < 1


def test_files_and_errors(run):
    hp, _, model_dir = run
    before = sorted(Path().rglob("*"))
    result = end_state_analysis(hp, model_dir, 0, "odr", hold_s=20, save=False)
    assert sorted(Path().rglob("*")) == before
    end_state_analysis(hp, model_dir, 0, "odr", hold_s=20)
    assert Path("figure/figure_run/odr/delay1/odr_delay1_0_end_state.csv").exists()
    assert result._repr_png_().startswith(b"\x89PNG") and len(result.trajectories) == 1000
    with pytest.raises(ValueError, match="no epoch"):
        end_state_analysis(hp, model_dir, 0, "overlap")
    with pytest.raises(FileNotFoundError):
        end_state_analysis(hp, model_dir, 5, "odr")
