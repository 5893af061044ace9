import errno
import json
import os
import pickle
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest

from rnn_maturation import model_directory, tools
from rnn_maturation.hyperparameters import OLD_NAMES, changed_keys, complete_hp, get_default_hp
from rnn_maturation.model_directory import (
    ModelDirectoryInUse,
    activity_file,
    atomic_write,
    checkpoint_dir,
    checkpoint_trials,
    figure_dir,
    find_all_models,
    find_model,
    is_locked,
    load_hp,
    load_log,
    load_pickle,
    lock,
    neuron_info_file,
    save_hp,
    save_log,
    save_pickle,
    select_by_perf,
    task_info_file,
)

GOLDEN = Path(__file__).parent / "golden"
ROOT = Path(__file__).parent.parent


def start(code, *arguments):
    """Run Python code in a process of its own that prints a line when it is ready."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def kill(process):
    process.send_signal(signal.SIGKILL if os.name != "nt" else signal.SIGTERM)
    process.communicate()


def files_in(folder):
    return sorted(path.name for path in folder.iterdir())


# -------------------------------------------------------------------------------------------------------- atomic write


def test_file_appears_when_it_is_whole(tmp_path):
    path = tmp_path / "figure.png"
    with atomic_write(path) as temporary:
        assert temporary.parent == tmp_path and temporary.suffix == ".png"
        temporary.write_text("new")
        assert not path.exists()
    assert path.read_text() == "new" and files_in(tmp_path) == ["figure.png"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_failure_leaves_the_earlier_file_and_nothing_else(tmp_path, error):
    path = tmp_path / "log.json"
    path.write_text("old")
    with pytest.raises(error), atomic_write(path) as temporary:
        temporary.write_text("half")
        raise error
    assert path.read_text() == "old" and files_in(tmp_path) == ["log.json"]


def test_new_files_have_the_usual_permissions(tmp_path):
    (tmp_path / "plain").write_text("")
    save_pickle(tmp_path / "x.pkl", [1])
    assert (tmp_path / "x.pkl").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_missing_folder_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"was not written.*its folder exists.*x\.pkl"):
        save_pickle(tmp_path / "away" / "x.pkl", [1])


WRITE_UNPRIVILEGED = """
import os, sys
from rnn_maturation.model_directory import save_pickle
if os.geteuid() == 0:
    os.setuid(65534)  # root may write everywhere
try:
    save_pickle(sys.argv[1] + "/x.pkl", [1])
except PermissionError as error:
    print(error)
"""


@pytest.mark.skipif(os.name == "nt", reason="needs the permissions of POSIX")
def test_read_only_directory_is_named():
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o555)
        said, errors = start(WRITE_UNPRIVILEGED, folder).communicate(timeout=60)
        assert "was not written" in said and "may be written to" in said and folder + "/x.pkl" in said, errors


WRITES = {
    "hp.json": lambda folder: save_hp({"save_name": "x" * 100_000}, folder),
    "log.json": lambda folder: save_log({"trials": list(range(100_000))}, folder),
    "x.pkl": lambda folder: save_pickle(folder / "x.pkl", np.zeros(100_000)),
}


@pytest.mark.skipif(os.name == "nt", reason="needs a limit on file sizes")
@pytest.mark.parametrize("name", WRITES)
def test_full_disk_keeps_the_earlier_file(tmp_path, name):
    import resource

    (tmp_path / name).write_text("old")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, hard))
    try:
        with pytest.raises(OSError) as error:
            WRITES[name](tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert error.value.errno == errno.EFBIG
    assert name in str(error.value) and "free space" in str(error.value)
    assert (tmp_path / name).read_text() == "old" and files_in(tmp_path) == [name]


WRITE_FOR_EVER = """
import sys
from rnn_maturation.model_directory import save_log
print("ready", flush=True)
n = 0
while True:
    n += 1
    save_log({"trials": [n] * 20000}, sys.argv[1])
"""


def test_random_kills_leave_a_whole_file(tmp_path):
    rng = np.random.RandomState(0)
    save_log({"trials": [0] * 20000}, tmp_path)
    for _ in range(6):
        process = start(WRITE_FOR_EVER, tmp_path)
        process.stdout.readline()
        time.sleep(0.03 * rng.rand())
        kill(process)
        trials = json.loads((tmp_path / "log.json").read_text())["trials"]
        assert len(trials) == 20000 and len(set(trials)) == 1


WRITE_HALF = """
import sys, time
from rnn_maturation.model_directory import atomic_write
with atomic_write(sys.argv[1]) as temporary:
    temporary.write_text("half")
    print("ready", flush=True)
    time.sleep(60)
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows cannot ask safely whether a process runs")
def test_the_next_owner_removes_what_a_killed_process_half_wrote(tmp_path):
    (tmp_path / "1280").mkdir()
    save_log({"trials": [0]}, tmp_path)
    for path in (tmp_path / "log.json", tmp_path / "1280" / "H_odr.pkl"):
        process = start(WRITE_HALF, path)
        process.stdout.readline()
        kill(process)
        assert len(list(path.parent.glob(".partial-*"))) == 1
    assert load_log(tmp_path)["trials"] == [0]
    with lock(tmp_path):
        pass
    assert files_in(tmp_path) == ["1280", "log.json"] and files_in(tmp_path / "1280") == []


def test_a_lock_is_seen_and_looking_does_not_take_it(tmp_path):
    assert not is_locked(tmp_path) and files_in(tmp_path) == []
    process = start(HOLD_LOCK, tmp_path)
    process.stdout.readline()
    assert is_locked(tmp_path)
    kill(process)
    assert (tmp_path / ".lock").exists() and not is_locked(tmp_path)
    with lock(tmp_path):
        assert is_locked(tmp_path)


def test_files_that_running_processes_write_are_left_alone(tmp_path):
    with atomic_write(tmp_path / "x") as temporary:
        temporary.write_text("half")
        with lock(tmp_path):
            assert temporary.exists()
    assert files_in(tmp_path) == ["x"]


def test_what_processes_of_other_machines_write_is_left_alone(tmp_path):
    with atomic_write(tmp_path / "x") as temporary:
        temporary.write_text("half")
        machine, process = re.fullmatch(r"\.partial-(.+)@(\d+)-.*", temporary.name).groups()
    assert process == str(os.getpid())
    of_no_process = 2**22 + 1  # more than Linux and macOS count to
    elsewhere, here = (tmp_path / f".partial-{m}@{of_no_process}-ab-x" for m in (f"not.{machine}", machine))
    for path in (elsewhere, here):
        path.write_text("half")
    with lock(tmp_path):
        assert elsewhere.exists() and not here.exists()


# ---------------------------------------------------------------------------------------------------------------- lock


HOLD_LOCK = """
import sys, time
from rnn_maturation.model_directory import lock
with lock(sys.argv[1]):
    print("ready", flush=True)
    time.sleep(60)
"""


def test_second_process_is_refused_and_a_killed_one_frees_the_lock(tmp_path):
    model_dir = tmp_path / "data" / "model"
    process = start(HOLD_LOCK, model_dir)
    try:
        process.stdout.readline()
        with pytest.raises(ModelDirectoryInUse, match=f"model is in use by another process .number {process.pid}."):
            with lock(model_dir):
                pass
    finally:
        kill(process)
    assert files_in(model_dir) == [".lock"]
    with lock(model_dir):
        assert (model_dir / ".lock").read_text().strip() == str(os.getpid())
    assert files_in(model_dir) == []


def test_lock_holds_in_the_same_process_too_and_is_freed_after_an_error(tmp_path):
    with pytest.raises(KeyError), lock(tmp_path):
        with pytest.raises(ModelDirectoryInUse), lock(tmp_path):
            pass
        raise KeyError
    with lock(tmp_path):
        pass


def test_lock_survives_the_removal_of_its_directory(tmp_path):
    with lock(tmp_path / "model"):
        shutil.rmtree(tmp_path / "model")
        with lock(tmp_path / "model"):  # a new directory, another lock
            pass
    assert files_in(tmp_path / "model") == []


TAKE_TURNS = """
import sys
from pathlib import Path
from rnn_maturation.model_directory import ModelDirectoryInUse, lock
inside, taken = Path(sys.argv[1]) / "inside", 0
while taken < 100:
    try:
        with lock(sys.argv[1]):
            inside.touch(exist_ok=False)
            inside.unlink()
            taken += 1
    except ModelDirectoryInUse:
        pass
"""


def test_never_two_owners(tmp_path):
    processes = [start(TAKE_TURNS, tmp_path) for _ in range(3)]
    assert [process.communicate(timeout=60)[1] for process in processes] == ["", "", ""]
    assert files_in(tmp_path) == []


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
    log = load_log(GOLDEN / folder)
    assert log is None or len(log["perf_min"]) == len(log["trials"])


def test_old_file_name_is_read_and_the_new_one_first(tmp_path):
    (tmp_path / "hparams.json").write_text(json.dumps({"n_rnn": 3, "adult_target_perf": 0.9}))
    assert (load_hp(tmp_path)["n_rnn"], load_hp(tmp_path)["mature_target_perf"]) == (3, 0.9)
    save_hp(get_default_hp("ozg"), tmp_path)
    assert load_hp(tmp_path)["n_rnn"] == 256


def test_missing_files_are_none(tmp_path):
    assert load_hp(tmp_path) is None and load_log(tmp_path) is None
    assert load_hp(tmp_path / "away") is None and load_log(tmp_path / "away") is None


def test_unknown_keys_of_hp_json_are_kept_and_written_back(tmp_path):
    (tmp_path / "hp.json").write_text('{"n_rnn": 3, "note": {"of": ["mine"]}}')
    with pytest.warns(UserWarning, match="hp.json: this program does not know 'note': kept") as caught:
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
        ({"trials": [64, 0]}, "do not rise"),
        ({"trials": [-64, 0]}, "do not rise"),
        ({"perf_odr": [0.5]}, "perf_odr has 1 values, trials 2"),
        ({"growth": [{}]}, "growth has 1 values, trials 2"),
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
        ({"times": [0, float("inf")]}, "times has a value that is no time"),
        ({"times": [0, 1e300]}, "times has a value that is no time"),
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
        with pytest.raises(ValueError, match="H_odr.pkl is damaged .*Nothing in it was executed. Delete it"):
            load_pickle(file)
    with pytest.raises(FileNotFoundError, match="away.pkl"):
        load_pickle(tmp_path / "away.pkl")


def test_pickle_that_could_not_be_read_is_not_written(tmp_path):
    with pytest.raises(ValueError, match="x.pkl was not written: it has a PosixPath|WindowsPath"):
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
    model_dir, hp = find_model(str(three_models), {"n_rnn": 64}, perf_min=0.8)
    assert model_dir == str(three_models / "b") and hp["n_rnn"] == 64 and "rng" in hp
    assert find_model(three_models, {"n_rnn": 64})[0] == str(three_models / "a" / "inner")
    assert find_model(three_models, {}, perf_min=0.95) == (None, None)
    assert find_model(three_models, {"n_rnn": 1}) == (None, None)


def test_select_by_perf(three_models):
    folders = find_all_models(three_models, {})
    assert select_by_perf(folders, 0.7) == [str(three_models / "b")]
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
    for name in ("select_by_perf", "smooth", "range_auto_select", "gen_ortho_matrix", "save_pickle"):
        assert callable(getattr(tools, name))


def test_nothing_heavy_is_imported():
    process = start("import sys, rnn_maturation.tools; print({'tensorflow', 'matplotlib', 'scipy'} & set(sys.modules))")
    assert process.communicate(timeout=60) == ("set()\n", "")
