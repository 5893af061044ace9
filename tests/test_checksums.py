"""One changed byte in a file is noticed, and other programs read the files as if there were no checksum."""

import json
import pickle
import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest

from rnn_maturation.hyperparameters import get_default_hp
from rnn_maturation.model_directory import load_hp, load_log, load_pickle, save_hp, save_log, save_pickle

HP = {**get_default_hp("all_new"), "seed": 1}
LOG = {"trials": [0, 64], "times": [0.5, 1.5], "perf_odr": [0.125, 0.75], "perf_min": [0.125, 0.75]}
INFO = {"exh_neurons": [(1, 0.03125, 4)], "firerate_loc_order": np.arange(16, dtype=np.float32).reshape(2, 8)}


def read_hp(file):
    return {key: value for key, value in load_hp(file.parent).items() if key != "rng"}


def read_log(file):
    return {key: value for key, value in load_log(file.parent).items() if key != "model_dir"}


def read_pickle(file):
    return {key: np.asarray(value).tolist() for key, value in load_pickle(file).items()}


READERS = {"hp.json": read_hp, "log.json": read_log, "info.pkl": read_pickle}


@pytest.fixture
def directory(tmp_path):
    save_hp(HP, tmp_path)
    save_log({**LOG, "model_dir": str(tmp_path)})
    save_pickle(tmp_path / "info.pkl", INFO)
    return tmp_path


def read_or_refused(file, expected):
    """Return whether a file is refused, or hp.json read with a warning; else it must be read as it was written."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert READERS[file.name](file) == expected
    except (ValueError, UserWarning) as error:
        assert isinstance(error, ValueError) or file.name == "hp.json"
        assert str(file) in str(error) and ("copy" in str(error) or "Delete it" in str(error))
        return True
    return False


@pytest.mark.parametrize("name", READERS)
def test_a_changed_byte_anywhere_is_noticed(directory, name):
    file = directory / name
    whole, expected, rng = file.read_bytes(), READERS[name](file), np.random.RandomState(0)
    n_refused = 0
    for position in range(len(whole)):
        damaged = bytearray(whole)
        damaged[position] ^= rng.randint(1, 256)
        file.write_bytes(damaged)
        n_refused += read_or_refused(file, expected)
    assert n_refused >= len(whole) - 5  # a pickle with a broken mark has no checksum, but all its numbers


@pytest.mark.parametrize("name", READERS)
def test_a_file_cut_anywhere_is_refused_unless_only_the_checksum_is_gone(directory, name):
    file = directory / name
    whole, expected = file.read_bytes(), READERS[name](file)
    n_refused = 0
    for length in range(len(whole)):
        file.write_bytes(whole[:length])
        n_refused += read_or_refused(file, expected)
    assert len(whole) - n_refused <= 32


def test_another_digit_is_refused_with_what_to_do(directory):
    file = directory / "log.json"
    file.write_bytes(file.read_bytes().replace(b"0.125", b"0.225", 1))
    with pytest.raises(ValueError, match="log.json has changed.*look plausible.*copy.*on purpose, delete the white"):
        load_log(directory)
    file.write_bytes(file.read_bytes().rstrip())
    assert load_log(directory)["perf_odr"] == [0.225, 0.75]


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_a_line_end_that_an_editor_adds_does_no_harm(directory, end):
    file = directory / "hp.json"
    file.write_bytes(file.read_bytes() + end)
    assert read_hp(file) == HP
    file.write_bytes(file.read_bytes().replace(b'"seed": 1', b'"seed": 2'))
    with pytest.warns(UserWarning, match="hp.json has changed since"):
        assert load_hp(directory)["seed"] == 2


def test_other_programs_read_the_files(directory):
    assert json.loads((directory / "hp.json").read_text()) == HP
    assert json.loads((directory / "log.json").read_text()) == {**LOG, "model_dir": str(directory)}
    with open(directory / "info.pkl", "rb") as stream:
        np.testing.assert_array_equal(pickle.load(stream)["firerate_loc_order"], INFO["firerate_loc_order"])


def test_files_of_other_programs_are_read(directory):
    (directory / "hp.json").write_text(json.dumps(HP, indent=1))
    (directory / "info.pkl").write_bytes(pickle.dumps(INFO, 2))
    assert read_hp(directory / "hp.json") == HP
    assert read_pickle(directory / "info.pkl")["exh_neurons"] == [[1, 0.03125, 4]]
    run = shutil.copytree(Path(__file__).parent / "golden" / "run", directory / "original")
    assert load_log(run)["trials"] == json.loads((run / "log.json").read_text())["trials"]


def test_large_arrays_too(tmp_path):
    """Longer than the piece of which the checksum is taken at a time."""
    activity, file = np.random.RandomState(0).rand(3, 200_000), tmp_path / "H_odr.pkl"
    save_pickle(file, activity)
    np.testing.assert_array_equal(load_pickle(file), activity)
    with open(file, "r+b") as stream:
        stream.seek(3_000_000)
        byte = stream.read(1)[0]
        stream.seek(3_000_000)
        stream.write(bytes([byte ^ 1]))
    with pytest.raises(ValueError, match="H_odr.pkl is damaged.*checksum is wrong.*Delete it"):
        load_pickle(file)
