"""The notebook: runs from top to bottom, uses public functions only, is stored small and clean; its address is set."""

import ast
import importlib
import json
import runpy
import shutil
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

import rnn_maturation.analysis

ROOT = Path(__file__).parent.parent
NOTEBOOK = ROOT / "RNN_BrainMaturation.ipynb"
MOST_BYTES = 1_000_000
TIMEOUT = 600  # s a cell; the whole takes less than four minutes on two free cores


@pytest.fixture(scope="module")
def notebook():
    return nbformat.read(NOTEBOOK, as_version=4)


def code_of(notebook):
    return "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "code")


def test_is_valid_and_small(notebook):
    nbformat.validate(notebook)
    assert NOTEBOOK.stat().st_size < MOST_BYTES
    assert 'TRAINING = "reduced"' in code_of(notebook) and "USE_DRIVE = False" in code_of(notebook)


def test_stored_outputs_are_clean(notebook):
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert sum("image/png" in output.get("data", {}) for output in outputs) >= 12
    assert not [output for output in outputs if output.output_type == "error" or output.get("name") == "stderr"]
    text = json.dumps([output.get("text") or output["data"].get("text/markdown") for output in outputs])
    assert "/home/" not in text and "/tmp/" not in text and "/root/" not in text and "Traceback" not in text
    assert all("execution" not in cell.metadata for cell in notebook.cells)


def test_uses_public_functions_only(notebook):
    tree = ast.parse(code_of(notebook))
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module.startswith("rnn_maturation"):
            module = importlib.import_module(node.module)
            assert all(hasattr(module, name.name) and not name.name.startswith("_") for name in node.names)
        if isinstance(node, ast.Attribute):
            assert not node.attr.startswith("_")
            if isinstance(node.value, ast.Name) and node.value.id == "analysis":
                assert node.attr in rnn_maturation.analysis.__all__


def test_every_figure_has_a_sentence(notebook):
    cells = notebook.cells
    for cell, following in zip(cells, cells[1:], strict=False):
        if cell.cell_type == "code" and "show(" in cell.source and "def show" not in cell.source:
            assert following.cell_type == "markdown" and not following.source.startswith("#")


@pytest.mark.slow
def test_runs_from_top_to_bottom(notebook, tmp_path):
    """As in a fresh copy of the repository: python -m pytest -m slow tests/test_notebook.py"""
    (tmp_path / "rnn_maturation").symlink_to(ROOT / "rnn_maturation", target_is_directory=True)
    shutil.copy(ROOT / "requirements.txt", tmp_path)
    ignored = shutil.ignore_patterns("*.pkl", ".lock")
    shutil.copytree(ROOT / "data" / "6tasks_pretrained", tmp_path / "data" / "6tasks_pretrained", ignore=ignored)
    executed = NotebookClient(
        nbformat.from_dict(notebook), timeout=TIMEOUT, kernel_name="python3", resources={"metadata": {"path": tmp_path}}
    ).execute()
    outputs = [output for cell in executed.cells for output in cell.get("outputs", [])]
    assert sum("image/png" in output.get("data", {}) for output in outputs) >= 12
    reports = [output.data["text/markdown"] for output in outputs if "text/markdown" in output.get("data", {})]
    assert len(reports) == 1 and "findings:" in reports[0] and reports[0].count("reproduced |") > 10
    assert (tmp_path / "figure" / "figure_6tasks_pretrained" / "report.html").exists()
    assert (tmp_path / "data" / "reduced" / "log.json").exists()


# ------------------------------------------------------------------------------------------------------------ address


@pytest.mark.parametrize(
    "origin",
    [
        "https://github.com/owner/name.git",
        "https://user:secret@github.com/owner/name",
        "git@github.com:owner/name.git",
        "ssh://git@github.com:22/owner/name.git/",
    ],
)
def test_address_of_an_origin(origin):
    address = runpy.run_path(str(ROOT / ".ci" / "address"))
    assert address["public_address"](origin) == "https://github.com/owner/name"


@pytest.mark.parametrize("origin", ["/srv/git/name.git", "../name", "file:///srv/name.git"])
def test_local_origin_is_no_public_address(origin):
    assert runpy.run_path(str(ROOT / ".ci" / "address"))["public_address"](origin) is None


def test_address_is_written_into_notebook_and_badge(tmp_path, notebook):
    shutil.copy(NOTEBOOK, tmp_path)
    (tmp_path / "README.md").write_text("# name\n\nText\n")
    write = runpy.run_path(str(ROOT / ".ci" / "address"))["write"]
    for owner in ("first", "second"):
        write(tmp_path, f"https://github.com/{owner}/name")
        title, _, badge, _, *text = (tmp_path / "README.md").read_text().split("\n")
        address = f"https://colab.research.google.com/github/{owner}/name/blob/main/RNN_BrainMaturation.ipynb"
        assert (title, text) == ("# name", ["Text", ""]) and badge.endswith(f"({address})")
        written = nbformat.read(tmp_path / NOTEBOOK.name, as_version=4)
        assert f'REPOSITORY = "https://github.com/{owner}/name"' in code_of(written)
        assert len(written.cells) == len(notebook.cells)


def test_reader_sees_no_placeholder_of_an_address():
    for file in (ROOT / "README.md", NOTEBOOK):
        assert "OWNER/REPOSITORY" not in file.read_text(encoding="utf-8")
