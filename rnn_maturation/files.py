"""Write files that appear complete or not at all, read and write JSON files with a checksum, and lock directories.

A file is written under a temporary name, flushed to disk and then renamed. The checksum of a JSON file is encoded as
whitespace after its last bracket, which other programs ignore. JSON files without a checksum can be read too.
"""

import json
import os
import platform
import re
import secrets
import time
import zlib
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np

if os.name == "nt":
    import msvcrt
else:
    import fcntl

PARTIAL = ".partial"  # first part of the names of files that are being written
LOCK_FILE = ".lock"
CHECKSUM_DIGITS = 32  # binary digits of a CRC-32
WHITESPACE = bytes.maketrans(b"01", b" \t")  # a binary digit of the checksum becomes a space or a tab


class ModelDirectoryInUse(RuntimeError):
    """Another process uses the model directory."""


# ------------------------------------------------------------------------------------------------------------- writing


@contextmanager
def atomic_write(path):
    """Write a file so that it appears complete or not at all.

    At the end of the block the new file is flushed to disk and renamed. If the block or the disk fails, the new file is
    removed and an earlier file at `path` is unchanged. The folder must exist.

    Parameters
    ----------
    path : str or Path

    Yields
    ------
    Path
        Where to write the content: a temporary name in the folder of `path`, with the same suffix.

    Raises
    ------
    OSError
        If the file cannot be written. The error has the type of its cause; the message names the file and the remedy.
    """
    path = Path(path)
    temporary = path.with_name(f"{PARTIAL}-{_machine()}@{os.getpid()}-{secrets.token_hex(4)}-{path.name}")
    try:
        yield temporary
        _force_to_disk(temporary)
        os.replace(temporary, path)
        _force_to_disk(path.parent)
    except OSError as error:
        raise OSError(
            error.errno,
            f"{error.strerror or error}: the file was not written; an earlier file of this name is unchanged. Check "
            "the free space on the disk, and that the folder exists and is writable; then give the same command again",
            str(path),
        ) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def make_folder(folder):
    """Create a folder and its parents if they do not exist.

    Raises
    ------
    OSError
        If it cannot be created, for example because a file has this name. The message names the path and the remedy.
    """
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = f"{error.strerror}: give the path of a folder, or a new name in a folder that is writable"
        raise OSError(error.errno, reason, str(folder)) from error


def _force_to_disk(path):
    if os.name == "nt" and path.is_dir():
        return  # Windows cannot do this to a folder, and does not need it
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def refuse_link(path):
    """Raise a ValueError if `path` in a model directory is a link, through which files elsewhere could be changed."""
    if Path(path).is_symlink():
        raise ValueError(
            f"{path} is a link to {os.readlink(path)!r}. This program writes through no link in a model directory: "
            "replace the link by a copy of what it leads to, or delete it."
        )


def open_no_link(path, flags):
    """Open a file unless it is a link; used as the argument `opener` of `open`."""
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0), 0o666)


# ---------------------------------------------------------------------------------------------------------------- JSON


def read_json(file):
    """Read a JSON object.

    Parameters
    ----------
    file : Path

    Returns
    -------
    content : dict
    is_as_written : bool
        False if the checksum does not match the content, because the file was damaged or edited by hand.

    Raises
    ------
    ValueError
        If the file does not hold a JSON object. The message names the file and the remedy.
    """
    raw = file.read_bytes()
    text = raw.rstrip()
    checksum = raw[len(text) :].rstrip(b"\r\n")  # an editor may have added a line end
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise damaged(file, error) from error
    if not isinstance(content, dict):
        raise damaged(file, "not a JSON object")
    return content, len(checksum) != CHECKSUM_DIGITS or checksum == _checksum(text)


def write_json(file, content):
    """Write a dict as JSON with a checksum; numpy numbers and arrays become numbers and lists.

    Raises
    ------
    ValueError
        If the content cannot be saved as JSON. An earlier file is then unchanged.
    """
    try:
        text = json.dumps(content, default=_jsonable).encode()
    except (TypeError, ValueError) as error:
        raise ValueError(f"{file} was not written: {error}. Use numbers, strings, lists and dicts.") from error
    with atomic_write(file) as temporary:
        temporary.write_bytes(text + _checksum(text))


def damaged(file, what):
    """Return the error for a file whose content is wrong in some way."""
    return ValueError(f"{file} is damaged ({what}). Restore it from a copy, or train this model again.")


def _checksum(text):
    return f"{zlib.crc32(text):0{CHECKSUM_DIGITS}b}".encode().translate(WHITESPACE)


def _jsonable(value):
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    raise TypeError(f"an object of type {type(value).__name__} cannot be saved in a JSON file")


# --------------------------------------------------------------------------------------------------------------- locks


@contextmanager
def lock(directory):
    """Lock a directory against other processes of this program; create the directory if it does not exist.

    The operating system frees the lock when the process ends, even if it is killed. Incomplete files of killed
    processes are removed.

    Parameters
    ----------
    directory : str or Path

    Raises
    ------
    ModelDirectoryInUse
        If another process has the lock. The message names the directory and the process.
    """
    directory = Path(directory)
    make_folder(directory)
    file = _locked_file(directory)
    try:
        for pattern in (f"{PARTIAL}-*", f"*/{PARTIAL}-*"):
            for partial in directory.glob(pattern):
                machine, _, process = partial.name.removeprefix(f"{PARTIAL}-").split("-")[0].rpartition("@")
                if machine in ("", _machine()) and process.isdecimal() and not _is_running(int(process)):
                    partial.unlink(missing_ok=True)
        yield
    finally:
        is_ours = _is_at(file, directory / LOCK_FILE)
        if os.name == "nt":
            file.close()  # Windows does not remove an open file
        if is_ours:
            with suppress(OSError):
                (directory / LOCK_FILE).unlink()
        file.close()


def is_locked(directory):
    """Return whether a process holds the lock of a directory; a lock file alone may be left from a killed process."""
    with suppress(OSError), open(Path(directory) / LOCK_FILE, "rb+") as file:
        try:
            _lock_file(file)  # freed at once
        except (BlockingIOError, PermissionError):
            return True
    return False


def _locked_file(directory):
    """Open and lock the lock file, and write the ID of this process into it."""
    path = directory / LOCK_FILE
    while True:
        refuse_link(path)
        file = open(path, "a+", opener=open_no_link)
        try:
            _lock_file(file, patience=0.05)
        except (BlockingIOError, PermissionError) as error:
            file.seek(0)
            owner = file.read().strip() or "unknown"
            file.close()
            raise ModelDirectoryInUse(
                f"{directory} is in use by another process (ID {owner}). Wait until it ends, or end it."
            ) from error
        if _is_at(file, path):  # if not, another process removed it after we had opened it
            file.truncate(0)
            file.write(f"{os.getpid()}\n")
            file.flush()
            return file
        file.close()


def _lock_file(file, patience=0):
    if patience:
        with suppress(BlockingIOError, PermissionError):
            return _lock_file(file)
        time.sleep(patience)  # `is_locked` in another process may hold the lock for a moment
    if os.name == "nt":
        file.seek(1000)  # after the text, because Windows does not let others read the locked part
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
    else:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _is_at(file, path):
    try:
        return os.path.samestat(os.fstat(file.fileno()), os.stat(path))
    except FileNotFoundError:
        return False


def _machine():
    """Return the name of this machine, because other machines may write to the same directory."""
    return re.sub("[^A-Za-z0-9.]", "_", platform.node())


def _is_running(process):
    if os.name == "nt":
        return True  # asking with signal 0, as below, would end the process there
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True
