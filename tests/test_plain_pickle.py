"""Pickles as strangers may write them: nothing in them may run, and the original's files must still be read."""

import builtins
import importlib
import io
import os
import pickle
import shutil
import struct
import sys

import numpy as np
import pytest

from rnn_maturation.plain_pickle import dump, load

CONTENT = {
    "selective_neurons": [(np.int64(3), np.float64(0.01), 2), (4, None, 0)],
    "activity": np.arange(24, dtype=np.float32).reshape(2, 3, 4),
    "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "transposed": np.arange(24.0).reshape(2, 3, 4).transpose(1, 2, 0),
    "big_endian": np.arange(5, dtype=">i4"),
    "empty": np.zeros((0, 8)),
    "scalar_array": np.array(2.5),
    "flags": np.array([True, False]),
    "complex": np.array([1 + 2j]),
    "names": np.array(["odr", "é"]),
    "bytes": (b"", b"\x00\xff", np.array([b"\xff\x01"])),
    "builtins": (None, True, 10**30, 0.5, 1j, "é", {1, 2}, frozenset([3])),
    "epoch_info": {"fix1": (None, 50), "go1": (150, None)},
}


def read(raw):
    return load(io.BytesIO(raw))


def assert_same(got, want):
    assert type(got) is type(want)
    if isinstance(want, np.ndarray):
        assert got.dtype.newbyteorder("=") == want.dtype.newbyteorder("=") and got.flags.writeable
        np.testing.assert_array_equal(got, want)
    elif isinstance(want, dict):
        assert list(got) == list(want)
        for key in want:
            assert_same(got[key], want[key])
    elif isinstance(want, list | tuple):
        assert len(got) == len(want)
        for mine, theirs in zip(got, want, strict=True):
            assert_same(mine, theirs)
    else:
        assert got == want


# ------------------------------------------------------------------------------------------------------- what is read


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_every_protocol_is_read(protocol):
    assert_same(read(pickle.dumps(CONTENT, protocol)), CONTENT)


@pytest.mark.parametrize("protocol", range(4))
@pytest.mark.parametrize("core", [b"numpy.core", b"numpy._core"])
def test_numpy_1_and_numpy_2_are_read(protocol, core):
    raw = pickle.dumps(CONTENT, protocol).replace(b"numpy._core", b"numpy.core").replace(b"numpy.core", core)
    assert core + b".multiarray" in raw
    assert_same(read(raw), CONTENT)


def python_2_array(values):
    """An array as numpy under Python 2 wrote it: texts and raw bytes alike are byte strings."""
    raw, length = values.tobytes(), bytes([len(values)])
    return (
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00tU\x01btR(K\x01K" + length + b"\x85"
        b"cnumpy\ndtype\n(U\x02" + values.dtype.str[1:].encode() + b"K\x00K\x01tR"
        b"(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
        b"I00\nU" + bytes([len(raw)]) + raw + b"tb"
    )


def test_python_2_is_read():
    rates = np.array([-1.7, 0.1, 2.5e9], dtype="<f4")
    scalar = (
        b"cnumpy.core.multiarray\nscalar\n(cnumpy\ndtype\n(U\x02f8K\x00K\x01tR(K\x03U\x01<NNNJ\xff\xff\xff\xff"
        b"J\xff\xff\xff\xffK\x00tbU\x08" + struct.pack("<d", -0.3) + b"tR"
    )
    some_set = b"c__builtin__\nset\n((lK\x01aK\x02atR"
    raw = b"\x80\x02}(U\x05rates" + python_2_array(rates) + b"U\x01p" + scalar + b"U\x03\xe9\xe8s" + some_set + b"u."
    got = read(raw)
    assert list(got) == ["rates", "p", "éès"]
    assert_same(got["rates"], rates)
    assert_same(got["p"], np.float64(-0.3))
    assert got["éès"] == {1, 2}


def test_what_is_written_is_read_here_and_by_the_original():
    file = io.BytesIO()
    dump(CONTENT, file)
    assert_same(read(file.getvalue()), CONTENT)
    assert_same(pickle.loads(file.getvalue()), CONTENT)


def test_an_array_that_is_there_twice_stays_one():
    array, units = np.zeros(3), [1, 2]
    got = read(pickle.dumps([array, units, units, array]))
    assert got[0] is got[3] and got[1] is got[2]


def test_containers_within_containers_do_not_multiply():
    content = ()
    for _ in range(60):  # 2^60 when each is walked each time
        content = (content, content)
    assert len(read(pickle.dumps(content))) == 2


# ---------------------------------------------------------------------------------------------------- what is refused


class Reduce:
    """Pickles as a call."""

    def __init__(self, *call):
        self.call = call

    def __reduce__(self):
        return self.call


@pytest.fixture
def trap(tmp_path, monkeypatch):
    """A folder in which a marker file appears when a pickle gets anything to run."""
    (tmp_path / "evil_module.py").write_text("open('marker', 'w').close()\ndef function(*_): pass\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.invalidate_caches()
    yield tmp_path
    assert "evil_module" not in sys.modules
    assert not (tmp_path / "marker").exists()


TOUCH = b"S'touch marker'\n"
ATTACKS = {
    "reduce os.system": pickle.dumps(Reduce(os.system, ("touch marker",))),
    "reduce open": pickle.dumps(Reduce(builtins.open, ("marker", "w"))),
    "reduce exec": pickle.dumps([1, {"a": Reduce(builtins.exec, ("open('marker', 'w')",))}]),
    "reduce eval in an array's place": pickle.dumps({"H": Reduce(builtins.eval, ("open('marker', 'w')",))}, 2),
    "reduce __import__": pickle.dumps(Reduce(builtins.__import__, ("evil_module",))),
    "reduce import_module": pickle.dumps(Reduce(importlib.import_module, ("evil_module",))),
    "reduce rmtree": pickle.dumps(Reduce(shutil.rmtree, (".",))),
    "reduce getattr": pickle.dumps(Reduce(getattr, (CONTENT, "clear"))),
    "reduce numpy.load": pickle.dumps(Reduce(np.load, ("x.npy", None, True))),
    "reduce memmap": pickle.dumps(Reduce(np.memmap, ("marker", "u1", "w+", 0, (1,)))),
    "reduce ndarray.tofile": pickle.dumps(Reduce(np.ndarray.tofile, (np.zeros(1), "marker"))),
    "global os.system": b"cposix\nsystem\n(" + TOUCH + b"tR.",
    "global alone": b"cposix\nsystem\n.",
    "global imports a module": b"cevil_module\nfunction\n.",
    "global imports a submodule": b"cevil_module.x\nfunction\n(tR.",
    "stack global": b"\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c\x0ctouch marker\x85R.",
    "stack global with a dotted name": b"\x80\x04\x8c\x05numpy\x8c\x10ndarray.__init__\x93.",
    "stack global through an allowed module": b"\x80\x04\x8c\x05numpy\x8c\x09os.system\x93\x8c\x0ctouch marker\x85R.",
    "inst": b"(" + TOUCH + b"iposix\nsystem\n.",
    "obj": b"(cposix\nsystem\n" + TOUCH + b"o.",
    "newobj": b"\x80\x02cposix\nsystem\n" + TOUCH + b"\x85\x81.",
    "newobj ex": b"\x80\x04cposix\nsystem\n" + TOUCH + b"\x85}\x92.",
    "persistent id": b"Ptouch marker\n.",
    "extension": b"\x80\x02\x82\x01.",
    "next buffer": b"\x80\x05\x97.",
    "build calls a __setstate__": b"\x80\x02cevil_module\nfunction\n)\x81}U\x01aK\x01sb.",
    "build on the stand-in of a function": b"cnumpy.core.multiarray\nscalar\n}S'__call__'\nI1\nsb.",
    "build with slots on it": b"\x80\x02cnumpy.core.multiarray\nscalar\nN}U\x08__call__K\x01s\x86b.",
    "build on the stand-in of a class": b"\x80\x02cnumpy\nndarray\nN}U\x05arrayK\x01s\x86b.",
    "build on a builtin class": b"\x80\x02c__builtin__\nset\nN}U\x03addK\x01s\x86b.",
    "a class": b"cnumpy\nndarray\n.",
    "a data type": pickle.dumps(np.dtype("f4")),
    "an array never filled": b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR.",
    "an array of objects": pickle.dumps(np.array([{}, None])),
    "an array of records": pickle.dumps(np.zeros(2, "f4,O")),
    "an array of dates": pickle.dumps(np.zeros(2, "M8[s]")),
    "a data type that claims fields": pickle.dumps(np.zeros(2), 2).replace(b"NNN", b"N(X\x01\x00\x00\x00at}", 1),
    "an array shorter than its shape": pickle.dumps(np.zeros(2), 2).replace(b"K\x02\x85", b"K\x7f\x85", 1),
    "a codec": b"c_codecs\nencode\n(S'x'\nS'zip'\ntR.",
    "bytes of any length": b"c__builtin__\nbytes\n(I1000000000000\ntR.",
    "a class of this package": b"crnn_maturation.task\nTrial\n.",
    "a range": pickle.dumps(range(3)),
    "an instance": pickle.dumps(Reduce(Reduce, ())),
    "itself": b"\x80\x02]q\x00h\x00a.",
    "nested deeper than can be walked": b"(" * 100000 + b"t" * 100000 + b".",
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_refused_and_not_run(attack, trap):
    with pytest.raises(ValueError):
        read(ATTACKS[attack])


@pytest.mark.parametrize("attack", ["reduce os.system", "global os.system", "global imports a module"])
def test_the_traps_would_catch(attack, tmp_path, monkeypatch):
    """The same pickles, read in the ordinary way, do what is refused above."""
    (tmp_path / "evil_module.py").write_text("open('marker', 'w').close()\ndef function(*_): pass\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.invalidate_caches()
    pickle.loads(ATTACKS[attack])
    sys.modules.pop("evil_module", None)
    assert (tmp_path / "marker").exists()


def test_the_reason_is_named():
    with pytest.raises(ValueError, match=r"it asks for (posix|nt)\.system, not plain data"):
        read(ATTACKS["reduce os.system"])


def test_every_truncation_is_an_error():
    raw = pickle.dumps(CONTENT, 4)
    for length in range(len(raw)):
        with pytest.raises(ValueError):
            read(raw[:length])


def test_flipped_bytes_are_an_error_or_plain_data():
    raw, rng = pickle.dumps(CONTENT, 4), np.random.RandomState(0)
    for position in rng.randint(0, len(raw), 500):
        changed = bytearray(raw)
        changed[position] ^= 1 << rng.randint(8)
        try:
            content = read(bytes(changed))
        except ValueError:
            continue
        dump(content, io.BytesIO())  # refuses what is not plain data


@pytest.mark.parametrize("content", [np.array([None]), np.zeros(1, "f4,f4"), [range(3)], {0: Reduce()}, np.ma.ones(2)])
def test_what_would_not_be_read_is_not_written(content):
    with pytest.raises(ValueError, match="not plain data"):
        dump(content, io.BytesIO())
