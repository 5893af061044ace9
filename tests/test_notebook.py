"""The notebook: runs from top to bottom, uses public functions only, is stored small and clean; its address is set."""

import ast
import importlib
import inspect
import json
import os
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

import rnn_maturation.analysis

ROOT = Path(__file__).parent.parent
NOTEBOOK = ROOT / "RNN_BrainMaturation.ipynb"
MOST_BYTES = 1_000_000
N_FIGURES = 17
TIMEOUT = 600  # s per cell


@pytest.fixture(scope="module")
def notebook():
    return nbformat.read(NOTEBOOK, as_version=4)


def code_of(notebook):
    return "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "code")


def outputs_of(notebook):
    return [output for cell in notebook.cells for output in cell.get("outputs", [])]


def has_figure(cell):
    return any("image/png" in output.get("data", {}) for output in cell.get("outputs", []))


def text_of(outputs):
    """Return all output apart from the figures."""
    data = [{kind: d for kind, d in o.get("data", {}).items() if kind != "image/png"} for o in outputs]
    return json.dumps([data, [output.get("text") for output in outputs]])


def test_is_valid_and_small(notebook):
    nbformat.validate(notebook)
    assert NOTEBOOK.stat().st_size < MOST_BYTES
    assert 'TRAINING = "reduced"' in code_of(notebook) and "USE_DRIVE = False" in code_of(notebook)


def test_stored_outputs_are_clean(notebook):
    outputs = outputs_of(notebook)
    assert sum(map(has_figure, notebook.cells)) == N_FIGURES
    assert not [output for output in outputs if output.output_type == "error" or output.get("name") == "stderr"]
    text = text_of(outputs)
    assert not [path for path in ("/home/", "/tmp/", "/root/", "/Users/", str(ROOT), "Traceback") if path in text]
    code_cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all("execution" not in cell.metadata and cell.execution_count is None for cell in code_cells)
    assert all(output.get("execution_count") is None for output in outputs)


def test_stored_outputs_are_of_the_stored_code(notebook):
    """Every cell that ends with a result or a figure has its output."""
    for cell in notebook.cells:
        if cell.cell_type == "code" and isinstance(ast.parse(cell.source).body[-1], ast.Expr):
            assert cell.outputs, cell.source


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


def test_figures_come_from_results_and_nothing_is_saved(notebook):
    code = code_of(notebook)
    assert not [name for name in ("Image", "figure_dir", ".png", "TF_CPP_MIN_LOG_LEVEL") if name in code]
    n_analyses = 0
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr[0] != "_":
            function = getattr(rnn_maturation.analysis, node.func.attr, None)
            is_report = node.func.attr == "reproduction_report"  # its page is what the cell shows
            if function is not None and not is_report and "save" in inspect.signature(function).parameters:
                n_analyses += 1
                assert {k.arg: ast.unparse(k.value) for k in node.keywords}.get("save") == "False", node.func.attr
    assert n_analyses == N_FIGURES


def test_every_figure_has_a_sentence(notebook):
    for cell, following in zip(notebook.cells, notebook.cells[1:], strict=False):
        if has_figure(cell):
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
    outputs = outputs_of(executed)
    assert sum(map(has_figure, executed.cells)) == N_FIGURES
    assert not [output.text for output in outputs if output.get("name") == "stderr"]
    reports = [output.data["text/markdown"] for output in outputs if "text/markdown" in output.get("data", {})]
    assert len(reports) == 1 and "Of 21 findings of the paper: " in reports[0]
    assert reports[0].count("✓ reproduced |") > 10
    written = {file.name for file in (tmp_path / "figure").rglob("*") if file.is_file()}
    assert written == {"report.html", "report.md", "report.json"}
    assert (tmp_path / "data" / "reduced" / "log.json").exists()


# ------------------------------------------------------------------------------------------------------------- set-up


def set_up(notebook, folder, *more):
    """Run the set-up cell, and further code, in a new process in the folder."""
    cell = next(cell.source for cell in notebook.cells if cell.cell_type == "code")
    code = "\n".join([cell, *more])
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=environment, capture_output=True, text=True, timeout=120
    )


def test_set_up_without_program_or_address_names_both_remedies(notebook, tmp_path):
    process = set_up(notebook, tmp_path)
    assert process.returncode != 0
    message = process.stderr.strip().splitlines()[-1]
    assert "Upload the repository's folder" in message and "set REPOSITORY to its address" in message


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_set_up_fetches_the_program_once_and_finds_it_again(notebook, tmp_path):
    origin = tmp_path / "origin"
    shutil.copytree(ROOT / "rnn_maturation", origin / "rnn_maturation", ignore=shutil.ignore_patterns("__pycache__"))
    git = ["git", "-C", str(origin), "-c", "user.name=test", "-c", "user.email=test@example.org"]
    for arguments in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "program"]):
        subprocess.run([*git, *arguments], check=True)
    shutil.copy(NOTEBOOK, origin)
    runpy.run_path(str(ROOT / ".ci" / "address"))["write"](origin, origin.as_uri())  # as .ci/address writes it
    addressed = nbformat.read(origin / NOTEBOOK.name, as_version=4)
    session = tmp_path / "session"
    session.mkdir()
    again = f"shutil.rmtree({str(origin)!r}); os.chdir('..')"  # the second time it is not fetched
    where = "print(Path(analysis.__file__).parents[2] == Path.cwd(), Path.cwd().parent.name)"
    cell = next(cell.source for cell in addressed.cells if cell.cell_type == "code")
    process = set_up(addressed, session, where, "import shutil", again, cell, where)
    assert process.stdout.split() == ["True", "session"] * 2, process.stderr


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
        text = file.read_text(encoding="utf-8")
        assert "OWNER/REPOSITORY" not in text and "<owner>/<name>" not in text


def test_badge_is_absent_where_colab_cannot_open_the_notebook(tmp_path):
    (tmp_path / "README.md").write_text("# name\n\nText\n")
    write = runpy.run_path(str(ROOT / ".ci" / "address"))["write"]
    for address in ("https://github.com/owner/name", "https://gitlab.com/owner/name"):
        write(tmp_path, address)
        assert ("Open in Colab" in (tmp_path / "README.md").read_text()) == ("github.com" in address)
    assert (tmp_path / "README.md").read_text() == "# name\n\nText\n"
