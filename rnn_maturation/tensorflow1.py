"""TensorFlow as this package uses it: with graphs and sessions as in TensorFlow 1, without its start-up messages.

Importing this module imports TensorFlow and switches eager execution off. While it is imported, TensorFlow writes
messages about oneDNN, CUDA and the processor to the standard error stream. TF_CPP_MIN_LOG_LEVEL does not suppress those
that are written before TensorFlow's log is set up. This module filters these messages out; errors are still shown. With
``TF_CPP_MIN_LOG_LEVEL=0`` in the environment everything is shown.
"""

import contextlib
import os
import subprocess
import sys

# Log lines of the levels INFO and WARNING, "I0000 00:00:1700000000.123456 ...", and the unmarked lines between them.
_REMARKS = rb"[IW]\d{4} \d\d:|WARNING: All log messages before absl|To enable the following instructions"
_FILTER = f"""
import re, sys
for line in sys.stdin.buffer:
    if not re.match({_REMARKS!r}, line):
        sys.stderr.buffer.write(line)
        sys.stderr.buffer.flush()
"""


@contextlib.contextmanager
def without_remarks():
    """Remove TensorFlow's remarks from the standard error stream of this process, until the end of the block.

    A second process filters the stream, so that the last error messages are shown even if the import aborts this one.
    """
    try:
        stderr = os.dup(2)
    except OSError:  # this process has no standard error stream
        yield
        return
    command = [str(sys.executable), "-I", "-S", "-c", _FILTER]
    try:
        remarks = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)
    except OSError:  # no interpreter, or no more processes
        os.close(stderr)
        yield
        return
    os.dup2(remarks.stdin.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        remarks.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):  # a process begun meanwhile may still write to it
            remarks.wait(timeout=5)


# Level 3 shows fatal errors only. Errors that stop a computation are raised as exceptions at every level. Level 2 would
# also show harmless errors, such as a failed search for a graphics card on a machine that has none.
if os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3") == "0" or "tensorflow" in sys.modules:
    import tensorflow as tf
else:
    with without_remarks():
        import tensorflow as tf

tf1 = tf.compat.v1
tf1.disable_eager_execution()
tf1.disable_control_flow_v2()  # loops are faster if the executor runs them directly
