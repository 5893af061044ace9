"""Tasks of a user's own: registered, trained, analyzed and swept from a file outside the package."""

import os
import re
import runpy
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from rnn_maturation import analysis
from rnn_maturation.analysis.dynamics.task_input import task_input
from rnn_maturation.checkpoint import read_checkpoint
from rnn_maturation.figures import task_timing
from rnn_maturation.hyperparameters import check_hp, complete_hp
from rnn_maturation.model_directory import load_hp, load_log, load_pickle, neuron_info_file, save_hp, task_info_file
from rnn_maturation.sweep import choose_runs, train_runs
from rnn_maturation.sweep.analysis import analyze_checkpoints
from rnn_maturation.sweep.variants import VARIANTS
from rnn_maturation.task import (
    TASKS,
    TASKS_VARIABLE,
    Task,
    generate_evaluation,
    generate_trials,
    get_num_rule,
    load_tasks,
    register_ruleset,
    register_task,
    rule_name,
    rules_dict,
    saccade,
)
from rnn_maturation.train import train

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / "examples" / "own_tasks.py"
TINY = {"n_rnn": 10, "batch_size_train": 4, "batch_size_test": 16, "activation": "softplus"}
EPOCHS = {"fix1": 1000, "stim1": 500, "delay1": 500}


@pytest.fixture(autouse=True)
def registry(monkeypatch):
    """Forget after each test what it registered."""
    monkeypatch.setenv(TASKS_VARIABLE, "")
    before = [(table, dict(table)) for table in (TASKS, rules_dict, rule_name, VARIANTS)]
    yield
    for table, rows in before:
        table.clear()
        table.update(rows)


@pytest.fixture
def example():
    load_tasks(EXAMPLE)


def make_hp(ruleset, seed=0, **changes):
    return {**complete_hp({"ruleset": ruleset, **changes}), "rng": np.random.RandomState(seed)}


def same_state(first, second):
    return all(np.array_equal(a, b) for a, b in zip(first.get_state(), second.get_state(), strict=True))


# ---------------------------------------------------------------------------------------------------- registering


def test_durations_that_are_cut_to_whole_steps_are_told():
    with pytest.warns(
        UserWarning, match="durations of stim1, delay1 are not multiples of the default time step, 20 ms"
    ):
        register_task("cut", Task("Cut", {"fix1": 1000, "stim1": 250, "delay1": 2250}))


def test_a_registered_task_is_known_everywhere():
    register_task("my_odr", Task("My ODR", EPOCHS))
    register_ruleset("my_set", ["overlap", "my_odr"])
    hp = make_hp("my_set")
    assert (hp["n_rule"], hp["n_input"], get_num_rule("my_set"), rule_name["my_odr"]) == (2, 11, 2, "My ODR")
    mine, theirs = (
        generate_trials(rule, make_hp(name), "random", batch_size=3, noise_on=False)
        for rule, name in (("my_odr", "my_set"), ("odr500", "odr_delay_check"))
    )
    np.testing.assert_array_equal(mine.y, theirs.y)
    np.testing.assert_array_equal(mine.x[..., :9], theirs.x[..., :9])
    assert (mine.x[..., 10] == 1).all()


def test_a_file_may_be_run_again_but_not_with_another_task(example, tmp_path):
    load_tasks([EXAMPLE, EXAMPLE])
    assert os.environ[TASKS_VARIABLE] == str(EXAMPLE)
    changed = tmp_path / "changed.py"
    changed.write_text(EXAMPLE.read_text().replace("rng.randint(SHORTEST_DELAY, ", "rng.randint(0, "))
    with pytest.raises(ValueError, match="different task odr_random_delay already: choose another name"):
        load_tasks([changed])
    assert os.environ[TASKS_VARIABLE] == str(EXAMPLE)


def test_rows_are_compared_by_their_functions():
    def rotated(trial, stim1, is_test, by=0.0):
        trial.add_response(stim1 + by)

    def by(angle):
        return lambda trial, stim1, is_test: trial.add_response(stim1 + angle)

    for number, (draw, other) in enumerate([
        (partial(rotated, by=1.0), partial(rotated, by=2.0)), (by(1.0), by(2.0)), (rotated, saccade), (by(1.0), rotated)
    ]):  # fmt: skip
        register_task(f"t{number}", Task("T", EPOCHS, draw=draw))
        with pytest.raises(ValueError, match="different task"):
            register_task(f"t{number}", Task("T", EPOCHS, draw=other))
    register_task("t0", Task("T", EPOCHS, draw=partial(rotated, by=1.0)))
    register_task("t1", Task("T", dict(EPOCHS), draw=by(1.0)))
    with pytest.raises(ValueError, match="different task t1"):
        register_task("t1", Task("T", {**EPOCHS, "delay1": 600}, draw=by(1.0)))


@pytest.mark.parametrize("rule, row, message", [
    ("odr", Task("Mine", EPOCHS), "different task odr already"),
    ("my odr", Task("Mine", EPOCHS), "'my odr' cannot be part of a file name: use letters, digits"),
    ("mine", ("Mine", EPOCHS), "Task mine: .* must be a Task"),
    ("mine", Task("", EPOCHS), "Task mine: its name is ''"),
    ("mine", Task("Mine", {"stim1": 500}), "its epochs are .* begins with fix1"),
    ("mine", Task("Mine", {"fix1": 500, "delay1": 500}), "and has stim1"),
    ("mine", Task("Mine", {**EPOCHS, "go1": 500}), "leave go1 out"),
    ("mine", Task("Mine", {**EPOCHS, "delay1": 0}), "its epochs are .*'delay1': 0"),
    ("mine", Task("Mine", EPOCHS, "delay2"), "fixation_off is 'delay2'"),
    ("mine", Task("Mine", EPOCHS, response_on="fix1"), "response_on is 'fix1'"),
    ("mine", Task("Mine", EPOCHS, response_weight=-1), "response_weight is -1"),
    ("mine", Task("Mine", EPOCHS, draw="saccade"), "draw is 'saccade'"),
    ("mine", Task("Mine", EPOCHS, draw_epochs=500), "draw_epochs is 500"),
])  # fmt: skip
def test_bad_rows_are_named_and_not_registered(rule, row, message):
    before = dict(TASKS)
    with pytest.raises(ValueError, match=message):
        register_task(rule, row)
    assert before == TASKS


@pytest.mark.parametrize("name, rules, message", [
    ("mine", ["odr", "my_odr"], "Unknown rule .for rule set mine. my_odr: .*--tasks FILE"),
    ("mine", [], "must have at least one rule"),
    ("mine", ["odr", "gap", "odr"], "each rule only once"),
    ("all_new", ["odr"], "There is a different rule set all_new already .overlap, zero_gap"),
    (3, ["odr"], "Rule set 3: its name must be a string"),
])  # fmt: skip
def test_bad_rule_sets_are_named(name, rules, message):
    with pytest.raises(ValueError, match=message):
        register_ruleset(name, rules)
    assert list(rules_dict) == [*dict.fromkeys(rules_dict)] and "mine" not in rules_dict


def test_what_is_missing_without_the_file_is_said(tmp_path):
    with pytest.raises(ValueError, match="all_new_random_delay.*--tasks FILE.*load_tasks.*RNN_MATURATION_TASKS"):
        complete_hp({"ruleset": "all_new_random_delay"})
    with pytest.raises(ValueError, match="--tasks FILE"):
        generate_trials("odr_random_delay", make_hp("all_new"), "test")
    with pytest.raises(FileNotFoundError, match="no file .*nothing.py, which should register tasks: correct --tasks"):
        load_tasks(tmp_path / "nothing.py")
    load_tasks(EXAMPLE)
    save_hp(complete_hp({"ruleset": "odr_and_two_items", "seed": 0}), tmp_path)
    check_hp(load_hp(tmp_path))
    del rules_dict["odr_and_two_items"]
    with pytest.raises(ValueError, match="hp.json: ruleset .*odr_and_two_items.*--tasks FILE"):
        load_hp(tmp_path)


# ---------------------------------------------------------------------------------------------------- the two examples


def test_the_delay_is_drawn_first_for_each_batch(example):
    hp = make_hp("all_new_random_delay", seed=4)
    delays = []
    for number in range(30):
        rng = np.random.RandomState()
        rng.set_state(hp["rng"].get_state())
        trial = generate_trials("odr_random_delay", hp, "random", batch_size=2)
        delays.append(np.diff(trial.epochs["delay1"])[0])
        assert delays[-1] == rng.randint(500, 2501) // 20, number
        directions = rng.rand(2) * 2 * np.pi
        np.testing.assert_allclose(trial.y_loc[-1], directions, rtol=1e-6)
        rng.randn(*trial.x.shape)
        assert same_state(rng, hp["rng"]) and trial.tdim == 50 + 25 + delays[-1] + 25
    assert 25 <= min(delays) < 45 and 105 < max(delays) <= 125


def test_tests_and_evaluations_have_the_delay_of_the_row(example):
    for trial, n_trials in (
        (generate_trials("odr_random_delay", make_hp("all_new_random_delay"), "test"), 128),
        (generate_evaluation("odr_random_delay", make_hp("all_new_random_delay"), 2, 3), 6),
    ):
        assert trial.epochs["delay1"] == (75, 150) and trial.x.shape == (175, n_trials, 15)
    mine = generate_evaluation("odr_random_delay", make_hp("all_new_random_delay"), 2, 3)
    np.testing.assert_array_equal(mine.x, generate_evaluation("odr", make_hp("all_new"), 2, 3).x)


def test_bad_input_draws_no_delay(example):
    hp = make_hp("all_new_random_delay")
    for keywords in ({}, {"batch_size": 2, "replace_rule": "odr"}, {"batch_size": 2, "rule_on": 0.5}):
        with pytest.raises(ValueError):
            generate_trials("odr_random_delay", hp, "random", **keywords)
    assert same_state(hp["rng"], np.random.RandomState(0))
    register_task("other", Task("Other", EPOCHS, draw_epochs=lambda rng: {"delay2": 500}))
    register_ruleset("other", ["other"])
    with pytest.raises(ValueError, match="Unknown epoch .drawn by the task other. delay2"):
        generate_trials("other", make_hp("other"), "random", batch_size=2)


@pytest.mark.parametrize("mode", ["random", "test"])
def test_two_items_are_shown_at_once_and_the_cued_one_is_answered(example, mode):
    hp = make_hp("odr_and_two_items", seed=1)
    trial = generate_trials("two_items", hp, mode, noise_on=False, batch_size=40)
    first, second = np.array(trial.input_loc).reshape(2, trial.batch_size, 8)
    np.testing.assert_allclose(trial.x[60, :, 1:9], first + second, atol=1e-6)
    assert 0.6 < first.max() <= 0.8 and 0.3 < second.max() <= 0.4
    cue_is_first = trial.x[trial.epochs["cue1"][0], :, 1] > 0.5
    answered = trial.y[-1, :, 1:] - 0.05
    np.testing.assert_allclose(answered[cue_is_first], first[cue_is_first], atol=1e-6)
    np.testing.assert_allclose(answered[~cue_is_first], 2 * second[~cue_is_first], atol=1e-6)
    assert 0.2 < cue_is_first.mean() < 0.8
    if mode == "test":
        assert same_state(hp["rng"], np.random.RandomState(1))
        assert cue_is_first.sum() == 64 and (first.argmax(axis=1) == np.repeat(np.arange(8), 16)).all()


@pytest.mark.parametrize("ruleset, rule, epochs", [
    ("all_new_random_delay", "odr_random_delay", ["stim1", "delay1"]),
    ("odr_and_two_items", "two_items", ["stim1", "delay2"]),
])  # fmt: skip
def test_an_own_task_is_trained_resumed_and_analyzed(example, tmp_path, monkeypatch, ruleset, rule, epochs):
    monkeypatch.chdir(tmp_path)
    settings = {"hp": TINY, "display_step": 3, "ruleset": ruleset, "rule_trains": [rule], "seed": 2}
    log = train("run", max_steps=6, **settings)
    assert log["trials"] == [0, 12, 24] and len(set(log[f"cost_{rule}"])) == 3
    if rule == "odr_random_delay":
        train("parts", max_steps=3, **settings)
        assert train("parts", max_steps=6, **settings)[f"cost_{rule}"] == log[f"cost_{rule}"]

    hp = load_hp("run")
    analysis.compute_H(hp, log, "run", [rule], [24])
    trial = generate_trials(rule, hp, "test", noise_on=False)
    assert analysis.Get_H(hp, "run", 24, rule).shape == (trial.tdim, 128, 10)
    analysis.generate_neuron_info(hp, "run", epochs, [24], [rule], abs_active_thresh=0, paired_ttest_p=1,
                                  annova_p_value=1)  # fmt: skip
    info = load_pickle(task_info_file("run"))[rule]
    np.testing.assert_array_equal(info["in_loc"], np.repeat(np.arange(8), 16))
    assert info["epoch_info"] == trial.epochs and ("in_loc_2" in info) == (rule == "two_items")
    for epoch in epochs:
        psth = analysis.plot_PSTH(hp, log, "run", rule, epoch, [24], ("exh_neurons", "mix_neurons", "inh_neurons"))
        assert next(iter(psth.values()))["PSTH"].shape == (trial.tdim,)
    assert list(Path("figure").rglob(f"{rule}_{epochs[0]}*PSTH.png"))


def test_a_task_without_stimulus_trains_but_cannot_be_sorted(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def flash(trial, stim1, is_test):
        trial.x[slice(*trial.epochs["stim1"]), :, 1:9] = 0.3  # the whole ring; the answer is to keep fixation

    register_task("flash", Task("Flash", EPOCHS, draw=flash))
    register_ruleset("flash", ["flash"])
    log = train("run", hp=TINY, max_steps=1, display_step=1, ruleset="flash")
    assert np.isfinite(log["cost_flash"]).all()
    with pytest.raises(ValueError, match="rule flash show no stimulus .* trial.add_stimulus"):
        analysis.gen_task_info(load_hp("run"), log, "run", ["flash"])


def test_the_dynamics_take_the_delay_of_the_row_and_refuse_one_that_more_follows(example):
    random_delay = task_input("odr_random_delay", complete_hp({"ruleset": "all_new_random_delay"}), 8)
    assert random_delay.trained_delay_steps("delay1") * random_delay.dt == 1500
    two_items = task_input("two_items", complete_hp({"ruleset": "odr_and_two_items"}), 8)
    with pytest.raises(ValueError, match="is no delay between stimulus and response"):
        two_items.trained_delay_steps("delay1")  # which item counts is shown later


# --------------------------------------------------------------------------------------------------- other processes


def test_the_processes_of_a_sweep_and_of_a_pool_know_the_tasks(example, tmp_path):
    runs = choose_runs(["random_delay"], root=tmp_path)
    table = train_runs(runs, jobs=1, threads=1, max_trials=8, display_step=1, hp=TINY)
    assert list(table["state"]) == ["limit"], (tmp_path / "random_delay" / "training.log").read_text()
    log = load_log(tmp_path / "random_delay")
    assert log["trials"] == [0, 4, 8] and len(log["perf_odr_random_delay"]) == 3
    assert "perf_odr_random_delay" in (tmp_path / "sweep.csv").read_text()
    model_dir = runs[0].model_dir
    analyze_checkpoints(model_dir, {"odr_random_delay": ["stim1"]}, [8], jobs=1)
    assert neuron_info_file(model_dir, 8, "odr_random_delay", "stim1").exists()


def test_a_new_process_reads_the_files_that_the_environment_names():
    code = "from rnn_maturation.sweep import variants; print(variants.VARIANTS['two_items'].trained_rules)"
    environment = {**os.environ, TASKS_VARIABLE: os.pathsep.join([str(EXAMPLE)] * 2)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, cwd=ROOT, capture_output=True, text=True)
    assert done.stdout == "['odr', 'two_items']\n", done.stderr


@pytest.mark.parametrize("name", [
    "Main_training.py", "Main_analysis.py", "Training_with_diff_HyperParameters.py",
    "Analysis_with_diff_HyperParameters.py",
])  # fmt: skip
def test_every_script_loads_the_files_and_names_one_that_is_not_there(name, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [name, "--tasks", str(EXAMPLE), "nothing.py"])
    handler = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit, match=f"{name}: There is no file .*nothing.py, which should register tasks"):
        runpy.run_path(str(ROOT / name), run_name="__main__")
    signal.signal(signal.SIGTERM, handler)
    assert "odr_random_delay" in TASKS and os.environ[TASKS_VARIABLE] == str(EXAMPLE)


# -------------------------------------------------------------------------------------------------------- docs, figure


def test_the_code_of_the_docs_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"^```python\n(.*?)^```", (ROOT / "docs" / "extending_task.md").read_text(), re.S | re.M)
    assert len(blocks) == 5
    names = {}
    for block in blocks:
        exec(compile(block, "extending_task.md", "exec"), names)
    trial = names["trial"]
    assert trial.epochs["delay1"] == (75, 225) and trial.c_mask is not None and len(trial.input_loc) == 16
    assert analysis.Get_H(names["hp"], "data/left", 16, "left").shape[2] == 12


def test_timing_diagrams_show_each_rule(example):
    figure = task_timing("two_items", make_hp("odr_and_two_items"))
    assert [ax.get_title() for ax in figure.axes if ax.get_title()] == ["Two items"]
    assert {text.get_text() for text in figure.axes[0].texts} == {"fix1", "stim1", "delay1", "cue1", "delay2", "go"}
    rules = rules_dict["all_new"]
    shown = [ax for ax in task_timing(rules[:4], make_hp("all_new")).axes if ax.get_visible()]
    assert len(shown) == 4 * 5
    assert [ax.get_title() for ax in shown if ax.get_title()] == [rule_name[rule] for rule in rules[:4]]
    gap = [ax for ax in shown if ax.get_xlim()[1] == pytest.approx(1.7)]  # fix1, delay1, stim1 and the 0.5 s after them
    edges = gap[0].patches[0].get_data()
    assert edges.edges[np.flatnonzero(np.diff(edges.values))[0] + 1] == pytest.approx(1.0)  # fixation goes off


def test_each_stage_of_the_widening_delay_starts_from_the_one_before(tmp_path):
    hp = {"n_rnn": 8, "batch_size_train": 4, "batch_size_test": 16, "activation": "softplus", "target_perf": 1.0}
    train(tmp_path / "start", hp=hp, max_steps=1, display_step=1)
    code = f"""
from examples.widening_delay import train_stages
train_stages({str(tmp_path / "start" / "4")!r}, {str(tmp_path / "stages")!r}, trials_per_stage=80, hp={hp!r}, threads=1)
"""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    for _ in range(2):  # the second time, all stages are there already
        done = subprocess.run([sys.executable, "-c", code], env=environment, cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    stages = [tmp_path / "stages" / f"odr_{span}" for span in ("1250_to_1750", "1000_to_2000", "500_to_2500")]
    before = tmp_path / "start" / "4"
    for stage in stages:
        assert load_log(stage)["trials"] == [0, 80] and stage.name in load_log(stage)["growth"][0]
        first, last = (checkpoint_values(folder) for folder in (stage / "0", stage / "80"))
        for name, value in checkpoint_values(before).items():
            np.testing.assert_array_equal(first[name], value)
            assert (last[name] != value).any(), name
        before = stage / "80"
        assert f"{stage.name} after 80 trials:" in done.stdout


def checkpoint_values(folder):
    """Return {name: array} of the weights of a checkpoint."""
    return {name: read_checkpoint(folder)[name] for name in ("rnn/leaky_rnn_cell/kernel", "output/weights")}
