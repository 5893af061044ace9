"""Files that appear whole or not at all; locks of directories."""

import errno
import json
import os
import re
import shutil
import signal
import sys
import tempfile
import time
from subprocess import PIPE

import numpy as np
import pytest

from rnn_maturation.files import ModelDirectoryInUse, atomic_write, is_locked, lock
from rnn_maturation.model_directory import load_log, save_hp, save_log, save_pickle


@pytest.fixture
def start(processes):
    """Runs Python code in a process of its own that prints a line when it is ready."""

    def start(code, *arguments):
        command = [sys.executable, "-c", code, *map(str, arguments)]
        return processes.start(command, limit=60, stdout=PIPE, stderr=PIPE, text=True)

    return start


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
    with pytest.raises(FileNotFoundError, match=r"was not written.*the folder exists.*x\.pkl"):
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
def test_read_only_directory_is_named(start):
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o555)
        said, errors = start(WRITE_UNPRIVILEGED, folder).communicate(timeout=60)
        assert "was not written" in said and "is writable" in said and folder + "/x.pkl" in said, errors


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


def test_random_kills_leave_a_whole_file(tmp_path, start):
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
from rnn_maturation.files import atomic_write
with atomic_write(sys.argv[1]) as temporary:
    temporary.write_text("half")
    print("ready", flush=True)
    time.sleep(60)
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows cannot ask safely whether a process runs")
def test_the_next_owner_removes_what_a_killed_process_half_wrote(tmp_path, start):
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


def test_a_lock_is_seen_and_looking_does_not_take_it(tmp_path, start):
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
from rnn_maturation.files import lock
with lock(sys.argv[1]):
    print("ready", flush=True)
    time.sleep(60)
"""


def test_second_process_is_refused_and_a_killed_one_frees_the_lock(tmp_path, start):
    model_dir = tmp_path / "data" / "model"
    process = start(HOLD_LOCK, model_dir)
    try:
        process.stdout.readline()
        with pytest.raises(ModelDirectoryInUse, match=f"model is in use by another process .ID {process.pid}."):
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


def test_a_file_in_place_of_the_directory_is_named_with_the_remedy(tmp_path):
    (tmp_path / "notes").write_text("")
    with pytest.raises(FileExistsError, match="give the path of a folder.*notes"), lock(tmp_path / "notes"):
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
from rnn_maturation.files import ModelDirectoryInUse, lock
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


def test_never_two_owners(tmp_path, start):
    processes = [start(TAKE_TURNS, tmp_path) for _ in range(3)]
    assert [process.communicate(timeout=60)[1] for process in processes] == ["", "", ""]
    assert files_in(tmp_path) == []
