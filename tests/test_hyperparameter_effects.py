"""Every hyper-parameter does what its line in the table says: each key has a test that fails when it is ignored."""

import numpy as np
import pytest
import tensorflow as tf

from rnn_maturation.hyperparameters import PARAMETERS, complete_hp
from rnn_maturation.model_directory import load_hp, load_log
from rnn_maturation.network import Model, gen_feed_dict, session_config
from rnn_maturation.task import generate_trials, get_rule_index, rules_dict
from rnn_maturation.train import do_eval, train

SMALL = {"n_rnn": 6, "seed": 1, "sigma_rec": 0, "activation": "softplus"}
TINY = {"n_rnn": 8, "batch_size_train": 4, "batch_size_test": 16, "target_perf": 1, "activation": "softplus"}
UNUSED = {"save_name", "c_intsyn", "ksi_intsyn"}  # kept because files have them
TESTED = set()


def effect_of(*keys):
    """Marks a test as the one of these keys."""
    TESTED.update(keys)
    return lambda test: test


def trials(changes=(), rule="odr", batch_size=3, noise_on=False):
    hp = complete_hp({**SMALL, **dict(changes)})
    return generate_trials(rule, {**hp, "rng": np.random.RandomState(0)}, "random", noise_on, batch_size=batch_size)


def values(changes, *wanted, then_train=False):
    """What a small network gives for three trials of odr: attributes by name; twice, when it trains a step between."""
    hp = complete_hp({**SMALL, **changes})
    model = Model("unused", hp=hp)
    feed = {**gen_feed_dict(model, trials(changes), hp), model.noise_seed: [1, 2]}
    tensors = [getattr(model, name) for name in wanted]
    with tf.compat.v1.Session(config=session_config(1)) as sess:
        model.initialize()
        first = sess.run(tensors, feed)
        if not then_train:
            return first
        sess.run(model.train_step, feed)
        return first, sess.run(tensors, feed)


@pytest.fixture(scope="module")
def default():
    """Of the network that the changed ones are compared with."""
    names = "h", "y_hat", "w_rec", "cost_lsq"
    return dict(zip(names, values({}, *names), strict=True))


def test_every_key_has_a_test_here():
    assert TESTED | UNUSED == set(PARAMETERS)
    assert not TESTED & UNUSED


# ------------------------------------------------------------------------------------------------------------- tasks


@effect_of("ruleset", "n_rule", "rule_start", "n_input")
def test_rule_set_and_channels():
    """A rule's input is at rule_start + its place in the rule set, in n_input channels, for the first n_rule rules."""
    hp = complete_hp({**SMALL, "ruleset": "mix_MoN_6tasks"})
    assert get_rule_index("odr", hp) == 9 + rules_dict["mix_MoN_6tasks"].index("odr") == 14
    assert trials({"ruleset": "mix_MoN_6tasks"}).x[..., 14].all()
    moved = trials({"rule_start": 11, "n_input": 20}).x
    assert moved.shape[-1] == 20 and moved[..., 11 + rules_dict["all_new"].index("odr")].all()
    with pytest.raises(ValueError, match="odrd has no input"):
        trials({"n_rule": 4}, "odrd")


@effect_of("n_eachring", "n_output")
def test_n_eachring_is_the_number_of_units_of_the_rings():
    trial = trials({"n_eachring": 5})
    assert trial.pref.shape == (5,) and trial.y.shape[-1] == 6 and trial.x[60, :, 1:6].all(axis=1).all()
    w_out, w_in, y_hat = values({"n_eachring": 5}, "w_out", "w_in", "y_hat")
    assert w_out.shape == (6, 6) and w_in.shape == (1 + 5 + 6, 6) and y_hat.shape[-1] == 6
    assert complete_hp({"n_eachring": 5})["n_output"] == 6


@effect_of("num_ring")
def test_num_ring_leaves_room_for_more_rings():
    trial = trials({"num_ring": 2})
    assert trial.x.shape[-1] == 1 + 16 + 6 and not trial.x[..., 9:17].any()
    assert trial.x[..., 17 + 3].all()  # odr


@effect_of("in_type")
def test_in_type_has_one_value_only():
    with pytest.raises(ValueError, match="in_type.*'multi'"):
        trials({"in_type": "multi"})


@effect_of("in_loc_type")
def test_in_loc_type_one_hot_is_one_active_unit():
    during_stimulus = slice(50, 75)
    assert ((trials().x[during_stimulus, :, 1:9] > 1e-3).sum(axis=-1) > 1).all()
    one_hot = trials({"in_loc_type": "one_hot"}).x[during_stimulus, :, 1:9]
    assert ((one_hot == 1).sum(axis=-1) == 1).all() and (one_hot.sum(axis=-1) == 1).all()


@effect_of("sigma_x", "alpha")
@pytest.mark.parametrize("sigma_x, alpha", [(0.01, 0.2), (0.1, 0.2), (0.1, 0.8)])
def test_sigma_x_is_the_deviation_of_the_input_noise(sigma_x, alpha):
    """And alpha, dt / tau, is how far it is scaled up."""
    changes = {"sigma_x": sigma_x, "tau": 20 / alpha}
    assert complete_hp(changes)["alpha"] == pytest.approx(alpha)
    noise = trials(changes, batch_size=20, noise_on=True).x - trials(changes, batch_size=20).x
    assert noise.std() == pytest.approx(sigma_x * np.sqrt(2 / alpha), rel=0.02)


@effect_of("dt")
def test_dt_is_the_length_of_a_step():
    assert trials({"dt": 20}).tdim == 175 and trials({"dt": 10}).tdim == 350
    assert trials({"dt": 10}).epochs["stim1"] == (100, 150)


@effect_of("rng")
def test_rng_is_what_trials_are_drawn_with():
    hp = complete_hp(SMALL)
    y_loc = [
        generate_trials("odr", {**hp, "rng": np.random.RandomState(s)}, "random", batch_size=2).y_loc[-1]
        for s in (0, 0, 1)
    ]
    np.testing.assert_array_equal(y_loc[0], y_loc[1])
    assert (y_loc[0] != y_loc[2]).all()


# ----------------------------------------------------------------------------------------------------------- network


@effect_of("n_rnn")
def test_n_rnn_is_the_number_of_units():
    h, w_rec = values({"n_rnn": 7}, "h", "w_rec")
    assert h.shape == (175, 3, 7) and w_rec.shape == (7, 7)


@effect_of("rnn_type")
def test_rnn_type_is_the_cell(default):
    activities = [values({"rnn_type": kind}, "h")[0] for kind in ("LeakyGRU", "GRU", "LSTM")] + [default["h"]]
    for i, first in enumerate(activities):
        for second in activities[:i]:
            assert np.abs(first - second).max() > 0.01


@effect_of("activation")
def test_activation_is_the_range_of_the_units(default):
    ranges = {
        name: (h.min(), h.max())
        for name in ("relu", "tanh", "elu", "power", "retanh")
        for h in values({"activation": name}, "h")
    }
    assert default["h"].min() > 0  # softplus
    assert ranges["relu"][0] == 0 and ranges["power"][0] == 0 and ranges["retanh"][0] == 0
    assert ranges["tanh"][0] < -0.2 and ranges["tanh"][1] < 1 and -1 < ranges["elu"][0] < 0
    assert len(set(ranges.values())) == 5
    plus, plain = (values({"rnn_type": "LeakyGRU", "activation": name}, "h")[0] for name in ("relu+", "relu"))
    assert plus.mean() > plain.mean() + 0.2


@effect_of("tau")
def test_tau_is_how_slowly_the_units_follow(default):
    """The first step goes alpha = dt/tau of the way."""
    slow = values({"tau": 400}, "h")[0]
    np.testing.assert_allclose(slow[0], default["h"][0] / 4, rtol=1e-5)


@effect_of("sigma_rec")
def test_sigma_rec_is_the_size_of_the_recurrent_noise(default):
    small, large = (np.abs(values({"sigma_rec": s}, "h")[0] - default["h"])[0].mean() for s in (0.001, 0.01))
    assert small > 0 and large == pytest.approx(10 * small, rel=0.05)


@effect_of("w_rec_init")
def test_w_rec_init_is_the_kind_of_recurrent_weights(default):
    np.testing.assert_allclose(default["w_rec"] @ default["w_rec"].T, 0.25 * np.eye(6), atol=1e-6)
    np.testing.assert_array_equal(values({"w_rec_init": "diag"}, "w_rec")[0], 0.5 * np.eye(6, dtype=np.float32))
    normal = values({"w_rec_init": "randgauss", "n_rnn": 60}, "w_rec")[0]
    assert normal.std() == pytest.approx(0.5 / np.sqrt(60), rel=0.05) and abs(np.diag(normal).mean()) < 0.03


@effect_of("use_separate_input", "mix_rule")
def test_separate_input_has_rule_weights_and_mix_rule_turns_them():
    w_in, w_rule = values({"use_separate_input": True}, "w_in", "w_rule")
    np.testing.assert_array_equal(w_in[9:], w_rule)
    w_in, w_rule = values({"use_separate_input": True, "mix_rule": True}, "w_in", "w_rule")
    assert np.abs(w_in[9:] - w_rule).max() > 0.1
    np.testing.assert_allclose(w_in[9:].T @ w_in[9:], w_rule.T @ w_rule, atol=1e-5)  # by an orthogonal matrix
    assert not hasattr(Model("unused", hp=complete_hp(SMALL)), "w_rule")


@effect_of("unknown_keys")
def test_unknown_keys_of_a_file_have_no_effect(default):
    noted = values({"note": "by hand", "unknown_keys": ["note"]}, "h")[0]
    np.testing.assert_array_equal(noted, default["h"])


@effect_of("seed")
def test_seed_is_that_of_the_weights(default):
    np.testing.assert_array_equal(values({}, "w_rec")[0], default["w_rec"])
    assert np.abs(values({"seed": 2}, "w_rec")[0] - default["w_rec"]).max() > 0.1


# ------------------------------------------------------------------------------------------------------------- costs


@effect_of("loss_type")
def test_loss_type_is_cost_and_output(default):
    entropy = values({"loss_type": "cross_entropy"}, "y_hat", "cost_lsq")
    np.testing.assert_allclose(entropy[0].sum(axis=-1), 1, rtol=1e-5)  # softmax
    assert default["y_hat"].sum(axis=-1).min() > 1.5  # sigmoids near 0.5
    assert entropy[1] > 1.5 * default["cost_lsq"]


@effect_of("l1_h", "l2_h", "l1_weight", "l2_weight")
@pytest.mark.parametrize("key, penalty", [
    ("l1_h", lambda h, weights: np.abs(h).mean()),
    ("l2_h", lambda h, weights: (h**2).sum() / 2),
    ("l1_weight", lambda h, weights: sum(np.abs(w).mean() for w in weights)),
    ("l2_weight", lambda h, weights: sum((w**2).sum() for w in weights) / 2),
])  # fmt: skip
def test_each_penalty_is_its_part_of_the_cost(key, penalty):
    cost, h, weights = values({key: 0.3}, "cost_reg", "h", "weight_list")
    assert cost == pytest.approx(0.3 * penalty(h.astype(float), weights), rel=1e-4)


@effect_of("learning_rate", "optimizer")
def test_learning_rate_and_optimizer_decide_the_first_step():
    """SGD goes learning_rate times the gradient; Adam goes learning_rate in every direction."""
    steps = {}
    for optimizer, rate in [("sgd", 0.1), ("sgd", 0.2), ("adam", 0.1)]:
        (before,), (after,) = values({"optimizer": optimizer, "learning_rate": rate}, "w_out", then_train=True)
        steps[optimizer, rate] = after - before
    np.testing.assert_allclose(steps["sgd", 0.2], 2 * steps["sgd", 0.1], rtol=1e-3, atol=1e-7)
    np.testing.assert_allclose(np.abs(steps["adam", 0.1]), 0.1, rtol=0.01)
    assert np.abs(steps["sgd", 0.1]).std() > 0.001


# ---------------------------------------------------------------------------------------------------------- training


@pytest.fixture
def run(tmp_path):
    """Trains a few steps with changed hyper-parameters; hp and log of the run."""

    def run(max_steps=1, rule_prob_map=None, name="run", seed=0, **changes):
        directory = tmp_path / name
        train(directory, {**TINY, **changes}, max_steps, 1, rule_prob_map=rule_prob_map, seed=seed, threads=1)
        return load_hp(directory), load_log(directory)

    return run


@effect_of("batch_size_train", "rules", "rule_trains")
def test_batch_size_train_counts_the_trials_and_rules_are_what_is_trained_and_evaluated(run):
    hp, log = run(max_steps=2, batch_size_train=6, rule_trains=["gap", "overlap"])
    assert log["trials"] == [0, 6, 12]
    assert [key for key in log if key.startswith("cost_")] == ["cost_gap", "cost_overlap"]
    assert hp["rules"] == ["gap", "overlap"] and list(log["growth"][0]) == ["gap", "overlap"]


@effect_of("batch_size_test")
def test_batch_size_test_is_the_number_of_trials_evaluated(run):
    """Of 16 trials each performance is a multiple of a sixteenth; with other trials the cost is another one."""
    (_, few), (_, more) = (run(name=str(size), rule_trains=["gap"], seed=3, batch_size_test=size) for size in (16, 112))
    assert 0 < few["perf_gap"][0] < 1 and few["perf_gap"][0] * 16 % 1 == 0
    assert few["cost_gap"][0] != more["cost_gap"][0]
    assert more["perf_gap"][0] * 112 == pytest.approx(round(more["perf_gap"][0] * 112))


@effect_of("target_perf")
def test_training_ends_above_target_perf(run):
    """Seed 3 answers a fourth of 16 trials by chance."""
    for target, last in [(0.2, 0), (0.9, 8)]:
        _, log = run(name=str(target), max_steps=2, rule_trains=["gap"], seed=3, target_perf=target)
        assert log["trials"][-1] == last


@effect_of("early_target_perf", "mid_target_perf", "mature_target_perf")
def test_growth_is_named_by_the_thresholds():
    model = Model("unused", hp={**SMALL, "rule_trains": ["gap"], "rules": ["gap"]})
    log = {"trials": [0], "times": [0.0]}
    for targets in [(1, 1, 1), (0, 1, 1), (0, 0, 1), (0, 0, 0)]:
        keys = "early_target_perf", "mid_target_perf", "mature_target_perf"
        model.hp.update(zip(keys, targets, strict=True))
        do_eval(None, model, log, ["gap"], [(1.0, 0.0, 0.5)])
    assert [growth["gap"] for growth in log["growth"]] == ["=>E", "E=>MID", "MID=>A", "MATURE"]


@effect_of("rule_probs")
def test_rule_probs_are_how_often_each_rule_is_drawn(run):
    """A rule that is always drawn makes another network than one that is drawn half of the time."""
    settings = {"max_steps": 3, "rule_trains": ["gap", "overlap"]}
    (hp, log), (_, both) = run(rule_prob_map={"gap": 0}, **settings), run(name="both", **settings)
    assert hp["rule_probs"] == [0, 1] and both["cost_gap"][-1] != log["cost_gap"][-1]


@effect_of("l2_weight_init", "p_weight_train")
@pytest.mark.parametrize("key, value", [("l2_weight_init", 0.5), ("p_weight_train", 0.3)])
def test_what_holds_the_weights_costs_nothing_at_first_and_then_something(run, key, value):
    costs = run(rule_trains=["gap"], **{key: value})[1]["creg_gap"]
    assert costs[0] == 0 and costs[1] > 0
