"""Paths, hp.json and log.json, pickles, and finding models."""

import json
import pickle
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from processes import ROOT

from rnn_maturation import model_directory, tools
from rnn_maturation.hyperparameters import OLD_NAMES, changed_keys, complete_hp, get_default_hp
from rnn_maturation.model_directory import (
    activity_file,
    checkpoint_dir,
    checkpoint_trials,
    figure_dir,
    find_all_models,
    find_model,
    has_hp,
    has_log,
    load_hp,
    load_log,
    load_pickle,
    neuron_info_file,
    save_hp,
    save_log,
    save_pickle,
    select_by_perf,
    task_info_file,
    valid_model_dirs,
)

GOLDEN = Path(__file__).parent / "golden"


def files_in(folder):
    return sorted(path.name for path in folder.iterdir())


# ------------------------------------------------------------------------------------------------------------- hp, log


def test_hp_is_read_as_it_was_saved(tmp_path):
    hp = complete_hp({"n_rnn": np.int64(32), "seed": 5, "rng": np.random.RandomState(5), "in_loc_type": "one_hot"})
    save_hp(hp, tmp_path / "new" / "model")
    assert "rng" in hp
    loaded = load_hp(str(tmp_path / "new" / "model"))
    assert changed_keys(loaded, hp) == {}
    assert loaded["rng"].rand() == np.random.RandomState(1005).rand()


@pytest.mark.parametrize("folder", ["run", "tf1/OZG64", "tf1/odrdrandom"])
def test_files_of_the_original_are_read(folder):
    hp, file = load_hp(GOLDEN / folder), json.loads((GOLDEN / folder / "hp.json").read_text())
    expected = {"mid_target_perf": 0.65, "early_target_perf": 0.35, "mature_target_perf": 0.95}
    assert {key: hp[key] for key in expected} == expected
    kept = {key: value for key, value in file.items() if key not in OLD_NAMES}
    assert {key: hp[key] for key in kept} == kept
    if has_log(GOLDEN / folder):
        log = load_log(GOLDEN / folder)
        assert len(log["perf_min"]) == len(log["trials"])


def test_old_file_name_is_read_and_the_new_one_first(tmp_path):
    (tmp_path / "hparams.json").write_text(json.dumps({"n_rnn": 3, "adult_target_perf": 0.9}))
    assert (load_hp(tmp_path)["n_rnn"], load_hp(tmp_path)["mature_target_perf"]) == (3, 0.9)
    save_hp(get_default_hp("ozg"), tmp_path)
    assert load_hp(tmp_path)["n_rnn"] == 256


@pytest.mark.parametrize("load, has, name", [(load_hp, has_hp, "hp.json"), (load_log, has_log, "log.json")])
def test_a_folder_without_a_run_is_named_with_what_to_do(tmp_path, load, has, name):
    for folder in (tmp_path, tmp_path / "away"):
        assert not has(folder)
        with pytest.raises(FileNotFoundError, match=f"{folder} has no {name}: train a run with Main_training.py first"):
            load(folder)


def test_an_hp_file_edited_by_hand_is_read_with_one_warning(tmp_path):
    save_hp(complete_hp({"n_rnn": 32}), tmp_path)
    file = tmp_path / "hp.json"
    file.write_bytes(file.read_bytes().replace(b'"n_rnn": 32', b'"n_rnn": 33'))
    with pytest.warns(UserWarning, match="hp.json.*checksum.*delete the whitespace.*or write it .* save_hp") as told:
        hp = load_hp(tmp_path)
    assert hp["n_rnn"] == 33 and len(told) == 1
    save_hp(hp, tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert load_hp(tmp_path)["n_rnn"] == 33
        file.write_bytes(file.read_bytes().replace(b'"n_rnn": 33', b'"n_rnn": 34').rstrip())
        assert load_hp(tmp_path)["n_rnn"] == 34
    save_hp(hp, tmp_path)
    file.write_bytes(file.read_bytes().replace(b'"n_rnn": 33', b'"n_rnn": -3'))
    with pytest.warns(UserWarning, match="checksum"), pytest.raises(ValueError, match="n_rnn .* is -3, but must be"):
        load_hp(tmp_path)


def test_a_log_with_keys_of_the_users_own_is_read_and_kept_with_one_warning(tmp_path):
    extra = {"notes": ["slow", "lamp off"], "lab": "Nashville", "weights": [[1.5], [2.5], [3.5]], "x": {"y": None}}
    save_log({"trials": [0, 64], "perf_odr": [0.1, 0.2], **extra}, tmp_path)
    with pytest.warns(UserWarning, match="log.json has keys that this program does not know: notes, lab") as told:
        log = load_log(tmp_path)
    assert len(told) == 1 and {key: log[key] for key in extra} == extra
    save_log(log)
    assert json.loads((tmp_path / "log.json").read_text()) == log
    with pytest.raises(ValueError, match="has no 'model_dir'"):
        save_log({"trials": []})


def test_unknown_keys_of_hp_json_are_kept_and_written_back(tmp_path):
    (tmp_path / "hp.json").write_text('{"n_rnn": 3, "note": {"of": ["mine"]}}')
    with pytest.warns(UserWarning, match="hp.json: this program does not know 'note'. Unknown keys are kept") as caught:
        hp = load_hp(tmp_path)
    assert len(caught) == 1 and hp["note"] == {"of": ["mine"]}
    save_hp(hp, tmp_path / "copy")
    stored = json.loads((tmp_path / "copy" / "hp.json").read_text())
    assert stored == {key: value for key, value in hp.items() if key not in ("rng", "unknown_keys")}


@pytest.mark.parametrize(
    "content, said",
    [
        ("", "is damaged"),
        ("[1]", "not a JSON object"),
        ('{"n_rnn": "many"}', "n_rnn .* is 'many', but must be an integer"),
        ('{"rng": 3}', "rng .* is 3"),
        ('{"learning_rate": NaN}', "learning_rate .* is nan"),
        ("[" * 100_000, "is damaged"),
        ("\xff\xfe", "is damaged"),
    ],
)
def test_damaged_hp_is_refused_with_its_name(tmp_path, content, said):
    (tmp_path / "hp.json").write_text(content, encoding="latin1")
    with pytest.raises(ValueError, match=said) as error:
        load_hp(tmp_path)
    assert str(tmp_path / "hp.json") in str(error.value)


def test_log_is_read_as_it_was_saved(tmp_path):
    log = {
        "model_dir": str(tmp_path), "trials": [0, 64], "times": [0.5, np.float64(1.5)], "perf_odr": np.array([0.1, 1]),
        "cost_odr": [1, float("nan")], "perf_min": [0.1, 1.0], "growth": [{"odr": "=>E"}, {"odr": "MATURE"}],
    }  # fmt: skip
    save_log(log)
    loaded = load_log(str(tmp_path))
    assert np.isnan(loaded["cost_odr"].pop())
    assert loaded == {**log, "perf_odr": [0.1, 1.0], "cost_odr": [1]}


def test_log_is_saved_where_it_was_read_not_where_it_says(tmp_path):
    (tmp_path / "here").mkdir()
    (tmp_path / "elsewhere").mkdir()
    save_log({"model_dir": str(tmp_path / "elsewhere"), "trials": [0]}, tmp_path / "here")
    save_log(load_log(tmp_path / "here"))
    assert files_in(tmp_path / "elsewhere") == []


@pytest.mark.parametrize(
    "changes, said",
    [
        ({"trials": None}, "no list of trial numbers"),
        ({"trials": [0, "64"]}, "no list of trial numbers"),
        ({"trials": [64, 0]}, "do not increase"),
        ({"trials": [-64, 0]}, "do not increase"),
        ({"perf_odr": [0.5]}, "perf_odr has 1 values, but trials has 2"),
        ({"growth": [{}]}, "growth has 1 values, but trials has 2"),
        ({"growth": [{}, "x"]}, "growth has a value of a wrong type"),
        ({"cost_odr": [0.1, None]}, "cost_odr has a value of a wrong type"),
        ({"perf_odr": [0.5, 1.5]}, "perf_odr has a value outside"),
        ({"perf_odr": [0.5, float("nan")]}, "perf_odr has a value outside"),
        ({"trials": [0, True]}, "no list of trial numbers"),
        ({"trials": [0, 10**400]}, "no list of trial numbers"),
        ({"perf_odr": 0.5}, "perf_odr is not a list"),
        ({"perf_min": None}, "perf_min is not a list"),
        ({"perf_odr": [0, True]}, "perf_odr has a value of a wrong type"),
        ({"cost_odr": [0, 10**400]}, "cost_odr has a value of a wrong type"),
        ({"times": [0, float("inf")]}, "times has a value that is not a time"),
        ({"times": [0, 1e300]}, "times has a value that is not a time"),
    ],
)
def test_log_that_disagrees_is_refused(tmp_path, changes, said):
    log = {"trials": [0, 64], "perf_odr": [0.1, 0.2], "cost_odr": [1.0, 2.0], "growth": [{}, {}], **changes}
    save_log(log, tmp_path)
    with pytest.raises(ValueError, match=said) as error:
        load_log(tmp_path)
    assert "log.json is damaged" in str(error.value) and "Restore it" in str(error.value)


def test_every_truncation_of_hp_and_log_is_refused(tmp_path):
    for name, load in (("hp.json", load_hp), ("log.json", load_log)):
        whole = (GOLDEN / "tf1" / "OZG64" / name).read_bytes()
        for length in np.random.RandomState(0).randint(0, len(whole), 100):
            (tmp_path / name).write_bytes(whole[:length])
            with pytest.raises(ValueError, match=f"{name} is damaged"):
                load(tmp_path)


def test_what_json_cannot_hold_is_refused_before_writing(tmp_path):
    save_log({"trials": [0]}, tmp_path)
    with pytest.raises(ValueError, match="log.json was not written"):
        save_log({"trials": [object()]}, tmp_path)
    assert load_log(tmp_path)["trials"] == [0]


# ------------------------------------------------------------------------------------------------------------- pickles


def test_pickle_is_read_as_it_was_saved(tmp_path):
    save_pickle(tmp_path / "H_odr.pkl", {"h": np.ones((2, 3), "f4"), "units": [(1, None)]})
    got = load_pickle(str(tmp_path / "H_odr.pkl"))
    np.testing.assert_array_equal(got["h"], np.ones((2, 3), "f4"))
    assert got["units"] == [(1, None)]


def test_refused_pickle_is_named_with_a_remedy(tmp_path):
    file = tmp_path / "H_odr.pkl"
    for content in (pickle.dumps(Path("x")), pickle.dumps(np.zeros(9))[:-9], b""):
        file.write_bytes(content)
        with pytest.raises(ValueError, match="H_odr.pkl is damaged .*Nothing in it was executed. Delete it if"):
            load_pickle(file)
    with pytest.raises(FileNotFoundError, match="away.pkl"):
        load_pickle(tmp_path / "away.pkl")


def test_pickle_that_could_not_be_read_is_not_written(tmp_path):
    with pytest.raises(ValueError, match="x.pkl was not written: it has an object of type (Posix|Windows)Path"):
        save_pickle(tmp_path / "x.pkl", [Path("a")])
    assert files_in(tmp_path) == []


# ------------------------------------------------------------------------------------------------------ finding models


@pytest.fixture
def three_models(tmp_path):
    for name, n_rnn, perf in (("b", 64, [0.1, 0.9]), ("a/inner", 64, [0.2, 0.7]), ("c", 32, [])):
        folder = tmp_path / name
        save_hp(complete_hp({"n_rnn": n_rnn, "rule_trains": ["odr"]}), folder)
        save_log({"trials": list(range(len(perf))), "perf_min": perf}, folder)
        (folder / "128").mkdir()
    save_hp(get_default_hp("ozg"), tmp_path / "d")  # begun, no log
    shutil.copy(tmp_path / "b" / "hp.json", tmp_path / "b" / "128" / "hp.json")  # a checkpoint is no model
    return tmp_path


def test_find_all_models(three_models):
    def names(target):
        return [Path(found).relative_to(three_models).as_posix() for found in find_all_models(three_models, target)]

    assert names({}) == ["a/inner", "b", "c", "d"]
    assert names({"n_rnn": 64}) == names({"n_rnn": np.int64(64), "ruleset": "all_new"}) == ["a/inner", "b"]
    assert names({"rule_trains": ("odr",)}) == ["a/inner", "b", "c"]
    assert names({"young_target_perf": 0.65, "seed": 0}) == []
    with pytest.raises(ValueError, match="hp_target: unknown key 'n_rn'"):
        names({"n_rn": 64})
    assert find_all_models(three_models / "away", {}) == []


def test_model_that_cannot_be_read_is_left_out_with_a_warning(three_models):
    (three_models / "c" / "hp.json").write_text("{")
    with pytest.warns(UserWarning, match="hp.json is damaged"):
        assert len(find_all_models(three_models, {})) == 3


def test_find_model(three_models):
    assert find_model(str(three_models), {"n_rnn": 64}, perf_min=0.8) == str(three_models / "b")
    assert find_model(three_models, {"n_rnn": 64}) == str(three_models / "a" / "inner")
    assert find_model(three_models, {}, perf_min=0.95) is None
    assert find_model(three_models, {"n_rnn": 1}) is None
    with pytest.raises(ValueError, match="hp_target must be a dict .*, not 'x'"):
        find_model(three_models, "x")


def test_valid_model_dirs_of_a_root_or_several(three_models):
    inner, b, c, d = (str(three_models / name) for name in ("a/inner", "b", "c", "d"))
    assert valid_model_dirs(three_models) == valid_model_dirs(str(three_models)) == [inner, b, c, d]
    assert valid_model_dirs([three_models / "b", c]) == [b, c] and valid_model_dirs(inner) == [inner]
    assert valid_model_dirs(three_models / "away") == valid_model_dirs([]) == []


def test_select_by_perf(three_models):
    folders = find_all_models(three_models, {})
    assert select_by_perf(folders, 0.7) == [str(three_models / "b")]
    assert select_by_perf(three_models / "b", 0.7) == [three_models / "b"] and select_by_perf(folders[0], 1) == []
    assert len(select_by_perf(folders, 0.6)) == 2


# --------------------------------------------------------------------------------------------------------------- paths


def test_paths():
    assert checkpoint_dir("data/6tasks", np.int64(1280)) == Path("data/6tasks/1280")
    assert task_info_file("data/6tasks") == Path("data/6tasks/task_info.pkl")
    assert activity_file("data/6tasks", 0, "odr") == Path("data/6tasks/0/H_odr.pkl")
    assert neuron_info_file("m", 5, "odrd", "delay2") == Path("m/5/neuron_info_odrd_delay2.pkl")
    assert figure_dir("data/6tasks/") == Path("figure/figure_6tasks")


def test_figures_stay_in_the_figure_folder(tmp_path, monkeypatch):
    (tmp_path / "a" / "b").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "a" / "b")
    assert figure_dir(".") == Path("figure/figure_b")
    assert figure_dir("../..") == Path("figure") / ("figure_" + tmp_path.name)
    for model_dir in ("..", ".", "/", "../../../x/..", "a/../../.."):
        assert figure_dir(model_dir).parts[0] == "figure" and len(figure_dir(model_dir).parts) == 2


@pytest.mark.parametrize("name", ["", "..", "../x", "a/b", "a\\b", "odr\n", "/etc/x", "a.b", "é", None, 3, "x\0"])
def test_names_that_could_lead_elsewhere_are_refused(name):
    for path in (
        lambda: activity_file("m", 0, name),
        lambda: neuron_info_file("m", 0, name, "stim1"),
        lambda: neuron_info_file("m", 0, "odr", name),
    ):
        with pytest.raises(ValueError, match="cannot be part of a file name"):
            path()


@pytest.mark.parametrize("trial_num", [-1, 1.5, "1280", "../x", None, 1280.0])
def test_trial_numbers_that_are_none_are_refused(trial_num):
    with pytest.raises(ValueError, match="trial number"):
        checkpoint_dir("m", trial_num)


def test_checkpoint_trials_has_whole_checkpoints_only(tmp_path):
    index = (GOLDEN / "checkpoint" / "model.ckpt.index").read_bytes()

    def write(folder, index_bytes=index, data=b"x"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "model.ckpt.index").write_bytes(index_bytes)
        (tmp_path / folder / "model.ckpt.data-00000-of-00001").write_bytes(data)

    for folder in ("0", "1280", "640", "10240"):
        write(folder)
    for folder, length in (("1", 0), ("2", len(index) - 1), ("3", len(index) // 2)):
        write(folder, index[:length])
    write("4", data=b"")
    for folder in ("007", "interrupted", "12a", "-5", "²"):
        write(folder)
    (tmp_path / "5").mkdir()
    (tmp_path / "6").write_text("a file")
    assert checkpoint_trials(tmp_path) == [0, 640, 1280, 10240]
    assert checkpoint_trials(tmp_path / "away") == []


# --------------------------------------------------------------------------------------------------------------- tools


def test_tools_are_the_names_users_know():
    for name in ("load_hp", "save_hp", "load_log", "save_log", "load_pickle", "find_all_models", "find_model"):
        assert getattr(tools, name) is getattr(model_directory, name)
    for name in (
        "select_by_perf",
        "smooth",
        "range_auto_select",
        "gen_ortho_matrix",
        "save_pickle",
        "valid_model_dirs",
    ):
        assert callable(getattr(tools, name))


def test_trials_are_fed_with_the_tool_as_with_the_networks_function():
    from rnn_maturation import network
    from rnn_maturation.task import generate_trials

    hp = complete_hp({"n_rnn": 4, "rng": np.random.RandomState(0)})
    model, trial = network.Model("unused", hp=hp), generate_trials("gap", hp, "random", batch_size=2)
    feed = tools.gen_feed_dict(model, trial, hp)
    assert feed.keys() == network.gen_feed_dict(model, trial, hp).keys()
    assert feed[model.x] is trial.x and feed[model.c_mask] is trial.c_mask


def test_an_orthogonal_matrix_without_generator_follows_numpys_seed():
    matrices = []
    for seed in (3, 3, 4):
        np.random.seed(seed)
        matrices.append(tools.gen_ortho_matrix(5))
    np.testing.assert_allclose(matrices[0] @ matrices[0].T, np.eye(5), atol=1e-12)
    np.testing.assert_array_equal(matrices[0], matrices[1])
    np.testing.assert_array_equal(matrices[0], tools.gen_ortho_matrix(5, np.random.RandomState(3)))
    assert not np.allclose(matrices[0], matrices[2])


def test_arguments_in_the_wrong_order_are_not_printed_whole():
    log = {"trials": list(range(10_000))}
    for call in (
        lambda: checkpoint_dir("m", log),
        lambda: activity_file("m", 0, log),
        lambda: find_model("m", [log]),
        lambda: load_hp(log),
        lambda: load_log(log),
        lambda: save_hp("m", log),
        lambda: figure_dir(log),
    ):
        with pytest.raises(ValueError) as error:
            call()
        assert len(str(error.value)) < 200


def test_nothing_heavy_is_imported():
    code = "import sys, rnn_maturation.tools; print({'tensorflow', 'matplotlib', 'scipy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("set()\n", "")


def test_lists_of_the_users_whose_names_begin_like_ours_are_kept(tmp_path):
    own = {"perf_smooth": [0.1], "cost_note": "x"}
    log = {"model_dir": str(tmp_path), "trials": [0, 1280], "perf_odr": [0.1, 0.2], **own}
    save_log(log)
    with pytest.warns(UserWarning, match="keys that this program does not know: perf_smooth, cost_note"):
        assert load_log(tmp_path) == log
