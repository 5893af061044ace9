"""Small runs, trained or put there, and looks at what happens to them."""

import contextlib
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

from processes import ROOT

from rnn_maturation.model_directory import load_log, save_log
from rnn_maturation.sweep.variants import COMMON

GOLDEN_RUN = ROOT / "tests" / "golden" / "run"  # the original's log, to .995 in 488,960 trials
TINY = {"n_rnn": 8, "batch_size_train": 4, "batch_size_test": 16, "target_perf": 1.0}
HP_OPTION = [f"{key}={value}" for key, value in TINY.items()]
LONG = 800  # trials of a tiny run that lasts some seconds
TRAINING_SCRIPT = ROOT / "Training_with_diff_HyperParameters.py"


def put_run(root, name, **changes):
    """The original's run as a model directory without checkpoints."""
    folder = Path(root) / name
    shutil.copytree(GOLDEN_RUN, folder)
    hp = json.loads((folder / "hp.json").read_text())
    (folder / "hp.json").write_text(json.dumps({**hp, **changes}))
    return folder


def cut(folder, n):
    """Take all but the first n evaluations out of a log."""
    log = load_log(folder)
    save_log({key: value[:n] if isinstance(value, list) else value for key, value in log.items()}, folder)


def change_log(folder, **changes):
    log = {**json.loads((folder / "log.json").read_text()), **changes}
    (folder / "log.json").write_text(json.dumps({key: values for key, values in log.items() if values != "no"}))


def wait_for(condition, limit=90):
    end = time.monotonic() + limit
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.02)


def evaluations(folder):
    """How many evaluations a run has logged."""
    with contextlib.suppress(OSError):
        return len(load_log(folder)["trials"])
    return 0


def processes_of(root):
    """This machine's processes that train below a folder, {number: command line}."""
    found = {}
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            command = path.read_bytes().decode(errors="replace")
            if "rnn_maturation.sweep.single_run" in command and str(root) in command:
                found[int(path.parent.name)] = command
    return found


def weights(folder):
    import tensorflow as tf

    reader = tf.train.load_checkpoint(str(folder / "model.ckpt"))
    return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}


def train_alone(directory, rules, max_trials, **settings):
    """The same run as a sweep's, in this process and not interrupted."""
    from rnn_maturation.train import train

    hp = {**COMMON, **TINY}
    train(directory, hp=hp, max_steps=max_trials // 4, rule_trains=rules, threads=1, **settings)


def assert_same_run(directory, expected):
    log, expected_log = load_log(directory), load_log(expected)
    for key in set(expected_log) - {"model_dir", "times"}:
        assert log[key] == expected_log[key], key
    last = str(expected_log["trials"][-1])
    found, wanted = weights(Path(directory) / last), weights(Path(expected) / last)
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        assert found[name].tobytes() == value.tobytes(), name


# ------------------------------------------------------------------------------------------------------- the table


def start_script(processes, *arguments, **settings):
    """Start Training_with_diff_HyperParameters.py as a shell does, in a session of its own."""
    command = [sys.executable, str(TRAINING_SCRIPT), *map(str, arguments)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    return processes.start(command, start_new_session=True, **pipes, **settings)
