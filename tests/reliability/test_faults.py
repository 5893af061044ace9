"""Faults as they happen to long runs and to directories that are passed on: damage, full disks, lost folders.

    python -m pytest tests/reliability -m slow

Kills (200 in a training run) are in tests/test_resume.py: `python -m pytest tests/test_resume.py -m slow -k killed`.
"""

import contextlib
import errno
import io
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from rnn_maturation.analysis import Get_H, compute_H, gen_task_info, generate_neuron_info, plot_PSTH, seldir_analysis
from rnn_maturation.analysis.conditions import task_info
from rnn_maturation.analysis.selectivity import load_neuron_info
from rnn_maturation.files import atomic_write
from rnn_maturation.model_directory import load_hp, load_log, save_hp, save_log
from rnn_maturation.network import Model, session_config
from rnn_maturation.train import train

resource = pytest.importorskip("resource", reason="Windows has no limits on file sizes")
pytestmark = pytest.mark.slow

RULE, EPOCH, TRIAL = "gap", "stim1", 4
SETTINGS = {
    "hp": {"n_rnn": 12, "batch_size_train": TRIAL, "batch_size_test": 16, "target_perf": 1, "activation": "softplus"},
    "rule_trains": [RULE], "display_step": 1, "seed": 3, "threads": 1,
}  # fmt: skip
N_DAMAGES = 500  # of each file
CHECKPOINT = f"{TRIAL}/model.ckpt"
H_FILE, INFO_FILE = f"{TRIAL}/H_{RULE}.pkl", f"{TRIAL}/neuron_info_{RULE}_{EPOCH}.pkl"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A small run with every kind of file."""
    directory = tmp_path_factory.mktemp("run") / "run"
    train(directory, max_steps=1, **SETTINGS)
    hp, log = load_hp(directory), load_log(directory)
    gen_task_info(hp, log, directory, [RULE])
    compute_H(hp, log, directory, [RULE])
    generate_neuron_info(hp, directory, [EPOCH], log["trials"], [RULE], abs_active_thresh=0, paired_ttest_p=1,
                         annova_p_value=1)  # fmt: skip
    return directory


@pytest.fixture
def run(made, tmp_path, monkeypatch):
    """A copy of it, and a working directory for figures."""
    monkeypatch.chdir(tmp_path)
    return shutil.copytree(made, tmp_path / "run")


# ------------------------------------------------------------------------------------------------------------- damage


def weights_of(model, folder):
    with tf.compat.v1.Session(graph=model.h.graph, config=session_config(1)) as sess:
        model.restore(folder)
        return sess.run(model.var_list)


def hp_without_warning(directory):
    """Read hp.json; ValueError when it is read with a warning that its checksum is wrong, because users edit it."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            return load_hp(directory)
        except UserWarning as warning:
            raise ValueError(warning) from warning


def readers(directory):
    """{file: a function that reads it as users do}"""
    hp = load_hp(directory)
    model = Model(directory, hp=hp)
    without_rng = {key: value for key, value in hp.items() if key != "rng"}
    return {
        f"{CHECKPOINT}.index": lambda: weights_of(model, directory / str(TRIAL)),
        f"{CHECKPOINT}.data-00000-of-00001": lambda: weights_of(model, directory / str(TRIAL)),
        "hp.json": lambda: {key: value for key, value in hp_without_warning(directory).items() if key in without_rng},
        "log.json": lambda: load_log(directory),
        "task_info.pkl": lambda: task_info(hp, directory, RULE),
        H_FILE: lambda: Get_H(hp, directory, TRIAL, RULE),
        INFO_FILE: lambda: load_neuron_info(directory, TRIAL, RULE, EPOCH),
    }


def damage(file, rng):
    """Change one byte or cut the file, anywhere; in half of the cases among the last 64 bytes or the first ones."""
    whole = file.read_bytes()
    at_an_end = rng.rand() < 0.5
    position = rng.randint(len(whole))
    if at_an_end:
        position = rng.choice([position % 64, len(whole) - 1 - position % 64])
    if rng.rand() < 0.4:
        file.write_bytes(whole[:position])
        return f"cut at {position}"
    changed = bytearray(whole)
    changed[position] ^= rng.randint(1, 256)
    file.write_bytes(changed)
    return f"byte {position} changed"


def test_no_damage_gives_a_wrong_number(run):
    """500 times each a byte changed or a file cut: refused with its name and a remedy, or all numbers are right."""
    rng, n_refused = np.random.RandomState(0), {}
    read = readers(run)
    expected = {name: read[name]() for name in read}
    for name in list(read) * N_DAMAGES:
        whole = (run / name).read_bytes()
        what = f"{name}, {damage(run / name, rng)}"
        try:
            np.testing.assert_equal(read[name](), expected[name], err_msg=what)
        except (ValueError, FileNotFoundError) as error:
            n_refused[name] = n_refused.get(name, 0) + 1
            named = str((run / name).parent if name.startswith(CHECKPOINT) else run / name)
            assert named in str(error) and "\n" not in str(error), f"{what}: {error}"
            assert any(remedy in str(error) for remedy in ("elete", "from a copy", "give the folder")), what
        (run / name).write_bytes(whole)
    print(f"refused of {N_DAMAGES} each:", n_refused)
    assert all(n_refused[name] > 0.7 * N_DAMAGES for name in read)


# ---------------------------------------------------------------------------------------------------------- full disk


@contextlib.contextmanager
def disk_that_takes(n_bytes):
    """No file may become longer, as on a disk that is full then; what is printed may go to a file too."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, limits[1]))
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)


def checkpoint_again(run):
    model = Model(run)
    with tf.compat.v1.Session(config=session_config(1)):
        model.restore(run / str(TRIAL))
        model.save(run / str(TRIAL))


def neuron_info_again(run):
    generate_neuron_info(load_hp(run), run, [EPOCH], [TRIAL], [RULE], recompute=True)


def figure(run):
    plot_PSTH(load_hp(run), load_log(run), run, RULE, EPOCH, [TRIAL], ["exh_neurons", "mix_neurons"])


WRITES = {  # what is written: how, and the length at which the disk is full
    "hp.json": (lambda run: save_hp(load_hp(run), run), 100),
    "log.json": (lambda run: save_log(load_log(run)), 100),
    f"{TRIAL}": (checkpoint_again, 1000),
    H_FILE: (lambda run: compute_H(load_hp(run), None, run, [RULE], [TRIAL], recompute=True), 1000),
    INFO_FILE: (neuron_info_again, 500),
    "PSTH.png": (figure, 5000),
}


def contents(directory):
    return {path: path.read_bytes() for path in Path(directory).rglob("*") if path.is_file()}


@pytest.mark.parametrize("name", WRITES)
def test_a_full_disk_is_named_and_costs_nothing_that_was_there(run, name, tmp_path):
    write, n_bytes = WRITES[name]
    before = contents(run)
    with disk_that_takes(n_bytes), pytest.raises(OSError) as error:
        write(run)
    assert error.value.errno in (errno.EFBIG, errno.ENOSPC, errno.EIO)
    assert name in str(error.value) and "\n" not in str(error.value)
    assert "free space" in str(error.value) or "Make room" in str(error.value)
    assert contents(run) == before
    assert not list(tmp_path.rglob(".partial-*"))
    write(run)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # zipfile tries again to close
def test_a_table_that_does_not_fit_is_named(run):
    """Written as `seldir_analysis` does; its figures are longer, so that a limit would stop it before the table."""
    table = seldir_analysis(run, RULE, EPOCH, RULE, EPOCH, [TRIAL], ["selective_neurons"])
    file = next(Path("figure").rglob("*seldir_analysis.xlsx"))
    before = contents("figure")
    with disk_that_takes(1000), pytest.raises(OSError, match="free space.*xlsx"), atomic_write(file) as temporary:
        table.to_excel(temporary)
    assert contents("figure") == before


# -------------------------------------------------------------------------------------------- folders that are not ours


READ_ONLY = """
import os, sys
from rnn_maturation.train import train
if os.geteuid() == 0:
    os.setuid(65534)  # the administrator may write everywhere
try:
    train(sys.argv[1], max_steps=2, rule_trains=["gap"])
except OSError as error:
    print("refused:", error)
"""


@pytest.mark.parametrize("where", ["run", "parent"])
def test_a_read_only_directory_is_named_and_left_as_it_is(run, where):
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(shutil.copytree(run, Path(folder) / "run"))
        os.chmod(copy, 0o555)
        os.chmod(folder, 0o555)
        target = copy if where == "run" else Path(folder) / "new"
        before = contents(folder)
        done = subprocess.run([sys.executable, "-c", READ_ONLY, target], capture_output=True, text=True, timeout=300,
                              env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])})  # fmt: skip
        assert "refused:" in done.stdout and str(target) in done.stdout, done.stderr
        assert contents(folder) == before
        os.chmod(folder, 0o755)
        os.chmod(copy, 0o755)


def test_a_directory_taken_away_ends_the_run_and_does_not_begin_another(server, tmp_path):
    directory, away = tmp_path / "run", tmp_path / "away"
    process = server.start({"model_dir": directory, "max_steps": 10**6, **SETTINGS}, tmp_path / "out")
    deadline = time.time() + 120
    while not (directory / str(TRIAL)).exists() and time.time() < deadline:
        time.sleep(0.02)
    os.rename(directory, away)
    assert server.wait(process) == 1
    out = (tmp_path / "out").read_text()  # it may be taken away between two writes or within one
    assert f"{directory} was removed or renamed" in out or re.search(
        f"that the (parent )?folder exists.*'{directory}", out
    )
    assert not directory.exists()
    os.rename(away, directory)
    last = load_log(directory)["trials"][-1]
    train(directory, max_steps=last // TRIAL + 2, **SETTINGS)
    assert load_log(directory)["trials"][-1] == last + 2 * TRIAL
