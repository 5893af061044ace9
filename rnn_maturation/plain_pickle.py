"""Pickles of numpy arrays and builtin containers, and of nothing else.

A pickle is a program: reading one in the ordinary way runs whatever its author wrote into it, and pickles of model
directories are passed between people. Here a pickle can only call the few stand-ins below, which never touch numpy's
own `__setstate__` (a forged data type there reaches into memory), and what it made is checked value by value.
Files written with numpy 1 and 2 and with Python 2 are read.

Behind the pickle `dump` writes a checksum, where `pickle.load` no longer looks: a damaged number would be a number too.
"""

import math
import os
import pickle
import re
import struct
import zlib

import numpy as np

KINDS = "biufcSU"  # numpy's letters for bool, integers, floats, complex and text: types that hold no Python objects
LEAVES = (type(None), bool, int, float, complex, str, bytes)
BUILTINS = "builtins", "__builtin__"  # today's name and Python 2's
CORES = "core", "_core"  # numpy 1's name and numpy 2's
TRAILER = struct.Struct("<5sI")  # behind the pickle: a mark and the CRC-32 of all before it
MARK = b"crc32"


def dump(content, file):
    """Write `content` to a binary file.

    Raises
    ------
    ValueError
        If it has something that `load` would refuse.
    """
    summed = _Summed(file)
    pickle.dump(_plain(content, {}), summed)
    file.write(TRAILER.pack(MARK, summed.checksum))


def load(file):
    """Return the content of a pickle from a binary file, which begins with it; files without checksum are read too.

    Raises
    ------
    ValueError
        If it is damaged, or asks for anything but numpy arrays, numpy scalars and builtin containers. Nothing in it
        has been executed then.
    OSError
        If the file cannot be read.
    """
    try:
        _check_sum(file)
        return _plain(_Unpickler(file, encoding="latin1").load(), {})
    except OSError:
        raise
    except Exception as error:  # a broken pickle can raise anything, from EOFError to MemoryError
        raise ValueError(str(error) or type(error).__name__) from error


class _Summed:
    """A file to write to that keeps the checksum of what was written."""

    def __init__(self, file):
        self._file, self.checksum = file, 0

    def write(self, data):
        self.checksum = zlib.crc32(data, self.checksum)
        return self._file.write(data)


def _check_sum(file):
    """Refuse a file whose checksum is not that of its content; then stand at its beginning again."""
    length = file.seek(0, os.SEEK_END) - TRAILER.size
    if length > 0:
        file.seek(length)
        mark, expected = TRAILER.unpack(file.read())
        file.seek(0)
        if mark == MARK and _sum_of(file, length) != expected:
            raise ValueError("its checksum is wrong")
    file.seek(0)


def _sum_of(file, length):
    checksum, piece = 0, bytearray(1 << 20)
    while length > 0:
        n_read = file.readinto(memoryview(piece)[: min(length, len(piece))])
        if not n_read:
            raise ValueError("it became shorter while it was read")
        checksum, length = zlib.crc32(memoryview(piece)[:n_read], checksum), length - n_read
    return checksum


class _Unpickler(pickle.Unpickler):
    def find_class(self, module, name):
        try:
            return _ALLOWED[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, not plain data") from None


class _DataType:
    """Stands for numpy.dtype while a pickle is read."""

    __slots__ = ("code", "order")

    def __init__(self, code, *_align_and_copy):
        if not re.fullmatch(f"[{KINDS}][0-9]+", code):
            raise pickle.UnpicklingError(f"it asks for the data type {code!r}, not numbers or text")
        self.code, self.order = code, "="

    def __setstate__(self, state):
        _version, order, *fields = state[:5]
        if order not in ("<", ">", "|", "=") or any(field is not None for field in fields):
            raise pickle.UnpicklingError(f"it asks for the data type {state!r}, not numbers or text")
        self.order = order

    def array(self, shape, raw, order="C"):
        dtype = np.dtype(self.order + self.code)
        raw = raw.encode("latin1") if isinstance(raw, str) else raw
        if math.prod(shape) * dtype.itemsize != len(raw):
            raise pickle.UnpicklingError(f"{len(raw)} bytes cannot fill an array of shape {shape} and type {dtype}")
        return np.ndarray(shape, dtype, buffer=raw, order=order).copy("K")


class _Array:
    """Stands for an array that a pickle makes first and fills later."""

    __slots__ = ("array",)

    def __init__(self, *_empty_array):
        self.array = None

    def __setstate__(self, state):
        shape, data_type, is_fortran, raw = state[-4:]
        self.array = data_type.array(shape, raw, "F" if is_fortran else "C")


class _Scalar:
    """Stands for the function that makes a numpy scalar.

    As with the next two, an object without attributes: a function has some, and a pickle could set them.
    """

    __slots__ = ()

    def __call__(self, data_type, raw):
        return data_type.array((), raw)[()]


class _FromBuffer:
    """Stands for the function that makes an array in pickles of protocol 5."""

    __slots__ = ()

    def __call__(self, raw, data_type, shape, order, axes=None):
        if axes is None:
            return data_type.array(shape, raw, order)
        return data_type.array(shape, raw).transpose(axes)


class _Latin1:
    """Stands for `_codecs.encode` and `bytes`, with which Python 3 writes bytes in old protocols."""

    __slots__ = ()

    def __call__(self, text="", encoding="latin1"):
        if encoding != "latin1":
            raise pickle.UnpicklingError(f"it asks for the encoding {encoding!r}")
        return text.encode("latin1")


_ALLOWED = {
    **{(builtins, kind.__name__): kind for builtins in BUILTINS for kind in (set, frozenset, complex)},
    **{(builtins, "bytes"): _Latin1() for builtins in BUILTINS},
    **{(f"numpy.{core}.multiarray", "_reconstruct"): _Array for core in CORES},
    **{(f"numpy.{core}.multiarray", "scalar"): _Scalar() for core in CORES},
    **{(f"numpy.{core}.numeric", "_frombuffer"): _FromBuffer() for core in CORES},
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _DataType,
    ("_codecs", "encode"): _Latin1(),
}


def _plain(value, done):
    """Return `value` with the arrays in the place of their stand-ins; refuse what is neither array nor builtin."""
    if type(value) in LEAVES:
        return value
    if isinstance(value, np.generic) or type(value) is np.ndarray:
        if value.dtype.kind in KINDS:
            return value
    elif id(value) in done:  # a container that is there many times is made once
        return done[id(value)][1]
    elif type(value) is dict:
        return _remember(value, {_plain(k, done): _plain(v, done) for k, v in value.items()}, done)
    elif type(value) in (list, tuple, set, frozenset):
        return _remember(value, type(value)(_plain(item, done) for item in value), done)
    elif type(value) is _Array and value.array is not None:
        return value.array
    raise ValueError(f"it has a {type(value).__name__}, not plain data")


def _remember(value, result, done):
    done[id(value)] = value, result  # value too: kept alive, its id stays its own
    return result
