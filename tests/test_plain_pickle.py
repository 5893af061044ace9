"""Pickles as strangers may write them: nothing in them may run, and the original's files must still be read."""

import builtins
import importlib
import io
import itertools
import json
import os
import pickle
import shutil
import struct
import subprocess
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
    "keys": {("odr", 3): 1, (1.5, ("fix1", None)): 2, np.float32(3): 3, b"b": 4, -(2**63): 5, 2**64 - 1: 6, None: 7},
    "members": ({("odr", 1), "gap", np.int64(4)}, frozenset(range(-9, 9)), set()),
    "without letters": (np.str_(""), np.bytes_(b"")),
    "shared_set": [frozenset([1])] * 2,
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


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_hundred_levels_are_read_and_written(protocol):
    content = np.arange(3.0)
    for kind in itertools.islice(itertools.cycle([list, tuple, dict]), 100):
        content = {1: content, 2: 2, 3: 3, 4: 4} if kind is dict else kind([content, 2, 3, 4])
    assert_same(read(pickle.dumps(content, protocol)), content)
    dump(content, io.BytesIO())
    with pytest.raises(ValueError, match="deeper than 100 levels"):
        dump([content], io.BytesIO())
    with pytest.raises(ValueError, match="deeper than 100 levels"):
        read(pickle.dumps([content], protocol))


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
    "nested deeply by what it has already": b"\x80\x02](" + b"q\x00h\x00]\x85" * 300 + b"e.",
    "assigns to an array": pickle.dumps(np.zeros(2), 5)[:-1] + b"K\x00K\x01s.",
    "fills an array of numpy's": pickle.dumps(np.zeros(2), 5)[:-1] + b")b.",
    "fills a list": b"](K\x01tb.",
    "adds to what is no list": b"\x80\x05\x96" + bytes(8) + b"K\x01a.",
    "a bytearray": pickle.dumps(bytearray(b"ab"), 5),
    "a key without value": b"(K\x01d.",
    "a complex number from text": b"c__builtin__\ncomplex\n(S'1'\nS'2'\ntR.",
    "a set of text": b"c__builtin__\nset\n(S'ab'\ntR.",
    "a call with a list": b"c__builtin__\nset\n]R.",
    "a call of text": b"S'os.system'\n(tR.",
    "a copied item": b"]2\x86.",
    "a dropped item": b"NN0.",
    "a long number as key": pickle.dumps({2**64: 1}),
    "complex numbers as keys": pickle.dumps({1j: 1}),
    "a frozenset as key": pickle.dumps({frozenset(): 1}),
    "a long tuple as key": pickle.dumps({tuple(range(16)): 1}),
    "keys of the same hash": pickle.dumps(dict.fromkeys(itertools.product((-1, -2), repeat=7))),
    "members of the same hash": pickle.dumps(set(itertools.product((-1, -2), repeat=7))),
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


@pytest.mark.parametrize(
    "raw",
    [
        b"cit\x1b[2J\nevil.x\n.",
        b"\x80\x04\x8c\x05it\x1b[2\x8c\x03\na\n\x93.",
        b"c" + b"x" * 10**6 + b"\nx\n.",
        b"c" + b"\x1b" * 10**6 + b"\nx\n.",
        b"cnumpy\ndtype\n(V\x1b[2J\ntR.",
        b"F\x1b[2J" + b"1" * 10**6 + b"\n.",
        b"\x80\x02cnumpy\ndtype\n(U\x02f4K\x00K\x01tR(K\x03)" + b"q\x00h\x00\x86" * 60 + b"NNNtb.",
    ],
)
def test_the_reason_is_short_and_does_not_steer_the_terminal(raw):
    with pytest.raises(ValueError) as caught:
        read(raw)
    assert str(caught.value).isprintable() and len(str(caught.value)) < 200


def test_the_reason_is_named():
    with pytest.raises(ValueError, match=r"it asks for '(posix|nt)\.system', not plain data"):
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


def number(length, format="<I"):
    return struct.pack(format, length)


def array_of(code, *shape, raw=b"U\x00", from_buffer=True):
    """A pickle of an array of a data type and shape, whatever they are."""
    shape = b"(" + b"".join(b"\x8a\x09" + n.to_bytes(9, "little") for n in shape) + b"t"
    data_type = b"cnumpy\ndtype\n(U" + bytes([len(code)]) + code + b"K\x00K\x01tR"
    if from_buffer:
        return b"\x80\x04" + FROM_BUFFER + b"(" + raw + data_type + shape + b"U\x01CtR."
    made = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00tU\x01btR"
    return b"\x80\x02" + made + b"(K\x01" + shape + data_type + b"I00\n" + raw + b"tb."


FROM_BUFFER = b"cnumpy._core.numeric\n_frombuffer\n"
DEEP = b")" + b"\x85" * 200_000  # a tuple in a tuple in a tuple ...
DOUBLED = b")" + b"q\x00h\x00\x86" * 60  # (t, t) of the t before it
LONG = b"B" + number(10**6) + b"a" * 10**6 + b"q\x00"
MANY = 1500
EXHAUSTING = {
    "a deep key": (b"\x80\x02}" + DEEP + b"K\x01s.", "deeper"),
    "a deep key of many": (b"\x80\x02}(" + DEEP + b"K\x01u.", "deeper"),
    "a deep key in protocol 0": (b"(" + DEEP + b"K\x01d.", "deeper"),
    "a deep member": (b"\x80\x04\x8f(" + DEEP + b"\x90.", "deeper"),
    "a deep member of a frozenset": (b"\x80\x04(" + DEEP + b"\x91.", "deeper"),
    "a deep member of Python 2's set": (b"\x80\x02c__builtin__\nset\n]" + DEEP + b"a\x85R.", "deeper"),
    "deep frozensets": (b"\x80\x04" + b"(" * 150 + b"\x91" * 150 + b".", "deeper"),
    "deep lists": (b"]" * 200_000 + b"a" * 199_999 + b".", "deeper"),
    "deep dicts": (b"}" + b"K\x01}" * 100_000 + b"s" * 100_000 + b".", "deeper"),
    "deep unfinished containers": (b"(" * 10**6, "deeper"),
    "a doubled key": (b"\x80\x02}" + DOUBLED + b"K\x01s.", "key"),
    "a doubled member": (b"\x80\x04\x8f(" + DOUBLED + b"\x90.", "key"),
    "a doubled member of a frozenset": (b"\x80\x04(" + DOUBLED + b"\x91.", "key"),
    "a doubled data type": (b"\x80\x02cnumpy\ndtype\n" + DOUBLED + b"\x85R.", "data type"),
    "a doubled shape": (b"\x80\x04" + FROM_BUFFER + b"(U\x00N" + DOUBLED + b"U\x01CtR.", "shape"),
    "a long key many times": (b"((" + b"N" * 10**5 + b"tq\x00" + b"}h\x00Ns" * MANY + b"t.", "key"),
    "a long number many times": (
        b"(\x8b" + number(10**6) + b"\x7f" * 10**6 + b"q\x00" + b"}h\x00Ns" * MANY + b"t.",
        "key",
    ),
    **{
        f"{length} of {code} {way}": (array_of(code, length, from_buffer=way), "cannot fill")
        for code, length in ((b"S0", 2 * 10**9), (b"U0", 5 * 10**8), (b"U000", 10**6))
        for way in (True, False)
    },
    "an axis beside an empty one": (array_of(b"f4", 0, 2**40), "cannot fill"),
    "axes beside an empty one": (array_of(b"f4", 2**20, 2**20, 0, from_buffer=False), "cannot fill"),
    "very long axes": (array_of(b"f4", 2**63, 2**62), "shape"),
    "very long texts": (array_of(b"U99999999999", 1), "data type"),
    "records without end": (array_of(b"(1000000000,)f4", 0), "data type"),
    "void": (array_of(b"V0", 2 * 10**9), "data type"),
    "memo 60 million": (b"\x80\x02Nr" + number(60_000_000) + b".", None),
    "memo 4 billion": (b"\x80\x02Nr" + number(0xFFFFFFF0) + b".", None),
    "memo 4 billion in text": (b"Np4294967280\n.", None),
    **{
        f"{what} of {length} bytes": (b"\x80\x05" + code + number(length, "<Q") + b".", "not a complete pickle")
        for what, code in (("bytes", b"\x8e"), ("text", b"\x8d"), ("bytearray", b"\x96"), ("frame", b"\x95"))
        for length in (2**31, 2**36, 2**64 - 1)
    },
    "bytes of 4 GB": (b"B\xff\xff\xff\xff.", "not a complete pickle"),
    "text of 4 GB": (b"X\xff\xff\xff\xff.", "not a complete pickle"),
    "text of Python 2 of 2 GB": (b"T\xff\xff\xff\x7f.", "not a complete pickle"),
    "number of 2 GB": (b"\x8b\xff\xff\xff\x7f.", "not a complete pickle"),
    "an array many times": (
        b"\x80\x04(" + LONG + (array_of(b"u1", 10**6, raw=b"h\x00")[2:-1]) * MANY + b"t.",
        "more memory than",
    ),
    "an array in old pickles many times": (
        b"\x80\x04(" + LONG + (array_of(b"u1", 10**6, raw=b"h\x00", from_buffer=False)[2:-1]) * MANY + b"t.",
        "more memory than",
    ),
    "a scalar many times": (
        b"("
        + LONG
        + b"cnumpy.core.multiarray\nscalar\n(cnumpy\ndtype\n(U\x08S1000000K\x00K\x01tRh\x00tR" * MANY
        + b"t.",
        "more memory than",
    ),
    "bytes from text many times": (
        b"(X" + number(10**6) + b"a" * 10**6 + b"q\x00" + b"c_codecs\nencode\n(h\x00U\x06latin1tR" * MANY + b"t.",
        "more memory than",
    ),
    "a set many times": (
        b"((" + b"N" * 10**5 + b"lq\x00" + b"c__builtin__\nset\n(h\x00tR" * 10**4 + b"t.",
        "more memory than",
    ),
    "arguments many times": (
        b"(cnumpy\ndtype\nq\x01(U\x02f4" + b"N" * 10**5 + b"tq\x00" + b"h\x01h\x00R" * 10**5 + b"t.",
        "call",
    ),
}
READ_EACH = """
import json, resource, sys
from rnn_maturation.plain_pickle import load
resource.setrlimit(resource.RLIMIT_AS, (10**9, 10**9))
for file in sys.argv[1:]:
    with open(file, "rb") as stream:
        try:
            answer = load(stream)
        except ValueError as error:
            answer = str(error)
    print(json.dumps(answer), flush=True)
"""


def test_no_file_exhausts_the_machine(tmp_path):
    """In a process of its own, which may crash, with 1 GB of memory and a minute."""
    pytest.importorskip("resource")
    files = [tmp_path / f"{number}.pkl" for number in range(len(EXHAUSTING))]
    for file, (raw, _) in zip(files, EXHAUSTING.values(), strict=True):
        file.write_bytes(raw)
    process = subprocess.run(
        [sys.executable, "-c", READ_EACH, *files],
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
        timeout=60,
    )
    answers = [json.loads(line) for line in process.stdout.splitlines()]
    for (name, (_, expected)), answer in zip(EXHAUSTING.items(), answers, strict=False):
        assert answer == expected or expected in answer, name
    assert process.returncode == 0 and len(answers) == len(files)


@pytest.mark.parametrize("content", [np.array([None]), np.zeros(1, "f4,f4"), [range(3)], {0: Reduce()}, np.ma.ones(2)])
def test_what_would_not_be_read_is_not_written(content):
    with pytest.raises(ValueError, match="not plain data"):
        dump(content, io.BytesIO())
