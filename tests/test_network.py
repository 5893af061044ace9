import copy
import functools
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of
from scipy import stats
from small_networks import (
    COSTLY,
    MIX_RULE,
    NETWORKS,
    NOISY,
    QUIET,
    VARIABLES,
    N,
    assert_same,
    build,
    random_feed,
    session,
    shaken,
    stored_names,
    train_steps,
    variables_of,
    write_checkpoint,
)

from rnn_maturation.hyperparameters import GATED_ACTIVATIONS, complete_hp, gen_ortho_matrix
from rnn_maturation.model_directory import load_hp
from rnn_maturation.network import Model, gen_feed_dict, get_perf, popvec, session_config, tf_popvec
from rnn_maturation.task import generate_trials
from rnn_maturation.tensorflow1 import tf, tf1

GOLDEN = Path(__file__).parent / "golden"
LOG = {"trials": list(range(0, 1_000_000, 1280)), "perf_odr": [0.123456] * 781}


@pytest.fixture(params=NETWORKS)
def name(request):
    return request.param


# ------------------------------------------------------------------------------------ numbers of the original program


def circular_distance(a, b):
    turn = np.abs(a - b)
    return np.minimum(turn, 2 * np.pi - turn)


@pytest.mark.parametrize("folder", sorted((GOLDEN / "forward").iterdir()), ids=lambda folder: folder.name)
def test_activity_costs_and_a_training_step_are_those_of_the_original(folder):
    want = np.load(folder / "numbers.npz")
    model = Model(str(folder))
    feed = {model.x: want["x"], model.y: want["y"], model.c_mask: want["c_mask"]}
    steps = {key.removeprefix("step/"): want[key] for key in want.files if key.startswith("step/")}
    variables = {v.op.name: v for v in model.var_list}
    with tf1.Session() as sess:
        model.restore()
        before = sess.run(variables)
        h, y_hat, direction = sess.run([model.h, model.y_hat, model.y_hat_loc], feed)
        costs = sess.run([model.cost_lsq, model.cost_reg], feed)
        sess.run(model.train_step, feed)
        after = sess.run(variables)
    np.testing.assert_allclose(h, want["H"], atol=2e-5, rtol=1e-4)
    np.testing.assert_allclose(y_hat, want["y_hat"], atol=2e-5, rtol=1e-4)
    assert (direction >= 0).all() and (direction < 2 * np.pi).all()
    assert circular_distance(direction, want["y_hat_loc"]).max() < 2e-3
    np.testing.assert_allclose(costs, [want["cost_lsq"], want["cost_reg"]], atol=1e-5, rtol=1e-4)
    assert set(variables) == set(steps)
    rtol = 2e-3 if model.hp["optimizer"] == "sgd" else 2e-2
    for name, step in steps.items():
        np.testing.assert_allclose(after[name] - before[name], step, atol=2e-4, rtol=rtol, err_msg=name)


@pytest.mark.parametrize("case", ["softplus_lsq", "relu_l1h", "tanh", "separate"])  # of untrained leaky RNNs
def test_initial_recurrent_weights_are_those_of_the_original(case):
    folder = GOLDEN / "forward" / case
    model = Model(str(folder))
    (variable,) = (v for v in model.var_list if v.op.name.startswith("rnn/") and v.op.name.endswith("kernel"))
    with tf1.Session() as sess:
        model.initialize()
        initial = sess.run(variable)
    stored = tf.train.load_checkpoint(str(folder / "model.ckpt")).get_tensor(variable.op.name)
    np.testing.assert_allclose(initial, stored, atol=1e-6)


def test_performance_and_directions_are_those_of_the_original():
    want = np.load(GOLDEN / "performance.npz")
    np.testing.assert_array_equal(get_perf(want["y_hat"], want["y_loc"]), want["perf"])
    np.testing.assert_allclose(popvec(want["y_hat"][..., 1:]), want["popvec"], atol=1e-4)


TF1_RESULTS = {  # performance and cost that the original gives, without noise
    "OZG64": {"overlap": (0.9609, 0.184442), "zero_gap": (0.9531, 0.224031), "gap": (0.9219, 0.213133)},
    "odrdrandom": {
        "overlap": (0.25, 2.974464),
        "zero_gap": (1.0, 0.650336),
        "gap": (1.0, 0.387997),
        "odr": (0.5, 0.749068),
        "odrd": (0.625, 0.608596),
    },
}


@pytest.mark.parametrize("run", TF1_RESULTS)
def test_checkpoints_written_by_tensorflow_1_8(run):
    folder = GOLDEN / "tf1" / run
    hp = {**load_hp(folder), "sigma_rec": 0.0, "sigma_x": 0.0}
    model = Model(str(folder), hp=hp)
    stored = tf.train.load_checkpoint(str(folder / "model.ckpt"))
    with tf1.Session() as sess:
        model.restore()
        assert_same(variables_of(model), {key: stored.get_tensor(key) for key in stored.get_variable_to_shape_map()})
        for rule, (performance, cost) in TF1_RESULTS[run].items():
            trial = generate_trials(rule, hp, "test", noise_on=False)
            got_cost, y_hat, _ = sess.run(model.evaluation, gen_feed_dict(model, trial, hp))
            assert get_perf(y_hat, trial.y_loc).mean() == pytest.approx(performance, rel=1e-3)
            assert got_cost == pytest.approx(cost, rel=1e-3)


# ------------------------------------------------------------------------------------------- the formulas, in float64


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


NUMPY_ACTIVATIONS = {
    "softplus": lambda z: np.logaddexp(z, 0),
    "tanh": np.tanh,
    "relu": lambda z: np.maximum(z, 0),
    "relu+": lambda z: np.maximum(z + 1, 0),
    "elu": lambda z: np.where(z > 0, z, np.expm1(np.minimum(z, 0))),
    "power": lambda z: np.maximum(z, 0) ** 2,
    "retanh": lambda z: np.tanh(np.maximum(z, 0)),
    "sigmoid": sigmoid,
    "softsign": lambda z: z / (1 + np.abs(z)),
    "selu": lambda z: 1.0507009873554805 * np.where(z > 0, z, 1.6732632423543772 * np.expm1(np.minimum(z, 0))),
    "relu6": lambda z: np.clip(z, 0, 6),
    "leaky_relu": lambda z: np.where(z > 0, z, 0.2 * z),
    "gelu": lambda z: z * stats.norm.cdf(z),
    "silu": lambda z: z * sigmoid(z),
    "swish": lambda z: z * sigmoid(z),
}


def cell(values, kind, part=""):
    return values[f"rnn/{kind}{part}/kernel"], values[f"rnn/{kind}{part}/bias"]


def leaky_rnn_step(hp, values, f):
    if hp["use_separate_input"]:
        w_rule = values["rule_input/kernel"]
        w_rule = values["mix_rule/kernel"] @ w_rule if "mix_rule/kernel" in values else w_rule
        w_rec, bias = cell(values, "leaky_rnn_cell_separate_input")
        w, bias = np.concatenate([values["sen_input/kernel"], w_rule, w_rec]), bias + values["sen_input/bias"]
    else:
        w, bias = cell(values, "leaky_rnn_cell")
    alpha = hp["alpha"]
    return lambda x, h, c: ((1 - alpha) * h + alpha * f(np.hstack([x, h]) @ w + bias), c)


def gru_step(hp, values, f):
    kind = "gru_cell" if hp["rnn_type"] == "GRU" else "leaky_gru_cell"
    (w_g, b_g), (w_c, b_c) = cell(values, kind, "/gates"), cell(values, kind, "/candidate")

    def step(x, h, c):
        r, u = np.split(sigmoid(np.hstack([x, h]) @ w_g + b_g), 2, axis=1)
        candidate = f(np.hstack([x, r * h]) @ w_c + b_c)
        if hp["rnn_type"] == "GRU":
            return u * h + (1 - u) * candidate, c
        return (1 - hp["alpha"] * u) * h + hp["alpha"] * u * candidate, c

    return step


def lstm_step(hp, values, f):
    w, b = cell(values, "lstm_cell")

    def step(x, h, c):
        i, j, forget, o = np.split(np.hstack([x, h]) @ w + b, 4, axis=1)
        c = c * sigmoid(forget + 1) + sigmoid(i) * f(j)
        return f(c) * sigmoid(o), c

    return step


def numpy_network(hp, values, x):
    """h and y_hat of a network without noise, by the formulas of the reference."""
    values = {key: np.asarray(value, float) for key, value in values.items()}
    make_step = {"LeakyRNN": leaky_rnn_step, "LSTM": lstm_step}.get(hp["rnn_type"], gru_step)
    step = make_step(hp, values, NUMPY_ACTIVATIONS[hp["activation"]])
    h = c = np.zeros((x.shape[1], hp["n_rnn"]))
    states = []
    for x_t in x:
        h, c = step(x_t, h, c)
        states.append(h)
    h = np.array(states)
    w_out, b_out = (
        values[f"output/{key}"] for key in (("kernel", "bias") if hp["use_separate_input"] else ("weights", "biases"))
    )
    z = h @ w_out + b_out
    exp = np.exp(z - z.max(-1, keepdims=True))
    return h, sigmoid(z) if hp["loss_type"] == "lsq" else exp / exp.sum(-1, keepdims=True)


FORWARD_CASES = [
    ("LeakyRNN", QUIET),
    ("separate", {"mix_rule": False, **QUIET}),
    ("separate", {"activation": "relu", **QUIET}),
    ("LeakyGRU", {"activation": "softplus", **QUIET}),
    ("GRU", QUIET),
    ("GRU", {"activation": "relu+", "loss_type": "cross_entropy"}),
    ("LSTM", QUIET),
    ("LSTM", {"activation": "softplus", "loss_type": "cross_entropy"}),
]


@pytest.mark.parametrize("name, changes", FORWARD_CASES)
def test_activity_and_output_are_those_of_the_formulas(tmp_path, name, changes):
    model = build(name, **changes)
    with session(model) as sess:
        model.initialize()
        values = shaken({key: variables_of(model)[key] for key in stored_names(model)})
        write_checkpoint(tmp_path / "0", values)
        model.restore(tmp_path / "0")
        for n_time, n_trials in [(12, 5), (1, 1), (10, 2)]:
            feed = random_feed(model, n_time, n_trials)
            h, y_hat, direction = sess.run([model.h, model.y_hat, model.y_hat_loc], feed)
            want_h, want_y = numpy_network(model.hp, values, feed[model.x])
            np.testing.assert_allclose(h, want_h, rtol=1e-4, atol=1e-5)
            np.testing.assert_allclose(y_hat, want_y, rtol=1e-4, atol=1e-5)
            assert circular_distance(direction, popvec(y_hat[..., 1:])).max() < 1e-3


@pytest.mark.parametrize("activation", GATED_ACTIVATIONS)
def test_gated_networks_take_the_activations_of_tensorflow(activation):
    """GRU and LSTM compute with it, and a training step has a finite gradient."""
    for rnn_type in ("GRU", "LSTM"):
        model = Model("unused", hp={"n_rnn": N, "rnn_type": rnn_type, "activation": activation, "seed": 5})
        with tf1.Session() as sess:
            model.initialize()
            values, feed = variables_of(model), random_feed(model, 6, 3)
            want, _ = numpy_network(model.hp, values, feed[model.x])
            np.testing.assert_allclose(sess.run(model.h, feed), want, rtol=1e-3, atol=1e-4)
            sess.run(model.train_step, feed)
            after = variables_of(model)
        assert all(np.isfinite(value).all() for value in after.values())
        moved = [key for key in VARIABLES[rnn_type] if not np.array_equal(after[key], values[key])]
        assert set(moved) == set(VARIABLES[rnn_type])


def test_cost_lsq_is_the_mean_of_the_masked_error_squared():
    model = build("LeakyRNN", **QUIET)
    feed = random_feed(model, 7, 3)
    with session(model) as sess:
        model.initialize()
        cost, y_hat = sess.run([model.cost_lsq, model.y_hat], feed)
    error = (feed[model.y] - y_hat) * feed[model.c_mask].reshape(7, 3, 9)
    assert cost == pytest.approx(np.mean(error**2), rel=1e-5)


def test_cost_of_cross_entropy_is_its_masked_mean():
    model = build("GRU", loss_type="cross_entropy", **COSTLY)
    feed = random_feed(model, 7, 3)
    with session(model) as sess:
        model.initialize()
        cost, y_hat = sess.run([model.cost_lsq, model.y_hat], feed)
    entropy = -(feed[model.y] * np.log(y_hat)).sum(-1)
    assert cost == pytest.approx(np.mean(entropy * feed[model.c_mask].reshape(7, 3)), rel=1e-4)


@pytest.fixture(params=[*NETWORKS, "LeakyRNN lsq"])
def costly_network(request):
    """A network of each type with every regulariser; with cross-entropy where it can."""
    name, *lsq = request.param.split()
    return build(name, **COSTLY, loss_type="lsq" if lsq or name == "separate" else "cross_entropy")


def test_regularisation_cost(costly_network):
    model = costly_network
    feed = random_feed(model, 7, 3)
    with session(model) as sess:
        model.initialize()
        cost, (_, _, l2_h), h, weights = sess.run([model.cost_reg, model.evaluation, model.h, model.weight_list], feed)
    want_l2_h = 0.001 * (h**2).sum() / 2
    want = 0.05 * np.abs(h).mean() + want_l2_h
    want += sum(0.02 * np.abs(w).mean() + 0.003 * (w**2).sum() / 2 for w in weights)
    assert cost == pytest.approx(want, rel=1e-5)
    assert l2_h == pytest.approx(want_l2_h, rel=1e-5)


# ------------------------------------------------------------------------------------------------ training


def cost_while_training(model, n_steps=30):
    """Total cost before each of some training steps on the same trials, whose noise is the same too."""
    hp = {**model.hp, "rng": np.random.RandomState(0)}
    trial = generate_trials("overlap", hp, "random", batch_size=5)
    feed = {**gen_feed_dict(model, trial, hp), model.noise_seed: [0, 0]}
    with session(model) as sess:
        model.initialize()
        costs = [sum(sess.run([model.cost_lsq, model.cost_reg, model.train_step], feed)[:2]) for _ in range(n_steps)]
        assert all(np.isfinite(value).all() for value in variables_of(model).values())
    return np.array(costs)


def test_training_lowers_the_cost(name):
    costs = cost_while_training(build(name, **QUIET))
    assert np.isfinite(costs).all() and costs[-1] < 0.8 * costs[0]


def test_training_with_every_regulariser_lowers_the_cost(costly_network):
    costs = cost_while_training(costly_network)
    assert np.isfinite(costs).all() and costs[-1] < 0.8 * costs[0]


def test_set_optimizer_chooses_variables_adds_a_cost_and_keeps_the_clipping():
    model = Model("unused", hp=complete_hp({"n_rnn": N, "optimizer": "sgd", "learning_rate": 1.0}))
    chosen = [v for v in model.var_list if v.op.name.startswith("output")]
    with tf1.Session() as sess:
        model.initialize()
        feed = random_feed(model)
        model.set_optimizer(extra_cost=1e6 * tf.reduce_sum(model.w_out), var_list=chosen)
        before = sess.run(model.var_list)
        sess.run(model.train_step, feed)
        after = sess.run(model.var_list)
    steps = {v.op.name: b - a for v, a, b in zip(model.var_list, before, after, strict=True)}
    np.testing.assert_allclose(steps.pop("output/weights"), -1, rtol=1e-4)  # learning rate times the clipped 1
    assert np.abs(steps.pop("output/biases")).max() > 0
    assert not any(step.any() for step in steps.values())


def test_an_extra_cost_is_not_added_to_the_regularization_for_good():
    model = Model("unused", hp=complete_hp({"n_rnn": N, "optimizer": "sgd", "learning_rate": 1.0, "l2_weight": 0.01}))
    feed = random_feed(model)

    def weights_after_a_step(sess):
        model.initialize()
        sess.run(model.train_step, feed)
        return sess.run(model.var_list)

    with tf1.Session() as sess:
        first = weights_after_a_step(sess)
        reg = sess.run(model.cost_reg, feed)
        model.set_optimizer(extra_cost=1e6 * tf.reduce_sum(model.w_out))
        with_extra_cost = weights_after_a_step(sess)
        model.set_optimizer()
        again = weights_after_a_step(sess)
        assert sess.run(model.cost_reg, feed) == reg
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a, b)
    assert not np.array_equal(first[-2], with_extra_cost[-2])


def test_set_optimizer_keeps_the_state_of_adam():
    model = Model("unused", hp=complete_hp({"n_rnn": N}))
    with tf1.Session() as sess:
        model.initialize()
        train_steps(model, sess)
        before = variables_of(model)
        model.set_optimizer(var_list=model.var_list[:1])
        assert_same(variables_of(model), before)


def test_session_config_shares_the_threads_between_the_halves():
    threads = {n: session_config(n) for n in (1, 2, 3, 8)}
    limits = {n: (c.inter_op_parallelism_threads, c.intra_op_parallelism_threads) for n, c in threads.items()}
    assert limits == {1: (1, 1), 2: (2, 1), 3: (2, 1), 8: (2, 4)}
    assert session_config().intra_op_parallelism_threads >= 1


# ------------------------------------------------------------------------------------------------ variables


def test_variables_have_the_names_and_shapes_of_tensorflow_1(name):
    model = build(name, **QUIET)
    assert {v.op.name: tuple(v.shape) for v in model.var_list} == VARIABLES[name]
    fixed = MIX_RULE if name == "separate" else {}
    slots = {f"{key}/{slot}": shape for key, shape in VARIABLES[name].items() for slot in ("Adam", "Adam_1")}
    everything = {**VARIABLES[name], **fixed, **slots, "beta1_power": (), "beta2_power": ()}
    variables = model.x.graph.get_collection(tf1.GraphKeys.GLOBAL_VARIABLES)
    assert {v.op.name: tuple(v.shape) for v in variables} == everything
    weights = {key for key in VARIABLES[name] if key.endswith(("kernel", "weights"))}
    assert {v.op.name for v in model.weight_list} == weights


def test_attributes_are_the_weights_that_the_variables_hold(name):
    model = build(name, **QUIET)
    names = ["w_in", "w_rec", "w_out", "b_rec", "b_out"]
    with session(model) as sess:
        model.initialize()
        values = variables_of(model)
        got = {key: sess.run(getattr(model, key)) for key in names}
        if name == "separate":
            for key, variable in {"w_sen_in": "sen_input/kernel", "b_in": "sen_input/bias"}.items():
                np.testing.assert_array_equal(sess.run(getattr(model, key)), values[variable])
            np.testing.assert_array_equal(sess.run(model.w_rule), values["rule_input/kernel"])
            w_rule = values["mix_rule/kernel"] @ values["rule_input/kernel"]
            kernel = np.concatenate([values["sen_input/kernel"], w_rule, got["w_rec"]])
        else:
            recurrent = next(key for key in VARIABLES[name] if key.endswith("kernel") and "gates" not in key)
            kernel = values[recurrent]
            np.testing.assert_array_equal(got["b_rec"], values[recurrent.replace("kernel", "bias")])
        np.testing.assert_allclose(np.concatenate([got["w_in"], got["w_rec"]]), kernel, atol=1e-6)
        output = ("kernel", "bias") if name == "separate" else ("weights", "biases")
        np.testing.assert_array_equal(got["w_out"], values[f"output/{output[0]}"])
        np.testing.assert_array_equal(got["b_out"], values[f"output/{output[1]}"])


@functools.cache
def initial_values(**changes):
    model = Model("unused", hp=complete_hp({"n_rnn": 64, "seed": 11, **changes}))
    with tf1.Session():
        model.initialize()
        return variables_of(model)


RECURRENT_MATRICES = {
    "randortho": lambda rng: gen_ortho_matrix(64, rng),
    "diag": lambda rng: np.eye(64),
    "randgauss": lambda rng: rng.randn(64, 64) / 8,
}


@pytest.mark.parametrize(
    "activation, gain, w_rec_init",
    [
        ("softplus", 0.5, "randortho"),
        ("relu", 0.5, "diag"),
        ("tanh", 1.0, "randortho"),
        ("power", 0.01, "diag"),
        ("elu", 0.5, "randgauss"),
        ("retanh", 0.5, "randgauss"),
    ],
)
def test_initial_weights_of_a_leaky_rnn(activation, gain, w_rec_init):
    values = initial_values(activation=activation, w_rec_init=w_rec_init)
    rng = np.random.RandomState(11)
    w_in = rng.randn(15, 64) / np.sqrt(15)
    want = np.concatenate([w_in, gain * RECURRENT_MATRICES[w_rec_init](rng)])
    np.testing.assert_allclose(values["rnn/leaky_rnn_cell/kernel"], want, rtol=1e-6, atol=1e-7)
    assert not values["rnn/leaky_rnn_cell/bias"].any() and not values["output/biases"].any()
    assert_glorot_uniform(values["output/weights"])


def assert_glorot_uniform(weights):
    limit = np.sqrt(6 / sum(weights.shape))
    assert stats.kstest(weights.ravel(), "uniform", (-limit, 2 * limit)).pvalue > 1e-3


def test_initial_weights_with_separate_input():
    values = initial_values(**NETWORKS["separate"])
    w_rec = 0.5 * gen_ortho_matrix(64, np.random.RandomState(11))
    np.testing.assert_allclose(values["rnn/leaky_rnn_cell_separate_input/kernel"], w_rec, rtol=1e-6, atol=1e-7)
    mix = values["mix_rule/kernel"]
    np.testing.assert_allclose(mix @ mix.T, np.eye(6), atol=1e-6)
    assert np.abs(mix - np.diag(np.diag(mix))).max() > 0.1
    for key in ("sen_input/kernel", "rule_input/kernel", "output/kernel"):
        assert_glorot_uniform(values[key])
    assert not any(values[key].any() for key in values if key.endswith("bias"))


@pytest.mark.parametrize("name", ["LeakyGRU", "GRU", "LSTM"])
def test_initial_weights_of_gated_networks(name):
    values = initial_values(**NETWORKS[name])
    for key in VARIABLES[name]:
        if key.endswith(("kernel", "weights")):
            assert_glorot_uniform(values[key])
        else:
            assert (values[key] == (1 if key.endswith("gates/bias") else 0)).all()


def test_initial_weights_follow_from_the_seed():
    assert_same(initial_values(**NETWORKS["LSTM"]), initial_values.__wrapped__(**NETWORKS["LSTM"]))


def test_hyperparameters_of_the_caller_stay_as_they_are(tmp_path):
    hp = {**complete_hp({"n_rnn": 3, "rule_trains": ["odr"], "dt": 20}), "rng": np.random.RandomState(1)}
    before, state = copy.deepcopy({**hp, "rng": None}), hp["rng"].get_state()[1].copy()
    model = Model(str(tmp_path), hp=hp, sigma_rec=0.3, dt=10)
    assert {**hp, "rng": None} == before and np.array_equal(hp["rng"].get_state()[1], state)
    assert (model.hp["sigma_rec"], model.hp["dt"], model.hp["alpha"]) == (0.3, 10, 0.1)
    assert model.hp["rng"] is hp["rng"]


def test_a_time_step_goes_with_hyperparameters_that_only_say_what_differs():
    hp = {"n_rnn": 3, "tau": 50}
    model = Model("unused", hp=hp, dt=10)
    assert (model.hp["alpha"], model.hp["n_input"]) == (0.2, 15) and hp == {"n_rnn": 3, "tau": 50}
    with pytest.raises(ValueError, match="dt .time step, ms"):
        Model("unused", hp=hp, dt="10")
    with pytest.raises(ValueError, match="sigma_rec"):
        Model("unused", hp=hp, sigma_rec=-1)


def test_a_changed_time_step_changes_alpha_with_one_warning(tmp_path):
    """A run of the original with another dt has a stale alpha in its hp.json; and so has an hp whose dt is changed."""
    (tmp_path / "hp.json").write_text(json.dumps({**complete_hp({"n_rnn": 3}), "dt": 10}))
    with pytest.warns(UserWarning, match="hp.json: alpha is 0.2") as caught:
        assert Model(tmp_path).hp["alpha"] == 0.1
    assert len(caught) == 1
    (tmp_path / "hp.json").write_text(json.dumps(complete_hp({"n_rnn": 3})))
    hp = load_hp(tmp_path)
    hp["dt"] = 10
    with pytest.warns(UserWarning, match="hp: alpha is 0.2") as caught:
        model = Model(tmp_path, hp=hp)
    assert len(caught) == 1 and model.hp["alpha"] == 0.1
    trial = generate_trials("gap", {**model.hp, "rng": np.random.RandomState(0)}, "test")
    activity = []
    for network in (model, Model("unused", hp=complete_hp({"n_rnn": 3, "dt": 10}))):
        with session(network) as sess:
            network.initialize()
            feed = {**gen_feed_dict(network, trial, network.hp), network.noise_seed: [0, 1]}
            activity.append(sess.run(network.h, feed))
    assert activity[0].shape[0] == 170
    np.testing.assert_array_equal(*activity)


def test_a_time_step_that_is_given_to_the_model_is_no_reason_to_warn(recwarn):
    assert Model("unused", hp=complete_hp({"n_rnn": 3}), dt=10).hp["alpha"] == 0.1
    assert not recwarn


def test_an_hp_file_with_keys_of_its_own_makes_a_network(tmp_path):
    (tmp_path / "hp.json").write_text(json.dumps({"n_rnn": 3, "note": "mine"}))
    with pytest.warns(UserWarning, match="does not know 'note'") as caught:
        assert Model(tmp_path).hp["note"] == "mine"
    assert len(caught) == 1
    with pytest.warns(UserWarning, match="does not know 'note'"):
        hp = load_hp(tmp_path)
    assert Model("unused", hp=hp, dt=10).hp["note"] == "mine"
    with pytest.raises(ValueError, match="unknown key 'n_rn'. Did you mean 'n_rnn'"):
        Model("unused", hp={**hp, "n_rn": 3})


@pytest.mark.parametrize("wrong, hp", [(LOG, {"n_rnn": 3}), (LOG, None), (None, None), (3, {})])
def test_a_model_directory_that_is_no_path_is_an_error(wrong, hp):
    with pytest.raises(ValueError, match="model_dir must be a path, not .*order of the arguments") as error:
        Model(wrong, hp=hp)
    assert len(str(error.value)) < 200


def test_a_log_in_place_of_hp_is_an_error(tmp_path):
    for wrong in (LOG, [LOG]):
        with pytest.raises(ValueError, match="^hp") as error:
            Model(tmp_path, hp=wrong)
        assert len(str(error.value)) < 900


def test_hyperparameters_are_read_from_the_model_directory(tmp_path):
    (tmp_path / "hp.json").write_text(json.dumps(complete_hp({"n_rnn": 3, "rnn_type": "GRU"})))
    model = Model(str(tmp_path))
    assert model.h.shape.as_list() == [None, None, 3] and model.hp["rnn_type"] == "GRU"


def test_a_directory_without_hyperparameters_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError, match=f"{tmp_path} has no hp.json: train a run"):
        Model(str(tmp_path))


@pytest.mark.parametrize("wrong", [{"rnn_type": "ESN"}, {"activation": "sin"}, {"activation": "relu+"}, {"units": 3}])
def test_wrong_hyperparameters_are_an_error(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Model("unused", hp={**complete_hp({}), **wrong})


# ------------------------------------------------------------------------------------------------ noise


def network_noise(model, sess, n_time=30, n_trials=33, seed=None):
    """The noise (T, B, N) that drove a softplus network without input whose units do not speak to each other."""
    feed = {model.x: np.zeros((n_time, n_trials, 15))}
    h = sess.run(model.h, feed if seed is None else {**feed, model.noise_seed: seed}).astype(float)
    rate = model.hp["alpha"]
    if model.hp["rnn_type"] == "LeakyGRU":
        rate *= sigmoid(1)  # the gate's initial bias
    before = np.concatenate([np.zeros_like(h[:1]), h[:-1]])
    return np.log(np.expm1((h - (1 - rate) * before) / rate))


def assert_uncorrelated(a, b):
    assert abs(np.corrcoef(np.ravel(a), np.ravel(b))[0, 1]) < 5 / np.sqrt(np.size(a))


@pytest.fixture(params=["LeakyRNN", "separate", "LeakyGRU"])
def noisy(request):
    """A network that is nothing but noise, and a session of it."""
    model = build(request.param, **NOISY)
    with session(model) as sess:
        model.initialize()
        model.lesion_units(sess, range(21))
        yield model, sess


def test_noise_is_normal_with_the_standard_deviation_of_hp(noisy):
    noise = network_noise(*noisy, n_time=100, n_trials=61, seed=[0, 0])
    assert stats.kstest(noise.ravel() / (0.05 * np.sqrt(2 / 0.2)), "norm").pvalue > 1e-3
    assert abs(stats.skew(noise, None)) < 0.04 and abs(stats.kurtosis(noise, None)) < 0.08
    assert np.unique(noise).size > 0.97 * noise.size  # float32 has no more different numbers


def test_noise_is_independent_over_units_trials_and_steps(noisy):
    noise = network_noise(*noisy, n_time=60, n_trials=41, seed=[3, 4])
    half = noise.shape[1] // 2
    for lag in (1, 2, 4, 5, 6, 10):  # within a block of steps and between blocks
        assert_uncorrelated(noise[lag:], noise[:-lag])
        assert_uncorrelated(noise[lag:] ** 2, noise[:-lag] ** 2)
    for shift in (1, 2, 5):
        assert_uncorrelated(noise[:, shift:], noise[:, :-shift])
        assert_uncorrelated(noise[:, :, shift:], noise[:, :, :-shift])
    assert_uncorrelated(noise[:, :half], noise[:, half : 2 * half])  # the two parts of the batch
    units = np.corrcoef(noise.reshape(-1, 21).T) - np.eye(21)
    assert np.abs(units).max() < 5.5 / np.sqrt(noise[..., 0].size)


def test_noise_is_a_pure_function_of_the_seed_that_is_fed(noisy):
    model, sess = noisy
    first = network_noise(model, sess, seed=[1, 2])
    with session(model) as other:
        model.initialize()
        model.lesion_units(other, range(21))
        assert np.array_equal(network_noise(model, other, seed=[1, 2]), first)
    for seed in ([1, 3], [2, 2], [2, 1], [1, -2]):
        noise = network_noise(model, sess, seed=seed)
        assert not np.array_equal(noise, first)
        assert_uncorrelated(noise, first)


def test_noise_is_fresh_when_no_seed_is_fed(noisy):
    first, second = (network_noise(*noisy) for _ in range(2))
    assert_uncorrelated(first, second)
    assert stats.kstest(second.ravel() / (0.05 * np.sqrt(10)), "norm").pvalue > 1e-3


@pytest.mark.parametrize("dt, sigma_rec", [(10, 0.1), (50, 0.02)])
def test_noise_grows_as_steps_get_shorter(dt, sigma_rec):
    model = Model("unused", hp=complete_hp(NOISY), sigma_rec=sigma_rec, dt=dt)
    with tf1.Session() as sess:
        model.initialize()
        model.lesion_units(sess, range(21))
        noise = network_noise(model, sess, seed=[0, 0])
    assert stats.kstest(noise.ravel() / (sigma_rec * np.sqrt(2 * 100 / dt)), "norm").pvalue > 1e-3


@pytest.mark.parametrize("name, changes", FORWARD_CASES)
def test_without_noise_every_run_is_the_same(name, changes):
    """Also in the GRU and the LSTM, whatever hp's sigma_rec is."""
    model = build(name, **changes)
    feed = random_feed(model)
    del feed[model.noise_seed]
    with session(model) as sess:
        model.initialize()
        assert np.array_equal(sess.run(model.h, feed), sess.run(model.h, feed))


@pytest.mark.parametrize(
    "name, changes",
    [
        ("LeakyRNN", QUIET),
        ("separate", QUIET),
        ("LeakyGRU", NOISY),
        ("LeakyRNN", {**COSTLY, "loss_type": "cross_entropy"}),
    ],
)
def test_evaluation_is_what_the_whole_network_gives_with_the_same_noise(name, changes):
    """The leaky RNN's evaluation has noise of its own, and is compared without."""
    model = build(name, **changes)
    with session(model) as sess:
        model.initialize()
        for n_time, n_trials in [(13, 5), (1, 1), (10, 4)]:
            feed = random_feed(model, n_time, n_trials, seed=n_time)
            cost, y_hat, _ = sess.run(model.evaluation, feed)
            want_cost, want_y_hat = sess.run([model.cost_lsq, model.y_hat], feed)
            assert cost == pytest.approx(want_cost, rel=1e-5)
            np.testing.assert_allclose(y_hat, want_y_hat, rtol=1e-4, atol=1e-6)


# ------------------------------------------------------------------------------------------------ lesions


def recurrent_variables(name):
    return [key for key in VARIABLES[name] if key.startswith("rnn/") and key.endswith("kernel")]


def test_lesions_zero_what_leaves_the_units_and_nothing_else(name):
    model = build(name, **QUIET)
    with session(model) as sess:
        model.initialize()
        want = variables_of(model)
        model.lesion_units(sess, [1, N - 1])
        for key in recurrent_variables(name):
            recurrent_rows = want[key][-N:]
            recurrent_rows[[1, N - 1]] = 0
        want["output/kernel" if name == "separate" else "output/weights"][[1, N - 1]] = 0
        assert_same(variables_of(model), want)


def test_a_lesioned_unit_no_longer_influences_others(name):
    model, unit = build(name, **QUIET), 2
    feed = random_feed(model, 8, 3)

    def run_with_and_without_a_stimulated_unit(sess):
        states = [sess.run([model.h, model.y_hat], feed)]
        for key in recurrent_variables(name):
            bias = next(v for v in model.var_list if v.op.name == key.replace("kernel", "bias"))
            value = sess.run(bias)
            value[unit::N] += 3
            sess.run(bias.assign(value))
        states.append(sess.run([model.h, model.y_hat], feed))
        (h, y_hat), (h_stimulated, y_hat_stimulated) = states
        others = np.arange(N) != unit
        assert not np.allclose(h[..., unit], h_stimulated[..., unit], atol=1e-2)
        return np.abs(h - h_stimulated)[..., others].max(), np.abs(y_hat - y_hat_stimulated).max()

    with session(model) as sess:
        model.initialize()
        assert min(run_with_and_without_a_stimulated_unit(sess)) > 1e-3
        model.initialize()
        model.lesion_units(sess, unit)
        assert max(run_with_and_without_a_stimulated_unit(sess)) < 1e-6


def test_lesions_say_so_only_when_asked(capsys):
    model = build("LeakyRNN", **QUIET)
    with session(model) as sess:
        model.initialize()
        model.lesion_units(sess, 0)
        assert capsys.readouterr().out == ""
        model.lesion_units(sess, [0, 3], verbose=True)
        assert capsys.readouterr().out == "lesioned units: [0, 3]\n"


def test_a_lesion_of_no_unit_changes_nothing():
    model = build("LeakyRNN", **QUIET)
    with session(model) as sess:
        model.initialize()
        before = variables_of(model)
        for none in ([], None):
            model.lesion_units(sess, none)
            assert_same(variables_of(model), before)


@pytest.mark.parametrize("units", [-1, N, [0, N], [1.5], [True] * N, "1"])  # booleans: a mask is not numbers
def test_lesions_of_units_that_are_not_there_are_an_error(units):
    model = build("LeakyRNN", **QUIET)
    with session(model) as sess:
        model.initialize()
        before = variables_of(model)
        with pytest.raises(ValueError, match=f"integers from 0 to {N - 1}"):
            model.lesion_units(sess, units)
        assert_same(variables_of(model), before)


# ------------------------------------------------------------------------------------- directions and performance


def ring_activity(n_ring=8):
    return arrays_of.arrays(np.float64, (4, n_ring), elements=st.floats(-1, 1, allow_subnormal=False))


@given(ring_activity())
def test_directions_are_those_of_the_complex_sum(y):
    total = y @ np.exp(2j * np.pi * np.arange(8) / 8)
    clear = np.abs(total) > 1e-6
    direction = popvec(y)
    assert (direction >= 0).all() and (direction < 2 * np.pi).all()
    assert np.allclose(circular_distance(direction, np.angle(total) % (2 * np.pi))[clear], 0, atol=1e-6)


def test_directions_at_the_edges():
    bumps = np.eye(8)
    np.testing.assert_allclose(popvec(bumps), np.arange(8) * np.pi / 4, atol=1e-12)
    backwards = [[1, -1e-17, 0, 0], [1, 0, 0, 1e-17], [1, 0, 0, 1e-300], [0, 0, 0, 0]]  # a hair below 0, or nowhere
    assert popvec(np.array(backwards)).tolist() == [0, 0, 0, 0]
    assert popvec(np.zeros((0, 8))).shape == (0,)
    assert popvec(np.ones((3, 2, 5), np.float32)).shape == (3, 2)


def test_directions_of_tensors_are_those_of_arrays():
    rng = np.random.RandomState(0)
    y = np.concatenate([rng.rand(500, 8), np.eye(8), np.zeros((1, 8)), [[1] + 6 * [0] + [1e-9]]]).astype(np.float32)
    y = y.reshape(2, -1, 8)
    with tf.Graph().as_default(), tf1.Session() as sess:
        direction = sess.run(tf_popvec(tf.constant(y)))
    assert direction.shape == y.shape[:2] and direction.dtype == np.float32
    assert (direction >= 0).all() and (direction < 2 * np.pi).all()
    assert circular_distance(direction, popvec(y)).max() < 1e-5


def test_an_output_that_is_not_a_number_has_no_direction_and_is_never_correct():
    y_hat = np.full((2, 2, 9), np.nan)
    assert np.isnan(popvec(y_hat[..., 1:])).all()
    with tf.Graph().as_default(), tf1.Session() as sess:
        assert np.isnan(sess.run(tf_popvec(tf.constant(y_hat[..., 1:], tf.float32)))).all()
    assert get_perf(y_hat, np.array([[0.0, -1.0]] * 2)).tolist() == [0, 0]


def output_towards(direction, fixation, n_time=3):
    """y_hat of one trial: a bump on the ring at the last step, nonsense before."""
    y_hat = np.random.RandomState(0).rand(n_time, 1, 9)
    distance = np.angle(np.exp(1j * (np.arange(8) * np.pi / 4 - direction)))
    y_hat[-1, 0] = [fixation, *np.exp(-(distance**2) / 2)]
    return y_hat


@pytest.mark.parametrize(
    "fixation, direction, target, correct",
    [
        (0.51, 1.0, -1, 1),  # fixating as it must
        (0.5, 1.0, -1, 0),
        (0.51, 1.0, 1.0, 0),  # fixating where it must not
        (0.5, 1.0, 1.0, 1),
        (0.0, 1.0, 1.0 + 0.19 * np.pi, 1),
        (0.0, 1.0, 1.0 + 0.21 * np.pi, 0),
        (0.0, 0.1, 2 * np.pi - 0.1, 1),  # across 0
        (0.0, 2 * np.pi - 0.1, 0.1, 1),
        (0.0, 0.0, np.pi, 0),
        (0.0, 0.0, 0.0, 1),
    ],
)
def test_performance_is_judged_at_the_last_step(fixation, direction, target, correct):
    y_hat = output_towards(direction, fixation)
    assert get_perf(y_hat, np.array([[-1.0], [-1.0], [target]])).tolist() == [correct]
    assert get_perf(y_hat[-1:], np.array([[target]])).tolist() == [correct]


@pytest.mark.parametrize(
    "y_hat_shape, y_loc_shape",
    [
        ((5, 9), (5,)),
        ((4, 5, 9), (5,)),
        ((4, 5, 9), (5, 4)),
        ((4, 5, 9), (4, 5, 1)),
        ((3, 5, 9), (4, 5)),
    ],
)
def test_performance_of_arrays_of_wrong_shapes_is_an_error(y_hat_shape, y_loc_shape):
    with pytest.raises(ValueError, match=r"\(T, B, R \+ 1\)"):
        get_perf(np.zeros(y_hat_shape), np.zeros(y_loc_shape))
