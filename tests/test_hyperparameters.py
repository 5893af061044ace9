import json
from pathlib import Path

import numpy as np
import pytest

from rnn_maturation.checks import quoted
from rnn_maturation.hyperparameters import (
    GATED_ACTIVATIONS,
    GATED_TYPES,
    LEAKY_ACTIVATIONS,
    PAPER_DISPLAY_STEP,
    PAPER_HP,
    PAPER_RULESET,
    PARAMETERS,
    changed_keys,
    check_hp,
    complete_hp,
    gen_ortho_matrix,
    get_default_hp,
    rename_old_keys,
)
from rnn_maturation.task import rules_dict

GOLDEN = Path(__file__).parent / "golden"


def message(given):
    with pytest.raises(ValueError) as error:
        complete_hp(given)
    return str(error.value)


def test_defaults_are_those_of_the_original():
    original = json.loads((GOLDEN / "run" / "hp.json").read_text())
    changed = {
        "activation": "softplus",
        "target_perf": 0.995,
        "n_rnn": 20,
        **{key: original[key] for key in ("mix_rule", "seed", "rules", "rule_trains", "rule_probs")},
    }
    assert {**get_default_hp("all_new"), **changed} == original


@pytest.mark.parametrize("ruleset", rules_dict)
def test_every_rule_set_has_an_input_channel_for_each_rule(ruleset):
    hp = get_default_hp(ruleset)
    assert (hp["n_rule"], hp["n_input"]) == (len(rules_dict[ruleset]), 9 + len(rules_dict[ruleset]))


def test_derived_keys_follow():
    hp = complete_hp({"ruleset": "ozg", "n_eachring": 16, "num_ring": 2, "dt": 10})
    assert [hp[key] for key in ("rule_start", "n_input", "n_output", "n_rule", "alpha")] == [33, 36, 17, 3, 0.1]


def test_derived_keys_stay_when_given():
    hp = complete_hp({"n_rule": 5, "rule_start": 10})
    assert [hp[key] for key in ("rule_start", "n_input", "n_output", "n_rule")] == [10, 15, 9, 5]


@pytest.mark.parametrize("given", [{"alpha": 0.2, "dt": 10}, {"alpha": 0.5}, {"alpha": 0.2, "tau": 50, "n_rnn": 3}])
def test_an_alpha_that_is_not_dt_over_tau_is_corrected_with_one_warning(given):
    with pytest.warns(UserWarning, match=r"hp.json: alpha is 0\.\d, but dt / tau is .*Leave alpha out") as caught:
        hp = complete_hp(given, "hp.json")
    assert len(caught) == 1 and hp["alpha"] == hp["dt"] / hp["tau"]


def test_an_alpha_that_agrees_is_no_reason_to_warn(recwarn):
    assert complete_hp({"alpha": np.float32(0.3), "dt": 30})["alpha"] == 0.3
    assert complete_hp({"alpha": 0.1 + 0.2 - 0.2, "dt": 10})["alpha"] == 0.1
    assert not recwarn


def test_unknown_keys_of_a_file_are_kept_with_one_warning():
    stored = {"n_rnn": 3, "note": "my best run", "n_rn": 5, "young_target_perf": 0.6, "old": {"a": [1]}}
    with pytest.warns(UserWarning) as caught:
        hp = complete_hp(stored, "run/hp.json", is_file=True)
    (warning,) = caught
    named = "'note', 'n_rn' (did you mean 'n_rnn'?), 'old'"
    assert (
        str(warning.message)
        == f"run/hp.json: this program does not know {named}. Unknown keys are kept, but have no effect."
    )
    kept = {key: stored[key] for key in ("n_rnn", "note", "n_rn", "old")}
    assert {key: hp[key] for key in kept} == kept and hp["mid_target_perf"] == 0.6


def test_an_hp_with_unknown_keys_of_a_file_is_accepted_wherever_it_goes(recwarn):
    hp = complete_hp({"note": "x"}, is_file=True)
    recwarn.clear()
    again = complete_hp({**json.loads(json.dumps(hp)), "n_rnn": 3})
    assert again["note"] == "x" and again["n_rnn"] == 3 and not recwarn
    check_hp(again)
    assert changed_keys(hp, get_default_hp("all_new")) == changed_keys(get_default_hp("all_new"), hp) == {}
    assert "unknown key 'other'" in message({**hp, "other": 1})


def test_a_long_wrong_value_is_shortened():
    log = {"trials": list(range(0, 100_000, 1280)), "perf_odr": [0.2] * 79}
    for key in ("rule_trains", "n_rnn", "activation", "unknown_keys"):
        assert len(message({key: log})) < 500
    assert "unknown key 'trials'" in message(log)


def test_the_settings_of_the_paper():
    hp = complete_hp({**PAPER_HP, "ruleset": PAPER_RULESET})
    assert (hp["n_rnn"], hp["activation"], hp["target_perf"], hp["mix_rule"]) == (256, "softplus", 0.995, True)
    assert PAPER_DISPLAY_STEP * hp["batch_size_train"] == 1280


def test_given_is_not_changed_and_the_generator_is_kept():
    rng = np.random.RandomState(0)
    given = {"n_rnn": np.int64(3), "rng": rng, "rule_trains": ("odr",)}
    hp = complete_hp(given)
    assert hp["rng"] is rng
    assert type(given["n_rnn"]) is np.int64 and given["rule_trains"] == ("odr",)


def test_numpy_values_become_plain_ones():
    hp = complete_hp(
        {
            "n_rnn": np.int32(64),
            "learning_rate": np.float64(0.01),
            "use_separate_input": np.bool_(False),
            "activation": np.str_("tanh"),
            "rule_trains": np.array(["odr", "gap"]),
            "rule_probs": [np.float64(0.25), np.float64(0.75)],
        }
    )
    assert json.loads(json.dumps(hp)) == hp
    assert [type(hp[key]) for key in ("n_rnn", "learning_rate", "use_separate_input", "activation")] == [
        int, float, bool, str,
    ]  # fmt: skip
    assert hp["rule_probs"] == [0.25, 0.75]


def test_unknown_key_is_refused_with_the_nearest_name():
    assert "'n_rn'" in message({"n_rn": 64}) and "'n_rnn'" in message({"n_rn": 64})
    assert "learning_rate" in message({"learningrate": 0.1})
    assert "Known keys: batch_size_train" in message({"qqq": 1})


def test_lists_without_end_are_refused():
    deep = []
    for _ in range(10_000):
        deep = [deep]
    assert "nested too deeply" in message({"rule_trains": deep})


def test_a_long_value_under_an_old_name_is_quoted_short():
    said = message({"adult_target_perf": list(range(10_000)), "mature_target_perf": 0.9})
    assert "adult_target_perf is [0, 1, 2" in said and "Remove one of them" in said and len(said) < 300


WRONG_VALUES = {
    "batch_size_train": [0, -1, 1.5, "64", True, None],
    "batch_size_test": [15, 512.0],
    "optimizer": ["Adam", None],
    "learning_rate": [0, -1, float("nan"), float("inf"), 10**400, "0.1", True],
    "loss_type": ["mse"],
    "target_perf": [1.01, -0.1, "0.9"],
    "mature_target_perf": [2],
    "mid_target_perf": [-1],
    "early_target_perf": [None],
    "l1_h": [-1e-9],
    "l2_h": ["0"],
    "l1_weight": [-1],
    "l2_weight": [float("inf")],
    "l2_weight_init": [True],
    "p_weight_train": [1.5, -0.1, "all"],
    "ruleset": ["allnew", None, ["all_new"]],
    "n_rule": [0, 6.0],
    "n_eachring": [1, 8.0],
    "num_ring": [0],
    "rule_start": [2, "9"],
    "n_input": [3],
    "n_output": [2],
    "in_type": ["multi"],
    "in_loc_type": ["bump", None],
    "sigma_x": [-0.01],
    "rnn_type": ["RNN"],
    "n_rnn": [0, 256.0],
    "activation": ["sin", 3],
    "tau": [0],
    "dt": [0, 101],
    "alpha": [0, 1.1],
    "sigma_rec": [-1],
    "w_rec_init": ["ortho"],
    "use_separate_input": [1, "True"],
    "mix_rule": [None, 0],
    "save_name": [3],
    "c_intsyn": [-1],
    "ksi_intsyn": ["0"],
    "unknown_keys": ["note", [1]],
    "seed": [-1, 2**32 - 1000, 0.5, None],
    "rng": [0, np.random.default_rng(0)],
    "rule_trains": [[], ["odr", "odr"], "odr", [1]],
    "rules": [None],
    "rule_probs": [[0.5, 0.4], [1.5, -0.5], "1"],
}


def test_every_key_has_wrong_values_here():
    assert list(WRONG_VALUES) == list(PARAMETERS)


@pytest.mark.parametrize("key, value", [(key, value) for key, values in WRONG_VALUES.items() for value in values])
def test_wrong_value_is_refused_with_its_name_and_what_is_allowed(key, value):
    said = message({key: value})
    assert f"hp: {key} (" in said
    assert quoted(value) in said and PARAMETERS[key].check.allowed in said and "Correct it" in said


def test_file_is_named():
    with pytest.raises(ValueError, match="^data/x/hp.json: n_rnn"):
        complete_hp({"n_rnn": 0}, "data/x/hp.json")


@pytest.mark.parametrize(
    "given, said",
    [
        ({"use_separate_input": True, "activation": "tanh"}, "only with activation 'softplus' or 'relu', not 'tanh'"),
        ({"use_separate_input": True, "loss_type": "cross_entropy"}, "only with loss_type 'lsq'"),
        ({"use_separate_input": True, "rnn_type": "LSTM"}, "only with rnn_type 'LeakyRNN'"),
        *(
            ({"activation": name}, "only with rnn_type LeakyGRU, GRU, LSTM")
            for name in GATED_ACTIVATIONS
            if name not in LEAKY_ACTIVATIONS
        ),
        ({"dt": 50, "tau": 20}, "approach their input in a step, dt/tau) is 2.5"),
        ({"n_eachring": 16, "rule_start": 9}, "rule_start 9 must be 17 or more"),
        ({"n_input": 14}, "n_input 14 must be rule_start + n_rule = 15 or more"),
        ({"n_output": 10}, "n_output 10 must be n_eachring + 1 = 9"),
        ({"rule_trains": ["odr", "odr3000"]}, "rule_trains has 'odr3000'"),
        ({"rules": ["gap500"], "n_rule": 5}, "rules has 'gap500'"),
        ({"rule_trains": ["odr"], "rule_probs": [0.5, 0.5]}, "one number for each of rule_trains"),
        ({"early_target_perf": 0.7}, "must increase in this order"),
        ({"adult_target_perf": 0.9, "mature_target_perf": 0.95}, "Remove one of them"),
    ],
)
def test_values_that_do_not_go_together_are_refused(given, said):
    assert said in message(given)


@pytest.mark.parametrize(
    "given",
    [
        {"mix_rule": True},
        {"mix_rule": True, "use_separate_input": True},
        {"use_separate_input": True, "activation": "softplus"},
        *({"activation": name, "rnn_type": rnn_type} for rnn_type in GATED_TYPES for name in GATED_ACTIVATIONS),
        {"loss_type": "cross_entropy", "in_loc_type": "one_hot"},
        {"adult_target_perf": 0.9, "mature_target_perf": 0.9},
        {"p_weight_train": 0.5, "l2_weight_init": 0.1},
        {"seed": 2**32 - 1001},
    ],
)
def test_what_works_is_accepted(given):
    check_hp(complete_hp(given))


def test_missing_key_is_named():
    hp = get_default_hp("all_new")
    del hp["tau"]
    with pytest.raises(ValueError, match="hp: keys are missing: tau.*complete_hp"):
        check_hp(hp)


def test_old_names_are_understood():
    old = {"adult_target_perf": 0.9, "young_target_perf": 0.6, "infancy_target_perf": 0.3, "n_rnn": 5}
    new = {"mature_target_perf": 0.9, "mid_target_perf": 0.6, "early_target_perf": 0.3, "n_rnn": 5}
    assert rename_old_keys(old) == new
    assert complete_hp(old) == complete_hp(new)


def test_changed_keys():
    a = complete_hp({"rng": np.random.RandomState(0), "rule_trains": ("odr", "gap"), "n_rnn": 64})
    b = {**a, "rng": np.random.RandomState(1), "rule_trains": ["odr", "gap"], "n_rnn": np.int64(64)}
    assert changed_keys(a, b) == {}
    b.update(n_rnn=128, in_loc_type="one_hot")
    assert changed_keys(a, b) == {"n_rnn": (64, 128), "in_loc_type": (None, "one_hot")}


def test_random_orthogonal_matrix_is_the_originals():
    np.testing.assert_allclose(
        gen_ortho_matrix(12, np.random.RandomState(0)), np.load(GOLDEN / "ortho_seed0.npy"), atol=1e-12
    )


@pytest.mark.parametrize("dim", [1, 2, 64])
def test_random_orthogonal_matrix_is_orthogonal(dim):
    matrix = gen_ortho_matrix(dim, np.random.RandomState(dim))
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(dim), atol=1e-12)


def test_random_orthogonal_matrix_without_a_generator_takes_numpys():
    np.random.seed(4)
    matrix = gen_ortho_matrix(3)
    np.testing.assert_array_equal(matrix, gen_ortho_matrix(3, np.random.RandomState(4)))
