"""TensorFlow's remarks do not greet the user, and errors still show; each in a process that starts afresh."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
USE = """
from rnn_maturation.tensorflow1 import tf, tf1
with tf1.Session() as session:
    print(session.run(tf.add(1, 2)))
"""


def run(code, **environment):
    """Exit code, stdout and stderr of Python code in a new process."""
    clean = {key: value for key, value in os.environ.items() if key != "TF_CPP_MIN_LOG_LEVEL"}
    options = {"cwd": ROOT, "env": {**clean, **environment}, "capture_output": True, "text": True, "timeout": 100}
    result = subprocess.run([sys.executable, "-c", code], **options)
    return result.returncode, result.stdout, result.stderr


def test_tensorflow_starts_without_a_word():
    assert run(USE) == (0, "3\n", "")


def test_a_level_of_zero_shows_what_tensorflow_says():
    code, out, err = run(USE, TF_CPP_MIN_LOG_LEVEL="0")
    assert (code, out) == (0, "3\n") and "To enable the following instructions" in err or "oneDNN" in err


WRITE = """
import os
from rnn_maturation.tensorflow1 import without_remarks
with without_remarks():
    os.write(2, b"WARNING: All log messages before absl::InitializeLog() is called are written to STDERR\\n")
    os.write(2, b"I0000 00:00:1795568371.671168   10545 port.cc:153] oneDNN custom operations are on.\\n")
    os.write(2, b"E0000 00:00:1795568377.946146   10546 cuda.cc:52] a real error\\n")
    os.write(2, b"Illegal instruction\\n")
    {end}
os.write(2, b"I0000 afterwards\\n")
"""


@pytest.mark.skipif(os.name == "nt", reason="a process that is aborted has another exit code on Windows")
@pytest.mark.parametrize("end, code, last", [("pass", 0, ["I0000 afterwards"]), ("os.abort()", -6, [])])
def test_errors_pass_also_when_the_process_is_aborted(end, code, last):
    got, _, err = run(WRITE.format(end=end))
    assert got == code
    errors = ["E0000 00:00:1795568377.946146   10546 cuda.cc:52] a real error", "Illegal instruction"]
    assert err.splitlines() == [*errors, *last]


def test_a_failed_import_is_raised():
    code, _, err = run("import sys; sys.modules['tensorflow'] = None\nimport rnn_maturation.network")
    assert code == 1 and "ModuleNotFoundError" in err


def test_a_process_without_standard_error_stream_imports_it_too():
    code, out, _ = run("import os\nos.close(2)" + USE)
    assert (code, out) == (0, "3\n")
