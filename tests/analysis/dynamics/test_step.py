"""The step and its derivative: against TensorFlow's graph, and against numerical differentiation."""

import numpy as np
import pytest

from rnn_maturation.analysis.dynamics.step import ACTIVATIONS, GRUStep, LeakyStep, LSTMStep, network_at
from rnn_maturation.analysis.dynamics.task_input import saccades, task_input
from rnn_maturation.hyperparameters import complete_hp
from rnn_maturation.network import Model, tf1
from rnn_maturation.recurrence import ACTIVATIONS as GRAPH_ACTIVATIONS

N_IN, N, N_OUT = 4, 6, 3
GATES = {LeakyStep: 1, GRUStep: 3, LSTMStep: 4}


def random_network(kind, activation="softplus", seed=0, **settings):
    rng = np.random.default_rng(seed)
    shapes = (N_IN, GATES[kind] * N), (N, GATES[kind] * N), (GATES[kind] * N,), (N, N_OUT), (N_OUT,)
    return kind(*(rng.normal(size=shape) for shape in shapes), activation=activation, **settings)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize(
    ("kind", "settings"),
    [(LeakyStep, {"alpha": 0.2}), (GRUStep, {}), (GRUStep, {"alpha": 0.3, "leaky": True}), (LSTMStep, {})],
)
def test_jacobian_is_the_numerical_derivative(kind, settings, activation):
    network = random_network(kind, activation, **settings)
    rng = np.random.default_rng(1)
    state, drive = rng.normal(size=network.n_state), network.drive(rng.normal(size=N_IN))
    shift = 1e-6 * np.eye(network.n_state)
    numeric = (network.step(state + shift, drive) - network.step(state - shift, drive)).T / 2e-6
    np.testing.assert_allclose(network.jacobian(state, drive), numeric, atol=1e-8)
    vectors = rng.normal(size=(5, network.n_state))
    states = state + 0.1 * vectors
    images = network.differential(states, drive)(vectors)
    expected = [network.jacobian(s, drive) @ v for s, v in zip(states, vectors, strict=True)]
    np.testing.assert_allclose(images, expected, atol=1e-12)


def test_every_activation_of_the_graph_is_known():
    z = np.linspace(-3, 3, 13)
    for name, (f, df) in GRAPH_ACTIVATIONS.items():
        with tf1.Session(graph=tf1.Graph()) as session, session.graph.as_default():
            values = session.run([f(tf1.constant(z)), df(tf1.constant(z))])
        np.testing.assert_allclose([ACTIVATIONS[name][0](z), ACTIVATIONS[name][1](z)], values, atol=1e-12)


@pytest.mark.parametrize(
    "changed",
    [
        {"activation": "relu"},
        {"activation": "softplus", "dt": 10},
        {"activation": "softplus", "use_separate_input": True, "mix_rule": True},
        {"activation": "softplus", "use_separate_input": True},
        {"rnn_type": "LeakyGRU", "activation": "tanh"},
        {"rnn_type": "GRU", "activation": "relu+"},
        {"rnn_type": "LSTM", "activation": "tanh"},
        {"activation": "softplus", "loss_type": "cross_entropy"},
    ],
)
def test_the_same_activity_and_output_as_the_graph(changed, tmp_path):
    hp = complete_hp({"ruleset": "all_new", "n_rnn": 9, "sigma_rec": 0.0, "seed": 1, **changed})
    task = task_input("odrd", hp, 5)
    model = Model(str(tmp_path), hp=hp)
    with tf1.Session() as session:
        model.initialize()
        model.save(tmp_path / "1280")
        h, y = session.run([model.h, model.y_hat], {model.x: task.inputs})
    network = network_at(hp, str(tmp_path), 1280)
    states = network.run(task.inputs)
    np.testing.assert_allclose(states[..., :9], h, atol=2e-5)
    np.testing.assert_allclose(network.output(states), y, atol=2e-5)


def test_hold_and_run_agree():
    network = random_network(LSTMStep)
    inputs = np.tile(np.random.default_rng(2).normal(size=N_IN), (7, 3, 1))
    states = network.run(inputs)
    assert (states[:, 0] == states[:, 2]).all()
    held = network.hold(network.drive(inputs[0, 0]), np.zeros((3, network.n_state)), 7, keep_every=1)
    np.testing.assert_allclose(held, states, atol=1e-12)
    np.testing.assert_allclose(network.hold(network.drive(inputs[0, 0]), np.zeros((3, 12)), 7), states[-1], atol=1e-12)


def test_silenced_units_act_on_nobody(tmp_path):
    hp = complete_hp({"ruleset": "all_new", "n_rnn": 9, "sigma_rec": 0.0, "activation": "softplus", "seed": 1})
    task = task_input("odr", hp, 3)
    model = Model(str(tmp_path), hp=hp)
    with tf1.Session() as session:
        model.initialize()
        model.save(tmp_path / "0")
        model.lesion_units(session, [2, 5])
        y = session.run(model.y_hat, {model.x: task.inputs})
    network = network_at(hp, str(tmp_path), 0)
    lesioned = network.silenced([2, 5])
    np.testing.assert_allclose(lesioned.output(lesioned.run(task.inputs)), y, atol=2e-5)
    assert (network.w_h[2] != 0).all(), "the network itself stays as it was"


def test_errors_name_the_remedy(run):
    hp, _, model_dir = run
    with pytest.raises(FileNotFoundError, match="999"):
        network_at(hp, model_dir, 999)
    with pytest.raises(ValueError, match="load_hp"):
        network_at({**hp, "rnn_type": "GRU"}, model_dir, 0)
    with pytest.raises(ValueError, match="inputs, units and outputs"):
        network_at({**hp, "n_rnn": 8}, model_dir, 0)
    with pytest.raises(ValueError, match="softplus"):
        random_network(LeakyStep, "no such function")


def test_directions_are_even_and_saccades_judged(run):
    hp, _, _ = run
    state = hp["rng"].get_state()[1].copy()
    task = task_input("odrd", hp, 16)
    assert (hp["rng"].get_state()[1] == state).all(), "no number of the run's generator is drawn"
    np.testing.assert_allclose(task.targets, np.arange(16) * np.pi / 8, atol=1e-6)
    distractor = task.inputs[task.steps("distract1")][0, :, 1:9]
    assert (distractor.argmax(axis=1)[::2] == (np.arange(8) + 4) % 8).all(), "opposite to the stimulus"
    ring = np.eye(8)[[0, 1, 4, 0]]
    output = np.column_stack([[0.1, 0.5, 0.1, 0.9], ring])
    correct, error_deg = saccades(output, np.array([0.1, 0.5, 0.0, 0.0]))
    assert correct.tolist() == [1, 1, 0, 0]
    np.testing.assert_allclose(error_deg[:2], [-np.degrees(0.1), 45 - np.degrees(0.5)])


def test_what_can_be_held(run):
    hp, _, _ = run
    task = task_input("odr", hp, 8)
    assert task.held("delay1")[0] == 1 and task.held("go1")[0] == 0  # the fixation input goes off with the go signal
    with pytest.raises(ValueError, match="delay1"):
        task.held("stim1")
    with pytest.raises(ValueError, match="no epoch 'delay2'"):
        task.held("delay2")
    assert task.trained_delay_steps("delay1") == 75
    assert task_input("odrd", hp, 8).trained_delay_steps("delay1") == 75
    assert task_input("odrd", hp, 8).trained_delay_steps("delay2") == 25
    for rule, epoch in (("gap", "delay1"), ("odr", "fix1"), ("odr", "go1")):
        with pytest.raises(ValueError, match="no delay between stimulus and response"):
            task_input(rule, hp, 8).trained_delay_steps(epoch)
