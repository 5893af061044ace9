"""A small run, and what is compared of runs: the tests of training and of resuming share it."""

import json

from rnn_maturation.model_directory import load_log
from rnn_maturation.tensorflow1 import tf

HP = {
    "n_rnn": 16,
    "batch_size_train": 16,
    "batch_size_test": 32,
    "activation": "softplus",
    "learning_rate": 0.002,
    "target_perf": 1,
}
RULES = ["overlap", "zero_gap"]
SETTINGS = {"hp": HP, "display_step": 3, "rule_trains": RULES, "seed": 3, "threads": 1}
STEPS = 8  # of the whole run, which so ends between two evaluations
TRIALS = [0, 48, 96]  # of its checkpoints
INTERRUPTED = "interrupted"


def state(folder):
    return json.loads((folder / "training_state.json").read_text())


def tensors(folder):
    reader = tf.train.load_checkpoint(str(folder / "model.ckpt"))
    return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}


def variables(folder):
    return {name: value for name, value in tensors(folder).items() if "Adam" not in name and "power" not in name}


def files(directory):
    """Every file and folder in a directory, hidden ones too, relative to it."""
    return sorted(str(path.relative_to(directory)) for path in directory.rglob("*"))


def contents(directory):
    return {name: (directory / name).read_bytes() for name in files(directory) if (directory / name).is_file()}


def assert_same_tensors(folder, expected_folder):
    values, expected = tensors(folder), tensors(expected_folder)
    assert values.keys() == expected.keys()
    for name, value in values.items():
        assert value.tobytes() == expected[name].tobytes(), name


def assert_same_run(directory, expected):
    """The same to the last bit, apart from the times in the log; and no file more."""
    assert files(directory) == files(expected)
    assert (directory / "hp.json").read_bytes() == (expected / "hp.json").read_bytes()
    log, expected_log = load_log(directory), load_log(expected)
    assert len(log.pop("times")) == len(expected_log.pop("times"))
    assert {**log, "model_dir": None} == {**expected_log, "model_dir": None}
    for folder in [path for path in expected.iterdir() if path.is_dir()]:
        assert state(directory / folder.name) == state(folder)
        assert_same_tensors(directory / folder.name, folder)


def same_state(saved, rng):
    """Whether a generator is where a checkpoint has it."""
    name, keys, *rest = saved["rng"]
    expected = rng.get_state()
    return (name, *rest) == (expected[0], *expected[2:]) and keys == expected[1].tolist()
