"""The table of variants: what each trains and analyzes; runs chosen by name, pattern and seed."""

from pathlib import Path

import pytest
from small_runs import put_run

from rnn_maturation.hyperparameters import complete_hp
from rnn_maturation.sweep import VARIANTS, choose_runs, find_runs, parse_seeds
from rnn_maturation.sweep.variants import Variant
from rnn_maturation.task import TASKS


def test_the_table_has_the_main_run_and_the_26_variants_of_the_original():
    sets = {"set1": 4, "set2": 4, "set3": 2, "set4": 3, "set5": 2, "set6": 3, "set7": 2}
    expected = [f"{name}_exp{i}" for name, n in sets.items() for i in range(1, n + 1)]
    expected += ["indi_odr", "indi_odrd", "indi_odr_odrd", "indi_gap", "indi_zero_gap", "indi_overlap"]
    assert sorted(VARIANTS) == sorted([*expected, "6tasks"]) and len(expected) == 26


DIFFERENCES = {
    **{f"set1_exp{i}": {"n_rnn": n} for i, n in enumerate((64, 128, 512, 1024), 1)},
    **{f"set2_exp{i}": {"activation": name} for i, name in enumerate(("tanh", "relu", "elu", "power"), 1)},
    "set3_exp1": {"w_rec_init": "diag"},
    "set3_exp2": {"w_rec_init": "randgauss"},
    **{f"set4_exp{i}": {"learning_rate": rate} for i, rate in enumerate((1e-4, 1e-2, 1e-1), 1)},
    "set7_exp1": {"rnn_type": "LeakyGRU"},
    "set7_exp2": {"rnn_type": "GRU"},
    "6tasks": {"target_perf": 0.995},
}
RULESETS = {
    "set5_exp1": "mix_MoN_6tasks", "set5_exp2": "mix_p_MoN_6tasks", "set6_exp1": "all_new_odr3000",
    "set6_exp2": "all_new_odr6000", "set6_exp3": "all_new_odr15000",
}  # fmt: skip
SIX_RULES = ["overlap", "zero_gap", "gap", "odr", "odrd", "gap500"]


@pytest.mark.parametrize("name", VARIANTS)
def test_a_variant_differs_from_the_others_in_what_its_name_stands_for(name):
    variant = VARIANTS[name]
    hp = complete_hp({**variant.whole_hp, "ruleset": variant.ruleset, "rule_trains": variant.trained_rules})
    plain = {"activation": "softplus", "n_rnn": 256, "learning_rate": 0.001, "mix_rule": True, "target_perf": 0.95}
    expected = complete_hp({**plain, **DIFFERENCES.get(name, {}), "ruleset": RULESETS.get(name, "all_new")})
    assert {**hp, "rule_trains": None} == {**expected, "rule_trains": None}
    if name.startswith("indi_"):
        alone = {"odr_odrd": ["odr", "odrd"]}
        assert variant.trained_rules == alone.get(name[5:], [name[5:]])
    elif name not in RULESETS:
        assert sorted(variant.trained_rules) == sorted(SIX_RULES)


def test_the_main_run_is_that_of_main_training():
    import Main_training

    variant = VARIANTS["6tasks"]
    assert (variant.whole_hp, variant.ruleset) == (Main_training.HP, Main_training.RULESET)
    assert variant.trained_rules == Main_training.RULES


def test_analyses_belong_to_variants_as_published():
    both = {"odr": ("stim1", "delay1"), "odrd": ("stim1", "delay1", "delay2")}
    for name, variant in VARIANTS.items():
        assert set(variant.units) <= set(variant.trained_rules) and set(variant.saccades) <= set(variant.trained_rules)
        assert variant.norm == (name not in ("set2_exp2", "set2_exp3"))
        if name[:4] in ("set1", "set2", "set3", "set5") or name == "set4_exp1":
            assert variant.units == both and not variant.saccades and not variant.distractor
    assert not VARIANTS["set4_exp2"].units and not VARIANTS["set4_exp3"].units
    assert VARIANTS["set6_exp2"].units == {"odr6000": both["odr"], "odrd": both["odrd"]}
    assert VARIANTS["indi_gap"].units == {"gap": ("stim1",)} and VARIANTS["indi_gap"].saccades == ("gap",)
    assert [name for name, variant in VARIANTS.items() if variant.distractor] == [
        "6tasks", "indi_odrd", "indi_odr_odrd", "set7_exp1", "set7_exp2"
    ]  # fmt: skip
    assert set(VARIANTS["set7_exp1"].units) == {"odr", "odrd", "overlap", "zero_gap", "gap"}


def test_runs_are_chosen_by_name_pattern_and_seed():
    assert len(choose_runs()) == 26 and "6tasks" not in {run.variant for run in choose_runs()}
    names = [run.name for run in choose_runs(["set3_*", "6tasks"], [0, 2])]
    assert names == [
        "6tasks", "6tasks_seed2", "set3_exp1", "set3_exp1_seed2", "set3_exp2", "set3_exp2_seed2"
    ]  # fmt: skip
    assert choose_runs(["set3_exp1"], [4], "runs")[0].model_dir == str(Path("runs/set3_exp1_seed4"))
    with pytest.raises(ValueError, match="'set3_exp9': did you mean set3_exp2.*--list"):
        choose_runs(["set3_exp9"])


@pytest.mark.parametrize("text, seeds", [("0", [0]), ("0-4", [0, 1, 2, 3, 4]), ("7,0,2-3, 2", [0, 2, 3, 7])])
def test_seeds_are_read_from_lists_and_ranges(text, seeds):
    assert parse_seeds(text) == seeds


@pytest.mark.parametrize("text", ["", "a", "3-1", "-1", "1.5", "0-99999999999", "1,,2"])
def test_other_seeds_are_refused(text):
    with pytest.raises(ValueError, match="write them like 0-4 or 0,2,5-7"):
        parse_seeds(text)


def test_runs_on_disk_are_found_by_their_names(tmp_path):
    for name in ("6tasks_seed10", "6tasks_seed2", "6tasks", "6tasks_paper", "6tasks_seed0", "indi_odr", "indi_odrd"):
        put_run(tmp_path, name)
    (tmp_path / "set1_exp1").mkdir()
    assert [run.name for run in find_runs(tmp_path)] == [
        "6tasks", "6tasks_seed2", "6tasks_seed10", "indi_odr", "indi_odrd"
    ]  # fmt: skip
    assert find_runs(tmp_path / "nowhere") == []


def test_distractors_are_shown_in_every_trained_rule_that_has_test_pairs(monkeypatch):
    assert VARIANTS["6tasks"].distractor_rules == VARIANTS["indi_odr_odrd"].distractor_rules == ["odrd"]
    assert VARIANTS["indi_odr"].distractor_rules == VARIANTS["set1_exp1"].distractor_rules == []
    monkeypatch.setitem(TASKS, "far_distractor", TASKS["odrd"])
    assert Variant(rules=("odr", "far_distractor"), distractor=True).distractor_rules == ["far_distractor"]
