"""Write and read pickles that contain numpy arrays and builtin containers, and nothing else.

A pickle is a program: `pickle.load` runs any code that its author put into it, and model directories with pickles are
passed from person to person. The reader in this module knows only the instructions and the few functions that plain
data need. It never calls numpy's own `__setstate__`, which a forged data type could use to reach into memory. While a
pickle is read, nothing is hashed, and no object is made that is larger than the file could contain. All values are
checked before sets and dicts are made from them. Therefore time and memory are in proportion to the length of the file,
whatever its content is. Files written with numpy 1 and 2 and with Python 2 can be read.

`dump` writes a checksum after the end of the pickle, which `pickle.load` does not read. Without a checksum, a corrupted
file could yield plausible values.
"""

import math
import os
import pickle
import re
import struct
import zlib
from collections import Counter

import numpy as np

KINDS = "biufcSU"  # numpy's letters for bool, integers, floats, complex and text: types that hold no Python objects
LEAVES = (type(None), bool, int, float, complex, str, bytes)
DEEPEST = 100  # levels of containers within containers
TOO_DEEP = f"it is nested deeper than {DEEPEST} levels"
KEY_PARTS = 16  # largest number of parts of a tuple that is a key of a dict or a member of a set, nested ones included
SAME_HASH = 100  # keys of one dict or set that may share a hash; more of them make it quadratically slow
LARGEST_EMPTY = 10**6  # largest number of elements of an empty array if its axes of length 0 had length 1
BUILTINS = "builtins", "__builtin__"  # the module's names in Python 3 and Python 2
CORES = "core", "_core"  # the package's names in numpy 1 and numpy 2
TRAILER = struct.Struct("<5sI")  # after the pickle: a mark and the CRC-32 of all before it
MARK = b"crc32"


def dump(content, file):
    """Write a pickle and its checksum to a binary file.

    Parameters
    ----------
    content : object
        Numpy arrays and scalars, numbers, text, and builtin containers of them.
    file : binary file
        Open for writing.

    Raises
    ------
    ValueError
        If the content has something that `load` does not accept.
    """
    summed = _Summed(file)
    pickle.dump(_plain(content, {}), summed)
    file.write(TRAILER.pack(MARK, summed.checksum))


def load(file):
    """Return the content of the pickle at the beginning of a binary file; a file without a checksum is read too.

    Parameters
    ----------
    file : binary file
        Open for reading, and seekable.

    Returns
    -------
    object
        Numpy arrays and scalars, numbers, text, and builtin containers of them.

    Raises
    ------
    ValueError
        If the pickle is damaged, contains anything but numpy arrays, numpy scalars and builtin containers, or would
        take too much memory or time. In each case nothing in it has been executed.
    OSError
        If the file cannot be read.
    """
    try:
        return _plain(_Reader(file, _check_sum(file)).load(), {})
    except (OSError, _Refused):
        raise
    except Exception as error:  # a broken pickle can raise anything, from EOFError to MemoryError
        raise _Refused(f"it is not a complete pickle ({type(error).__name__})") from error


class _Refused(ValueError):
    """A reason in this module's words, because messages of other errors may quote the file at any length."""


class _Summed:
    """A file to write to that computes the checksum of what is written."""

    def __init__(self, file):
        self._file, self.checksum = file, 0

    def write(self, data):
        self.checksum = zlib.crc32(data, self.checksum)
        return self._file.write(data)


def _check_sum(file):
    """Return the length of a file and go back to its beginning; refuse the file if its checksum is wrong."""
    whole_length = file.seek(0, os.SEEK_END)
    length = whole_length - TRAILER.size
    if length > 0:
        file.seek(length)
        mark, expected = TRAILER.unpack(file.read())
        file.seek(0)
        if mark == MARK and _sum_of(file, length) != expected:
            raise _Refused("its checksum is wrong")
    file.seek(0)
    return whole_length


def _sum_of(file, length):
    checksum, piece = 0, bytearray(1 << 20)
    while length > 0:
        n_read = file.readinto(memoryview(piece)[: min(length, len(piece))])
        if not n_read:
            raise _Refused("it became shorter while it was read")
        checksum, length = zlib.crc32(memoryview(piece)[:n_read], checksum), length - n_read
    return checksum


class _Bounded:
    """A file that refuses to read more bytes than it has, because their memory is allocated before they are read."""

    def __init__(self, file, length):
        self._file, self._length, self.readline = file, length, file.readline

    def read(self, n_bytes):
        if n_bytes > self._length:
            raise EOFError
        return self._file.read(n_bytes)


INHERITED = b"".join(
    getattr(pickle, name)
    for name in (
        "PROTO FRAME STOP NONE NEWTRUE NEWFALSE INT BININT BININT1 BININT2 LONG LONG1 LONG4 FLOAT BINFLOAT STRING "
        "BINSTRING SHORT_BINSTRING BINBYTES SHORT_BINBYTES BINBYTES8 UNICODE BINUNICODE SHORT_BINUNICODE BINUNICODE8 "
        "EMPTY_TUPLE TUPLE TUPLE1 TUPLE2 TUPLE3 EMPTY_LIST LIST GLOBAL STACK_GLOBAL GET BINGET LONG_BINGET PUT BINPUT "
        "LONG_BINPUT MEMOIZE"
    ).split()
)  # instructions taken from the pickle module: none of them makes more data than it contains


class _Dict(list):
    """Stands for a dict while a pickle is read: keys and values in turn, not hashed."""

    __slots__ = ()


class _Set(list):
    """Stands for a set."""

    __slots__ = ()


class _FrozenSet(list):
    """Stands for a frozenset."""

    __slots__ = ()


class _Reader(pickle._Unpickler):
    """The unpickler written in Python, because its instructions can be chosen; the one in C hashes what it reads.

    Arrays are read as fast as in C: they take one instruction each.
    """

    def __init__(self, file, length):
        super().__init__(_Bounded(file, length), encoding="latin1")
        self._left = 2 * length  # protocol 2 stores bytes as text; bytes and then an array are made from it

    def charge(self, n_bytes):
        """Count the bytes that functions make, because a few bytes in the file can request a copy of a long value."""
        self._left -= n_bytes
        if self._left < 0:
            raise _Refused("it would take more memory than a file of its length can need")

    def find_class(self, module, name):
        try:
            return _ALLOWED[module, name]
        except KeyError:
            raise _Refused(f"it asks for {_shown(f'{module}.{name}')}, not plain data") from None

    def _refuse(self):
        raise _Refused("it has an instruction that plain data does not need")

    def _mark(self):
        if len(self.metastack) > 2 * DEEPEST:  # an array takes two marks
            raise _Refused(TOO_DEEP)
        self.load_mark()

    def _reduce(self):
        arguments = self.stack.pop()
        if type(arguments) is not tuple or len(arguments) > 5:
            raise _Refused("it has a call that plain data does not need")
        self.stack[-1] = self.stack[-1](self, *arguments)

    def _build(self):
        state = self.stack.pop()
        if type(self.stack[-1]) not in (_Array, _DataType):
            raise _Refused("it fills an object that is not an array")
        self.stack[-1].fill(self, state)

    def _extend(self, kind, items):
        if type(self.stack[-1]) is not kind:
            raise _Refused("it adds items to an object that is not a suitable container")
        self.stack[-1].extend(items)

    def _append(self):
        self._extend(list, [self.stack.pop()])

    def _set_item(self):
        value, key = self.stack.pop(), self.stack.pop()
        self._extend(_Dict, (key, value))

    def _push(self, value):
        self.stack.append(value)

    def _byte_array(self):
        (length,) = struct.unpack("<Q", self.read(8))
        self._push(memoryview(self.read(length)))  # arrays are made of it; as a value it is refused

    _own = {
        pickle.MARK: _mark,
        pickle.REDUCE: _reduce,
        pickle.BUILD: _build,
        pickle.APPEND: _append,
        pickle.APPENDS: lambda self: self._extend(list, self.pop_mark()),
        pickle.EMPTY_DICT: lambda self: self._push(_Dict()),
        pickle.DICT: lambda self: self._push(_Dict(self.pop_mark())),
        pickle.SETITEM: _set_item,
        pickle.SETITEMS: lambda self: self._extend(_Dict, self.pop_mark()),
        pickle.EMPTY_SET: lambda self: self._push(_Set()),
        pickle.ADDITEMS: lambda self: self._extend(_Set, self.pop_mark()),
        pickle.FROZENSET: lambda self: self._push(_FrozenSet(self.pop_mark())),
        pickle.BYTEARRAY8: _byte_array,
    }
    dispatch = dict.fromkeys(range(256), _refuse)
    dispatch.update((code, pickle._Unpickler.dispatch[code]) for code in INHERITED)
    dispatch.update((code[0], instruction) for code, instruction in _own.items())


def _shown(text):
    """Return a short quotation of what the file says, without characters that could control the terminal."""
    if type(text) is not str:
        return f"of a {type(text).__name__}"
    quoted = ascii(text[:60])
    return quoted if len(quoted) <= 62 else quoted[:60] + "..."


class _DataType:
    """Stands for numpy.dtype while a pickle is read."""

    __slots__ = ("code", "order")

    def __init__(self, _reader, code, _align=False, _copy=True):
        if type(code) is not str or not re.fullmatch(f"[{KINDS}][0-9]{{1,9}}", code[:11]):
            raise _Refused(f"it asks for the data type {_shown(code)}, not numbers or text")
        self.code, self.order = code, "="

    def fill(self, _reader, state):
        _version, order, *fields = state[:5]
        if order not in ("<", ">", "|", "=") or any(field is not None for field in fields):
            raise _Refused("it asks for a data type with fields, not numbers or text")
        self.order = order


def _make_array(reader, data_type, shape, raw, order="C"):
    if type(data_type) is not _DataType or type(raw) not in (str, bytes, memoryview) or not _is_shape(shape):
        raise _Refused("it has an array without data type, shape or content")
    reader.charge(len(raw))
    raw = raw.encode("latin1") if type(raw) is str else raw
    dtype = np.dtype(data_type.order + data_type.code)
    if math.prod(shape) * dtype.itemsize != len(raw) or not _is_bounded(shape, dtype.itemsize):
        raise _Refused(f"{len(raw)} bytes cannot fill an array of shape {shape} and type {dtype}")
    return np.ndarray(shape, dtype, buffer=raw, order=order).copy("K")


def _is_shape(shape):
    return type(shape) is tuple and len(shape) <= 64 and all(type(n) is int and 0 <= n < 2**63 for n in shape)


def _is_bounded(shape, itemsize):
    """Return whether an array that takes no bytes (an axis of length 0, or empty strings) is not too large."""
    if 0 in shape:
        return math.prod(n or 1 for n in shape) <= LARGEST_EMPTY
    return itemsize > 0 or math.prod(shape) == 1


class _Array:
    """Stands for an array that a pickle makes first and fills later."""

    __slots__ = ("array",)

    def __init__(self, _reader, _kind, _shape, _code):
        self.array = None

    def fill(self, reader, state):
        shape, data_type, is_fortran, raw = state[-4:]
        self.array = _make_array(reader, data_type, shape, raw, "F" if is_fortran else "C")


def _make_scalar(reader, data_type, raw):
    return _make_array(reader, data_type, (), raw)[()]


def _from_buffer(reader, raw, data_type, shape, order, axes=None):
    """Make an array of a pickle of protocol 5."""
    if order not in ("C", "F", "K"):
        raise _Refused("it has an array of an unknown order")
    if axes is None:
        return _make_array(reader, data_type, shape, raw, order)
    return _make_array(reader, data_type, shape, raw).transpose(axes)


def _encode(reader, text="", encoding="latin1"):
    """Stand for `_codecs.encode` and `bytes`, with which Python 3 writes bytes in old protocols."""
    if type(text) is not str or encoding != "latin1":
        raise _Refused("it asks for an encoding, not plain data")
    reader.charge(len(text))
    return text.encode("latin1")


def _make_complex(_reader, real, imaginary):
    if type(real) is not float or type(imaginary) is not float:
        raise _Refused("it has a complex number that is not made from two numbers")
    return complex(real, imaginary)


def _make_set(reader, items=()):
    return _set_of(_Set, reader, items)


def _make_frozen_set(reader, items=()):
    return _set_of(_FrozenSet, reader, items)


def _set_of(kind, reader, items):
    if type(items) not in (list, tuple):
        raise _Refused("it has a set that is not made from a list")
    reader.charge(len(items))
    return kind(items)


_ALLOWED = {
    **{(builtins, "set"): _make_set for builtins in BUILTINS},
    **{(builtins, "frozenset"): _make_frozen_set for builtins in BUILTINS},
    **{(builtins, "complex"): _make_complex for builtins in BUILTINS},
    **{(builtins, "bytes"): _encode for builtins in BUILTINS},
    **{(f"numpy.{core}.multiarray", "_reconstruct"): _Array for core in CORES},
    **{(f"numpy.{core}.multiarray", "scalar"): _make_scalar for core in CORES},
    **{(f"numpy.{core}.numeric", "_frombuffer"): _from_buffer for core in CORES},
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _DataType,
    ("_codecs", "encode"): _encode,
}
_MADE_AS = {_Dict: dict, dict: dict, _Set: set, set: set, _FrozenSet: frozenset, frozenset: frozenset}
_MADE_AS |= {list: list, tuple: tuple}


def _plain(value, done, room=DEEPEST):
    """Return a value with arrays and containers in place of their stand-ins; refuse all that is not plain data."""
    kind = type(value)
    if kind in LEAVES:
        return value
    if isinstance(value, np.generic) or kind is np.ndarray:
        if value.dtype.kind in KINDS and _is_bounded(value.shape, value.itemsize):
            return value
    elif kind in _MADE_AS:
        if id(value) not in done:  # a container that occurs many times is made only once
            done[id(value)] = _container(value, done, room)
        _, result, height = done[id(value)]
        if height > room:
            raise _Refused(TOO_DEEP)
        return result
    elif kind is _Array and value.array is not None:
        return value.array
    raise _Refused(f"it has an object of type {kind.__name__}, not plain data")


def _container(value, done, room):
    """Return the value (kept alive so that no other gets its id), the plain container, and its number of levels."""
    if not room:
        raise _Refused(TOO_DEEP)
    parts = [part for item in value.items() for part in item] if type(value) is dict else value
    made = [_plain(part, done, room - 1) for part in parts]
    height = 1 + max((done[id(part)][2] for part in parts if id(part) in done), default=0)
    return value, _assembled(_MADE_AS[type(value)], made), height


def _assembled(kind, parts):
    if kind is dict:
        _check_keys(parts[::2])
        return dict(zip(parts[::2], parts[1::2], strict=True))
    if kind in (set, frozenset):
        _check_keys(parts)
    return parts if kind is list else kind(parts)


def _check_keys(keys):
    """Refuse keys of dicts and members of sets that take long to hash or to tell apart."""
    for key in keys:
        _check_key(key)
    if len(keys) > SAME_HASH and max(Counter(map(hash, keys)).values()) > SAME_HASH:
        raise _Refused("it has a dict or a set with too many keys of the same hash")


def _check_key(key):
    parts = [key]
    for part in parts:
        if type(part) is tuple and len(parts) + len(part) <= KEY_PARTS:
            parts.extend(part)
        elif not _is_simple(part):
            raise _Refused("it has a key that is not text, a number of 64 bits or a tuple of a few of them")


def _is_simple(key):
    if isinstance(key, int):
        return -(2**63) <= key < 2**64  # longer ones are hashed anew each time
    return key is None or isinstance(key, (str, bytes, float, np.integer, np.floating, np.bool_))
