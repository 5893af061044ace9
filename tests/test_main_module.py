"""`python -m rnn_maturation`, in processes of its own."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def check_installation(folder):
    """Run the check in a folder: (exit status, what it printed). TensorFlow's messages must not be among it."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    environment.pop("TF_CPP_MIN_LOG_LEVEL", None)
    ended = subprocess.run(
        [sys.executable, "-m", "rnn_maturation"],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert ended.stderr == ""
    return ended.returncode, ended.stdout


def test_bundled_network_works():
    status, text = check_installation(ROOT)
    assert status == 0, text
    assert text.count("as logged   (") == 6
    assert "processor cores: " in text and "tensorflow " in text


def test_network_that_does_not_perform_as_logged_is_told(tmp_path):
    copy = tmp_path / "data" / "6tasks_pretrained"
    copy.mkdir(parents=True)
    for name in ("hp.json", "449280"):
        source = ROOT / "data" / "6tasks_pretrained" / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, copy / name)
    log = json.loads((ROOT / "data" / "6tasks_pretrained" / "log.json").read_text())
    log["perf_gap"][-1] = 0.5
    (copy / "log.json").write_text(json.dumps(log))
    status, text = check_installation(tmp_path)
    assert status == 1
    assert text.count("NOT AS LOGGED") == 1 and text.count(" as logged   (") == 5
    (weights,) = (copy / "449280").glob("*.data-*")
    weights.write_bytes(weights.read_bytes()[:1000])
    status, text = check_installation(tmp_path)
    assert (
        status == 1 and "The bundled network cannot be read" in text and "449280" in text.split("cannot be read")[1]
    ), text


def test_elsewhere_it_says_where_to_run_it(tmp_path):
    status, text = check_installation(tmp_path)
    assert status == 1 and "Run this command in the folder of the program" in text
