"""Small networks of each type, which the tests of networks and of checkpoints share."""

import functools

import numpy as np

from rnn_maturation.hyperparameters import complete_hp
from rnn_maturation.network import Model
from rnn_maturation.tensorflow1 import tf, tf1

N = 6  # units of the small networks; they have 15 inputs, the last 6 of them rules, and 9 outputs
NETWORKS = {
    "LeakyRNN": {"activation": "softplus"},
    "separate": {"activation": "softplus", "use_separate_input": True, "mix_rule": True},
    "LeakyGRU": {"activation": "tanh", "rnn_type": "LeakyGRU"},
    "GRU": {"activation": "tanh", "rnn_type": "GRU"},
    "LSTM": {"activation": "tanh", "rnn_type": "LSTM"},
}
READOUT = {"output/weights": (N, 9), "output/biases": (9,)}
VARIABLES = {  # as TensorFlow 1 named them
    "LeakyRNN": {"rnn/leaky_rnn_cell/kernel": (15 + N, N), "rnn/leaky_rnn_cell/bias": (N,), **READOUT},
    "separate": {
        "sen_input/kernel": (9, N),
        "sen_input/bias": (N,),
        "rule_input/kernel": (6, N),
        "rnn/leaky_rnn_cell_separate_input/kernel": (N, N),
        "rnn/leaky_rnn_cell_separate_input/bias": (N,),
        "output/kernel": (N, 9),
        "output/bias": (9,),
    },
    "LSTM": {"rnn/lstm_cell/kernel": (15 + N, 4 * N), "rnn/lstm_cell/bias": (4 * N,), **READOUT},
    **{
        name: {
            f"rnn/{cell}/gates/kernel": (15 + N, 2 * N),
            f"rnn/{cell}/gates/bias": (2 * N,),
            f"rnn/{cell}/candidate/kernel": (15 + N, N),
            f"rnn/{cell}/candidate/bias": (N,),
            **READOUT,
        }
        for name, cell in {"LeakyGRU": "leaky_gru_cell", "GRU": "gru_cell"}.items()
    },
}
MIX_RULE = {"mix_rule/kernel": (6, 6)}  # fixed
QUIET = {"sigma_rec": 0.0, "learning_rate": 0.01}
NOISY = {"n_rnn": 21, "activation": "softplus"}
COSTLY = {"l1_h": 0.05, "l2_h": 0.001, "l1_weight": 0.02, "l2_weight": 0.003, "learning_rate": 0.01}


@functools.cache
def build(name, **changes):
    """A network of the table. Building is what takes time, so tests share them; each has a graph of its own."""
    return Model("unused", hp=complete_hp({"n_rnn": N, "seed": 5, **NETWORKS[name], **changes}))


def session(model, config=None):
    return tf1.Session(graph=model.x.graph, config=config)


def random_feed(model, n_time=12, n_trials=5, seed=0):
    """Inputs that no task would give, and a noise seed."""
    rng, n_output = np.random.RandomState(seed), model.hp["n_output"]
    mask_shape = (n_time * n_trials, n_output) if model.hp["loss_type"] == "lsq" else n_time * n_trials
    return {
        model.x: rng.randn(n_time, n_trials, model.hp["n_input"]),
        model.y: rng.dirichlet(np.ones(n_output), (n_time, n_trials)),
        model.c_mask: rng.rand(*np.atleast_1d(mask_shape)),
        model.noise_seed: [seed, 1],
    }


def variables_of(model):
    """{name: value} of all of them, with the optimizer's."""
    variables = {v.op.name: v for v in model.x.graph.get_collection(tf1.GraphKeys.GLOBAL_VARIABLES)}
    return tf1.get_default_session().run(variables)


def assert_same(got, want):
    assert set(got) == set(want)
    for name, value in want.items():
        np.testing.assert_array_equal(got[name], value, err_msg=name)


def train_steps(model, sess, n_steps=2):
    for step in range(n_steps):
        sess.run(model.train_step, random_feed(model, seed=step))


def shaken(values, seed=0):
    """Other values of the same shapes: biases are 0 at first, and would not be missed."""
    rng = np.random.RandomState(seed)
    return {key: np.float32(0.5 * rng.randn(*value.shape)) for key, value in values.items()}


def write_checkpoint(folder, values):
    """A checkpoint by TensorFlow's own Saver, with variables of these names and values only."""
    folder.mkdir(parents=True)
    with tf.Graph().as_default(), tf1.Session() as sess:
        for key, value in values.items():
            tf1.get_variable(key, initializer=value)
        sess.run(tf1.global_variables_initializer())
        tf1.train.Saver().save(sess, str(folder / "model.ckpt"), write_meta_graph=False)


def stored_names(model):
    """Names of the network's own variables, with those that do not train."""
    fixed = MIX_RULE if model.hp["use_separate_input"] and model.hp.get("mix_rule") else []
    return [v.op.name for v in model.var_list] + list(fixed)
