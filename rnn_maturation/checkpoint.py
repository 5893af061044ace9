"""Write, read and slim checkpoint folders.

A folder appears complete or not at all: it is written under a temporary name, flushed to disk and then renamed. It has
small text files that the caller adds, and the files of a TensorFlow checkpoint, which TensorFlow 1 and the original
program can read too:

    checkpoint, model.ckpt.index, model.ckpt.data-00000-of-00001, model.ckpt.meta

Until it is slimmed, a slimmable checkpoint also has variables.ckpt.index
and variables.ckpt.data-00000-of-00001. These files lack the optimizer's state; slimming puts them in the place of the
files of model.ckpt.
"""

import contextlib
import errno
import os
import shutil
import tempfile
from pathlib import Path

from rnn_maturation.files import refuse_link
from rnn_maturation.model_directory import CHECKPOINT_NAME
from rnn_maturation.tensorflow1 import tf, tf1

VARIABLES_NAME = "variables.ckpt"
WRITE_ERRORS = {
    tf.errors.RESOURCE_EXHAUSTED: errno.ENOSPC,
    tf.errors.PERMISSION_DENIED: errno.EACCES,
    tf.errors.NOT_FOUND: errno.ENOENT,
}


def read_checkpoint(folder):
    """Read all arrays of a checkpoint; the checksums of the format are verified.

    Parameters
    ----------
    folder : str or Path

    Returns
    -------
    dict
        ``{name: array}``

    Raises
    ------
    FileNotFoundError
        If there is no checkpoint.
    ValueError
        If it is damaged.
    """
    folder = Path(folder)
    prefix = folder / CHECKPOINT_NAME
    if not prefix.with_name(f"{CHECKPOINT_NAME}.index").exists():
        raise FileNotFoundError(
            f"no checkpoint in {folder}: the file {CHECKPOINT_NAME}.index is missing; give the folder of a checkpoint, "
            "such as data/6tasks/1280, or the trial number of one"
        )
    try:
        if tf.io.gfile.glob(f"{prefix}.index"):
            return _arrays(prefix)
        with tempfile.TemporaryDirectory() as copy:  # TensorFlow reads the path as a pattern, where [ is special
            for file in folder.glob(f"{CHECKPOINT_NAME}.*"):
                shutil.copy(file, copy)
            return _arrays(Path(copy) / CHECKPOINT_NAME)
    except (tf.errors.OpError, RuntimeError, ValueError, SystemError, IndexError) as error:  # IndexError: too short
        raise ValueError(
            f"the checkpoint {prefix} is damaged ({str(error).splitlines()[0][:120]}): delete the folder {folder} and "
            "restore another trial number, or give the training command again, which resumes from the last complete "
            "checkpoint"
        ) from error


def _arrays(prefix):
    reader = tf.train.load_checkpoint(str(prefix))
    return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}


def difference(stored, variables):
    """Describe how the arrays of a checkpoint differ from the variables of a network.

    Parameters
    ----------
    stored : dict
        ``{name: array}``, see `read_checkpoint`.
    variables : list of variables
        Variables of the network, without those of the optimizer.

    Returns
    -------
    str
        Empty if the checkpoint has every variable, with the right shape, and no other weights.
    """
    names = [v.op.name for v in variables]
    missing = [name for name in names if name not in stored]
    if missing:
        return f"it has no {', '.join(missing)}"
    weights = [name for name in stored if name.endswith(("kernel", "bias", "weights", "biases"))]
    unknown = [name for name in weights if name not in names]
    if unknown:
        return f"it has {', '.join(unknown)}, which this network lacks"
    shapes = [(v.op.name, stored[v.op.name].shape, tuple(v.shape)) for v in variables]
    return ", ".join(f"{name} has shape {there}, but {here} in hp" for name, there, here in shapes if there != here)


def slim_checkpoint(folder):
    """Remove the optimizer's state from a slimmable checkpoint; leave any other folder as it is.

    The folder holds a complete checkpoint at every moment: the short index is moved first, and it is also valid for the
    long data file, because that file begins with the variables of the network.

    Raises
    ------
    ValueError
        If the folder is a link.
    """
    refuse_link(folder)
    for part in ("index", "data-00000-of-00001"):
        with contextlib.suppress(FileNotFoundError):
            os.replace(Path(folder) / f"{VARIABLES_NAME}.{part}", Path(folder) / f"{CHECKPOINT_NAME}.{part}")


class CheckpointWriter:
    """Write checkpoints of the network in the default graph; its operations are added to the graph once.

    Parameters
    ----------
    variables : list of variables
        Variables of the network. They come first in the data file, in this order.
    slots : list of variables
        State of the optimizer.
    saver : tf.compat.v1.train.Saver
        Writes the description of the graph, model.ckpt.meta.
    """

    def __init__(self, variables, slots, saver):
        self._saver = saver
        self._prefix = tf1.placeholder(tf.string, [], "prefix")
        self._write_all = self._write_operation(variables + slots)
        self._write_variables = self._write_operation(variables)
        self._meta_file = None  # of the last checkpoint

    def _write_operation(self, variables):
        """Return an operation that writes variables in this order; a Saver writes them in alphabetical order."""
        names, whole = [variable.op.name for variable in variables], [""] * len(variables)
        return tf.raw_ops.SaveV2(prefix=self._prefix, tensor_names=names, shape_and_slices=whole, tensors=variables)

    def write(self, folder, files=None, slimmable=False):
        """Write a checkpoint of the default session's values; the folder appears complete or not at all.

        Parameters
        ----------
        folder : str or Path
        files : dict, optional
            ``{name: text}``, small text files to write into the folder, too.
        slimmable : bool
            Also write what `slim_checkpoint` needs.

        Raises
        ------
        OSError
            If the disk is full or the folder is not writable. The message names the folder and the remedy.
        ValueError
            If the folder is a link.
        """
        folder = Path(folder)
        refuse_link(folder)
        with _write_errors(folder):
            folder.parent.mkdir(parents=True, exist_ok=True)
            aside = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}-"))
            try:
                self._write_files(aside, files or {}, slimmable)
                _move_into_place(aside, folder)
            finally:
                shutil.rmtree(aside, ignore_errors=True)
        self._meta_file = folder / f"{CHECKPOINT_NAME}.meta"

    def _write_files(self, folder, files, slimmable):
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(folder, 0o777 & ~umask)  # mkdtemp makes folders that others cannot read
        session = tf1.get_default_session()
        session.run(self._write_all, {self._prefix: str(folder / CHECKPOINT_NAME)})
        if slimmable:
            session.run(self._write_variables, {self._prefix: str(folder / VARIABLES_NAME)})
        state = f'model_checkpoint_path: "{CHECKPOINT_NAME}"\nall_model_checkpoint_paths: "{CHECKPOINT_NAME}"\n'
        (folder / "checkpoint").write_text(state)  # relative, so that folders can be moved
        for name, text in files.items():
            (folder / name).write_text(text)
        for path in folder.iterdir():
            _force_to_disk(path)
        meta = folder / f"{CHECKPOINT_NAME}.meta"
        try:  # all checkpoints have the same description of the graph: it is written once, and then linked
            os.link(self._meta_file, meta)
        except (OSError, TypeError):  # no earlier checkpoint, or it was removed, or the disk has no links
            self._saver.export_meta_graph(str(meta))
            _force_to_disk(meta)


def _force_to_disk(path):
    with open(path, "r+b") as file:  # Windows can do this only for files open for writing
        os.fsync(file.fileno())


def _move_into_place(aside, folder):
    """Rename a folder to its final name; if this folder exists, move the files into it, the index last."""
    try:
        os.rename(aside, folder)
    except OSError:
        for stale in folder.glob(f"{VARIABLES_NAME}.*"):
            stale.unlink()
        for path in sorted(aside.iterdir(), key=lambda path: path.suffix == ".index"):
            os.replace(path, folder / path.name)


@contextlib.contextmanager
def _write_errors(folder):
    """Turn the errors of TensorFlow and the system for a failed write into one error with a remedy."""
    try:
        yield
    except tf.errors.FailedPreconditionError:  # a variable has no value: not an error of the disk
        raise
    except (OSError, tf.errors.OpError) as error:
        number = error.errno if isinstance(error, OSError) else WRITE_ERRORS.get(error.error_code, errno.EIO)
        raise OSError(
            number,
            f"{str(error).splitlines()[0][:120]}: the checkpoint was not written; an earlier one is unchanged. Check "
            "the free space on the disk, and that the parent folder exists and is writable; then give the same command "
            "again",
            str(folder),
        ) from error
