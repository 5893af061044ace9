"""The documentation: its links lead somewhere, its tables agree with the code, and its examples run."""

import json
import os
import re
import runpy
import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

import pytest

from rnn_maturation.task import TASKS, rules_dict
from rnn_maturation.tools import load_hp

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = [*sorted(DOCS.rglob("*.md")), ROOT / "README.md", ROOT / "CHANGELOG.md", ROOT / "CONTRIBUTING.md"]
EXAMPLES = sorted((ROOT / "examples").glob("own_*.py"))
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
PYTHON = re.compile(r"^```python[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
TEST_TIME = 120  # s, for one example


def without_code(page):
    """Return a page's text without its code blocks and comments."""
    return re.sub(r"^```.*?^```|<!--.*?-->", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)


def anchors(page):
    """Return the anchors of a page's headings, as MkDocs and code hosts make them."""
    headings = re.findall(r"^#+ (.*)$", without_code(page), flags=re.MULTILINE)
    words = [re.sub(r"[^\w\- ]", "", re.sub(r"[`*]", "", heading)).strip().lower() for heading in headings]
    return {re.sub(r"\s+", "-", heading) for heading in words}


def names_of_modules(package):
    """Return the names of the modules in a package."""
    return [module.name for module in iter_modules(getattr(import_module(package), "__path__", []))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_relative_links_resolve(page):
    for target in LINK.findall(without_code(page)):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), f"{page.name} links to {target}"
        if anchor:
            assert anchor in anchors(file), f"{page.name} links to {target}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_tests_and_benchmarks_that_are_named_are_there(page):
    for name in re.findall(r"(?:tests|benchmarks)/[\w/]+\.py", page.read_text(encoding="utf-8")):
        assert (ROOT / name).exists(), f"{page.name} names {name}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_python_in_pages_is_valid_and_imports_what_exists(page):
    for block in PYTHON.findall(page.read_text(encoding="utf-8")):
        compile(block, str(page), "exec")
        for module, names in re.findall(r"^from (rnn_maturation[\w.]*) import ([\w, ]+)$", block, flags=re.MULTILINE):
            for name in names.split(", "):
                found = hasattr(import_module(module), name) or name in names_of_modules(module)
                assert found, f"{page.name}: from {module} import {name}"


def test_every_page_is_in_the_navigation():
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    for page in DOCS.rglob("*.md"):
        assert f"{page.relative_to(DOCS).as_posix()}\n" in navigation, page


def test_every_public_analysis_has_a_page():
    text = "".join(page.read_text(encoding="utf-8") for page in (DOCS / "analyses").glob("*.md"))
    text += (DOCS / "reproduction-report.md").read_text(encoding="utf-8")
    for name in import_module("rnn_maturation.analysis").__all__:
        assert name in text, name


def test_task_table_agrees_with_the_code():
    page = (DOCS / "tasks.md").read_text(encoding="utf-8")
    for rule in rules_dict["all_new"]:
        (row,) = [line for line in page.splitlines() if line.startswith(f"| `{rule}` |")]
        epochs = ", ".join(f"{epoch} {duration}" for epoch, duration in TASKS[rule].epochs.items())
        assert row.split("|")[3].strip() == epochs
    assert all(f"`{rule}`" in page for rule in TASKS)
    assert all(f"`{ruleset}`" in page for ruleset in rules_dict)


def test_hyperparameter_table_agrees_with_the_code():
    table = runpy.run_path(str(ROOT / ".ci" / "hyperparameters"))["table"]()
    assert table in (DOCS / "hyperparameters.md").read_text(encoding="utf-8"), "run .ci/hyperparameters"


def test_metadata_agree_on_version_and_paper():
    version = re.search(r'^version = "(.*)"$', (ROOT / "pyproject.toml").read_text(), flags=re.MULTILINE)[1]
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    codemeta, zenodo = (json.loads((ROOT / name).read_text()) for name in ("codemeta.json", ".zenodo.json"))
    assert f"\nversion: {version}\n" in citation
    assert codemeta["version"] == zenodo["version"] == version
    assert codemeta["referencePublication"]["identifier"] == "https://doi.org/10.1016/j.isci.2021.103178"
    assert zenodo["related_identifiers"][0]["identifier"] == "10.1016/j.isci.2021.103178"
    keys = set(re.findall(r"^@\w+\{(\w+),", (ROOT / "paper.bib").read_text(encoding="utf-8"), flags=re.MULTILINE))
    assert set(re.findall(r"@([A-Z]\w+\d{4})", (ROOT / "paper.md").read_text(encoding="utf-8"))) == keys


# ------------------------------------------------------------------------------------------------------------- examples


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
def test_example_is_shown_as_it_is(example):
    shown = {page.stem: page.read_text(encoding="utf-8") for page in DOCS.glob("extending*.md")}
    text = example.read_text(encoding="utf-8")
    if f'title="examples/{example.name}"' in "".join(shown.values()):
        assert any(text in page for page in shown.values()), f"docs/extending.md shows another {example.name}"
    else:
        assert any(f"examples/{example.name}" in page for page in shown.values())


@pytest.fixture(scope="module")
def small_run(tmp_path_factory):
    """A working directory with a few checkpoints of the bundled network."""
    source, folder = ROOT / "data" / "6tasks_pretrained", tmp_path_factory.mktemp("examples")
    target = folder / "data" / "6tasks_pretrained"
    target.mkdir(parents=True)
    for name in ("hp.json", "log.json"):
        shutil.copy(source / name, target)
    for trial_num in ("352000", "380160", "386560", "435200", "449280"):
        if (source / trial_num).is_dir():
            shutil.copytree(source / trial_num, target / trial_num)
    assert load_hp(target)["seed"] == 0
    return folder


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
def test_example_runs(example, small_run):
    options = {"own_analysis.py": ["--checkpoints", "1"]}.get(example.name, [])
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(
        [sys.executable, str(example), *options], cwd=small_run, env=environment, capture_output=True, text=True,
        timeout=TEST_TIME,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    made = {
        "own_analysis.py": ["odr_delay1_sparseness.png"],
        "own_recording.py": ["psth.png", "psth.csv", "tuning.png", "decoder.png", "dpca.png"],
    }
    for name in made.get(example.name, []):
        assert (small_run / "figure" / example.stem / name).stat().st_size > 0
    if example.name in ("own_analysis.py", "own_finding.py", "own_recording.py"):
        assert done.stdout.strip()
