"""Main_training.py as a user runs it, in processes of its own, with the networks of the main run."""

import json
import os
import re
import runpy
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rnn_maturation.hyperparameters import PAPER_DISPLAY_STEP, PAPER_HP, PAPER_RULESET
from rnn_maturation.model_directory import load_hp, load_log
from rnn_maturation.task import rules_dict

SCRIPT = Path(__file__).parents[1] / "Main_training.py"


def run(*options, cwd):
    """Exit code, stdout, stderr of the script, run as a user does."""
    command = [sys.executable, str(SCRIPT), *map(str, options)]
    result = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=100)
    return result.returncode, result.stdout, result.stderr


@pytest.fixture
def quick_run(server, tmp_path):
    """The same with TensorFlow already imported: exit code and all that is printed."""

    def quick_run(*options, cwd=tmp_path):
        output = tmp_path.with_suffix(".out")
        output.write_text("")
        return server.run_script(SCRIPT, options, cwd, output), output.read_text()

    return quick_run


def errors(err):
    """What the program itself says on stderr, beside TensorFlow's remarks."""
    assert "Traceback" not in err
    return [line for line in err.splitlines() if line.startswith("Main_training.py: ")]


@pytest.fixture(scope="module")
def short_run(tmp_path_factory):
    """One step of the main run; its folder, exit code and what it printed. It starts in any working directory."""
    folder = tmp_path_factory.mktemp("main")
    code, out, err = run("--modeldir", "here/run", "--max_trials", 64, "--threads", 1, cwd=folder)
    return folder, code, out, err


def test_help_names_every_option(tmp_path):
    code, out, _ = run("--help", cwd=tmp_path)
    assert code == 0
    for text in ("--modeldir", "data/6tasks", "--seed", "--max_trials", "--threads", "--overwrite"):
        assert text in out
    assert os.listdir(tmp_path) == []


def test_the_settings_in_the_script_are_those_of_the_paper():
    script = runpy.run_path(str(SCRIPT))  # without running its main()
    assert (script["HP"], script["RULESET"], script["DISPLAY_STEP"]) == (PAPER_HP, PAPER_RULESET, PAPER_DISPLAY_STEP)
    assert script["RULES"] == rules_dict[PAPER_RULESET]


def test_nothing_is_printed_before_our_own_lines(short_run):
    _, _, out, err = short_run
    assert out.startswith("Training in the model directory ") and err == ""


def test_a_short_run_has_the_settings_of_the_main_run(short_run):
    folder, code, out, err = short_run
    assert code == 0 and errors(err) == []
    hp = load_hp(folder / "here/run")
    rules = ["overlap", "zero_gap", "gap", "odr", "odrd", "gap500"]
    main_run = {
        "activation": "softplus", "n_rnn": 256, "learning_rate": 0.001, "mix_rule": True, "target_perf": 0.995,
        "ruleset": "all_new", "rules": rules, "rule_trains": rules, "seed": 0, "batch_size_train": 64,
        "use_separate_input": False, "batch_size_test": 512, "sigma_rec": 0.05, "rnn_type": "LeakyRNN",
    }  # fmt: skip
    assert {key: hp[key] for key in main_run} == main_run
    assert load_log(folder / "here/run")["trials"] == [0]
    settings = json.loads((folder / "here/run/interrupted/training_state.json").read_text())["settings"]
    assert settings["display_step"] == 20
    assert "Trial       0" in out and "Now training Overlap, Zero_gap, Gap, ODR, ODR+d, Gap500" in out
    assert "64 trials" in out and "--max_trials" in out
    assert os.listdir(folder) == ["here"]


def test_one_thread_or_two_give_the_same_to_the_last_bit(short_run, tmp_path, quick_run):
    folder, *_ = short_run
    code, _ = quick_run("--modeldir", "two", "--max_trials", 64, "--threads", 2)
    assert code == 0
    one, two = load_log(folder / "here/run"), load_log(tmp_path / "two")
    for log in (one, two):
        del log["times"], log["model_dir"]
    assert one == two
    for checkpoint in ("0", "interrupted"):
        data = f"{checkpoint}/model.ckpt.data-00000-of-00001"
        assert (folder / "here/run" / data).read_bytes() == (tmp_path / "two" / data).read_bytes(), checkpoint


def test_the_same_command_goes_on(short_run, quick_run):
    folder, *_ = short_run
    code, out = quick_run("--modeldir", "here/run", "--max_trials", 128, "--threads", 1, cwd=folder)
    assert code == 0 and errors(out) == []
    assert "resuming from trial 64" in out and "128 trials" in out


def test_another_seed_is_refused_in_one_line(short_run, quick_run):
    folder, *_ = short_run
    code, out = quick_run("--modeldir", "here/run", "--seed", 1, cwd=folder)
    assert code == 1
    (line,) = errors(out)
    assert "here/run" in line and "seed 0 (now 1)" in line and "--overwrite" in line


@pytest.mark.parametrize(
    "options, message",
    [
        (["--max_trials", 63], "--max_trials 63"),
        (["--max_trials", "many"], "--max_trials"),
        (["--seed", -1], "seed"),
        (["--threads", 0], "threads"),
        (["--sead", 3], "--sead"),
    ],
)
def test_a_wrong_option_is_named(tmp_path, quick_run, options, message):
    code, out = quick_run("--modeldir", "run", *options)
    assert code in (1, 2)
    assert message in errors(out)[-1]
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("batch_size", ["0", "'64'", "None"])
def test_a_wrong_batch_size_in_the_script_is_named(server, tmp_path, batch_size):
    script, output = tmp_path / "script.py", tmp_path / "out"
    script.write_text(SCRIPT.read_text().replace('"n_rnn": 256', f'"batch_size_train": {batch_size}'))
    assert server.run_script(script, ["--modeldir", "run"], tmp_path, output) == 1
    (line,) = errors(output.read_text())
    assert f"batch_size_train (number of trials in a training step) is {batch_size}, but must be an integer" in line
    assert not (tmp_path / "run").exists()


def test_a_damaged_model_directory_is_named_in_one_line(tmp_path, quick_run):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "hp.json").write_text('{"n_rnn": 25')
    code, out = quick_run("--modeldir", "run")
    assert code == 1
    (line,) = errors(out)
    assert "run/hp.json is damaged" in line


def test_a_file_in_place_of_the_model_directory_is_named_in_one_line(tmp_path, quick_run):
    (tmp_path / "run").write_text("")
    code, out = quick_run("--modeldir", "run")
    assert code == 1
    (line,) = errors(out)
    assert "'run'" in line


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_lets_it_save_and_say_how_to_go_on(server, tmp_path, quick_run, number):
    output = tmp_path / "out"
    process = server.start_script(SCRIPT, ["--modeldir", "run", "--threads", 1], tmp_path, output)
    deadline = time.time() + 60
    while not (tmp_path / "run/log.json").exists() and time.time() < deadline:
        time.sleep(0.05)
    code, out = quick_run("--modeldir", "run")
    assert code == 1
    (line,) = errors(out)
    assert f"run is in use by another process (ID {process})" in line
    os.kill(process, number)
    assert server.wait(process) == 128 + number
    out = output.read_text()
    assert errors(out) == []
    assert re.search(r"run: stopped and saved at trial \d+; the same command resumes the run\n", out)
    assert (tmp_path / "run/interrupted/model.ckpt.index").exists()
    assert not (tmp_path / "run/.lock").exists()
