import fcntl
import json
import os
import re
import shutil
import signal
import struct
import termios
import threading

import numpy as np
import pytest
from training_runs import (
    HP,
    INTERRUPTED,
    RULES,
    SETTINGS,
    STEPS,
    TRIALS,
    assert_same_run,
    assert_same_tensors,
    files,
    same_state,
    state,
    tensors,
    variables,
)

from rnn_maturation.hyperparameters import get_default_hp
from rnn_maturation.model_directory import load_hp, load_log
from rnn_maturation.network import Model, gen_feed_dict, get_perf, session_config
from rnn_maturation.task import generate_trials, rules_dict
from rnn_maturation.tensorflow1 import tf1
from rnn_maturation.train import TrainingDiverged, do_eval, train

# ------------------------------------------------------------------------------------------------ what a run computes


class OriginalLoop:
    """The loop as published, step by step: evaluation in 16 batches, then a rule, its trials, one optimizer step."""

    def __init__(self, directory, with_noise):
        self.hp = {**load_hp(directory), "rng": np.random.RandomState(load_hp(directory)["seed"])}
        self.directory, self.rng, self.with_noise = directory, self.hp["rng"], with_noise
        self.rules = []

    def run(self, n_steps, display_step):
        log = load_log(self.directory)
        model = Model(self.directory, hp=self.hp)
        with tf1.Session(config=session_config(1)) as sess:
            model.initialize()
            for step in range(n_steps + 1):
                if step % display_step == 0:
                    position = step // display_step
                    evaluations = [self.evaluate(sess, model, rule) for rule in self.hp["rules"]]
                    folder = self.directory / str(log["trials"][position])
                    assert same_state(state(folder), self.rng)
                    self.compare_weights(sess, model, folder)
                    if not self.with_noise:
                        self.compare_log(log, position, evaluations)
                if step < n_steps:
                    rule = self.rng.choice(self.hp["rule_trains"], p=self.hp["rule_probs"])
                    self.rules.append(rule)
                    trial = generate_trials(rule, self.hp, "random", batch_size=self.hp["batch_size_train"])
                    feed = {**gen_feed_dict(model, trial, self.hp), model.noise_seed: [self.hp["seed"], step]}
                    sess.run(model.train_step, feed)

    def evaluate(self, sess, model, rule):
        batches = []
        for _ in range(16):
            trial = generate_trials(rule, self.hp, "random", batch_size=self.hp["batch_size_test"] // 16)
            if not self.with_noise:
                wanted = [model.cost_lsq, model.cost_reg, model.y_hat]
                cost, cost_reg, y_hat = sess.run(wanted, gen_feed_dict(model, trial, self.hp))
                batches.append((cost, cost_reg, get_perf(y_hat, trial.y_loc).mean()))
        return np.mean(batches, axis=0) if batches else None

    def compare_weights(self, sess, model, folder):
        for variable, value in zip(model.var_list, sess.run(model.var_list), strict=True):
            assert tensors(folder)[variable.op.name].tobytes() == value.tobytes()

    def compare_log(self, log, position, evaluations):
        for rule, (cost, cost_reg, performance) in zip(self.hp["rules"], evaluations, strict=True):
            assert log["cost_" + rule][position] == pytest.approx(cost, rel=1e-5)
            assert log["creg_" + rule][position] == pytest.approx(cost_reg, rel=1e-5)
            assert log["perf_" + rule][position] == pytest.approx(performance, abs=1e-12)


def test_a_run_is_the_original_loop_step_by_step(tmp_path):
    """Trials, their order, evaluation and log; every kind of regularisation; without noise in the network."""
    hp = {**HP, "sigma_rec": 0, "l1_h": 0.1, "l2_h": 0.01, "l1_weight": 0.1, "l2_weight": 0.01, "batch_size_test": 70}
    train(tmp_path, hp, 4, 2, rule_trains=["overlap", "odrd", "gap"], seed=7, threads=1)
    OriginalLoop(tmp_path, with_noise=False).run(4, 2)


def test_noise_of_a_step_follows_from_seed_and_step(whole):
    loop = OriginalLoop(whole, with_noise=True)
    loop.run(STEPS - 2, 3)
    assert set(loop.rules) == set(RULES)  # so that their order was tested


def test_rules_are_drawn_as_often_as_rule_prob_map_says(tmp_path):
    rules = ["overlap", "zero_gap", "gap"]
    train(tmp_path, HP, 10, 10, rule_trains=rules, rule_prob_map={"zero_gap": 0, "gap": 3}, seed=1, threads=1)
    assert load_hp(tmp_path)["rule_probs"] == [0.25, 0, 0.75]
    loop = OriginalLoop(tmp_path, with_noise=True)
    loop.run(10, 10)
    assert set(loop.rules) == {"overlap", "gap"}


def test_log_has_an_entry_of_everything_for_each_evaluation(whole):
    log = load_log(whole)
    lists = {key: values for key, values in log.items() if key != "model_dir"}
    wanted = {"trials", "times", "perf_avg", "perf_min", "growth"}
    assert lists.keys() == wanted | {f"{what}_{rule}" for what in ("cost", "creg", "perf") for rule in RULES}
    assert {len(values) for values in lists.values()} == {3}
    assert log["trials"] == TRIALS
    assert log["times"] == sorted(log["times"]) and log["times"][0] > 0
    assert [list(growth) for growth in log["growth"]] == [RULES] * 3
    performances = np.array([log["perf_" + rule] for rule in RULES])
    np.testing.assert_allclose(log["perf_min"], performances.min(axis=0))
    np.testing.assert_allclose(log["perf_avg"], performances.mean(axis=0))


def test_hp_json_is_defaults_with_what_was_given_and_what_train_adds(whole):
    saved = json.loads((whole / "hp.json").read_text())
    added = {"seed": 3, "rule_trains": RULES, "rules": RULES, "rule_probs": [0.5, 0.5]}
    assert saved == {**get_default_hp("all_new"), **HP, **added}


def test_a_run_leaves_checkpoints_named_by_trials_and_nothing_else(whole):
    checkpoint = ["checkpoint", "model.ckpt.data-00000-of-00001", "model.ckpt.index", "model.ckpt.meta"]
    checkpoint.append("training_state.json")
    folders = [*map(str, TRIALS), INTERRUPTED]
    wanted = [*folders, "hp.json", "log.json", *(f"{folder}/{name}" for folder in folders for name in checkpoint)]
    assert files(whole) == sorted(wanted)
    assert len({(whole / folder / "model.ckpt.meta").stat().st_ino for folder in folders}) == 1  # linked
    assert state(whole / INTERRUPTED)["step"] == STEPS


def test_rules_and_rule_set_may_come_with_hp(tmp_path):
    log = train(tmp_path, {**HP, "ruleset": "ozg", "target_perf": 0}, 1, rule_trains="gap", threads=1)
    assert log["trials"] == [0] and load_hp(tmp_path)["n_rule"] == 3 and load_hp(tmp_path)["rules"] == ["gap"]
    shutil.rmtree(tmp_path / "0")
    (tmp_path / "log.json").unlink()
    train(tmp_path, load_hp(tmp_path), 1, threads=1)  # with rng, rules and rule_probs


@pytest.mark.parametrize("ruleset", ["ozg", "MoN"])
def test_all_rules_of_the_set_are_trained_unless_told_otherwise(tmp_path, ruleset):
    train(tmp_path, {**HP, "target_perf": 0}, 1, np.int64(1), ruleset, threads=1)
    hp = load_hp(tmp_path)
    assert hp["rules"] == hp["rule_trains"] == rules_dict[ruleset]
    np.testing.assert_allclose(hp["rule_probs"], 1 / len(rules_dict[ruleset]))


# ------------------------------------------------------------------------------------------------ what is printed


def test_printed_lines_say_trial_time_and_each_rule(tmp_path, capfd):
    train(tmp_path, max_steps=2, **SETTINGS)
    out, err = capfd.readouterr()
    lines = out.splitlines()
    assert re.fullmatch(r"Trial       0  \| Time \d+\.\d\d s  \| Now training Overlap, Zero_gap", lines[0])
    for line, rule in zip(lines[1:], RULES, strict=False):
        pattern = rf"{rule} +\| cost \d\.\d{{6}}\| c_reg \d\.\d{{6}}  \| perf \d\.\d\d  \| =>E"
        assert re.fullmatch(pattern, line)
    assert "max_steps (32 trials)" in lines[3] and "--max_trials" in lines[3]
    assert len(lines) == 4
    assert "trials/s" not in err  # not a terminal


def test_a_terminal_shows_trials_rate_and_performance(tmp_path, server):
    terminal, other_end = os.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 150, 0, 0))
    arguments = {"model_dir": tmp_path / "run", "max_steps": 4, **SETTINGS}
    process = server.start(arguments, tmp_path / "out", stderr=os.ttyname(other_end))
    shown = bytearray()

    def read():
        while not shown.endswith(b"end"):
            shown.extend(os.read(terminal, 1000))

    reader = threading.Thread(target=read)
    reader.start()
    assert server.wait(process) == 0
    os.write(other_end, b"end")
    reader.join()
    os.close(other_end)
    os.close(terminal)
    shown = shown.decode()
    assert "trials/s" in shown and re.search(r"overlap=0\.\d\d, zero_gap=0\.\d\d", shown)
    assert "Trial      48" in (tmp_path / "out").read_text()


# ------------------------------------------------------------------------------------------------ bad arguments, errors


BAD_ARGUMENTS = [
    ({"ruleset": "six"}, "ruleset .*'six'.*all_new"),
    ({"rule_trains": ["odr", "sleep"]}, "rule_trains has 'sleep'.*overlap"),
    ({"rule_trains": []}, "rule_trains"),
    ({"rule_trains": ["gap", "gap"]}, "rule_trains.*different"),
    ({"rule_trains": 5}, "rule_trains"),
    ({"rule_prob_map": {"sleep": 1}}, "rule_prob_map names .'sleep'.*overlap"),
    ({"rule_prob_map": {"overlap": -1}}, "rule_prob_map.*at least 0"),
    ({"rule_prob_map": {"overlap": float("nan")}}, "rule_prob_map.*at least 0"),
    ({"rule_prob_map": {"overlap": "often"}}, "rule_prob_map.*at least 0"),
    ({"rule_prob_map": {"overlap": 0, "zero_gap": 0}}, "rule_prob_map.*not all 0"),
    ({"rule_prob_map": [0.5, 0.5]}, "rule_prob_map must be a dict"),
    ({"seed": -1}, "seed .*from 0"),
    ({"seed": 0.5}, "seed .*integer"),
    ({"seed": "a"}, "seed .*integer"),
    ({"max_steps": 0}, "max_steps.*at least 1"),
    ({"max_steps": 1.5}, "max_steps.*whole"),
    ({"max_steps": float("inf")}, "max_steps.*whole"),
    ({"max_steps": "10"}, "max_steps.*whole"),
    ({"display_step": 0}, "display_step.*at least 1"),
    ({"display_step": True}, "display_step.*whole"),
    ({"display_step": None}, "display_step.*whole"),
    ({"threads": 0}, "threads.*at least 1"),
    ({"threads": -1}, "threads.*at least 1"),
    ({"trainables": "output"}, "trainables.*'output'.*all, input, rule"),
    ({"trainables": ["input"]}, "trainables.*all, input, rule"),
    ({"trainables": "rule"}, "use_separate_input"),
    ({"hp": {"n_rnm": 8}}, "n_rnm.*n_rnn"),
    ({"hp": {"n_rnn": 0}}, "n_rnn.*at least 1"),
    ({"hp": {"in_type": "multi"}}, "in_type.*'multi'.*'normal'"),
    ({"hp": [0.5]}, "hp must be a dict"),
    ({"load_dir": {"trials": [0]}}, "load_dir must be a path.*order of the arguments"),
]


@pytest.mark.parametrize("bad, message", BAD_ARGUMENTS, ids=str)
def test_bad_arguments_are_one_clear_error_and_leave_nothing_behind(tmp_path, bad, message):
    with pytest.raises(ValueError, match=message) as error:
        train(tmp_path / "run", **{**SETTINGS, "max_steps": 2, **bad})
    assert "\n" not in str(error.value)
    assert not (tmp_path / "run").exists()


LOG = {"trials": list(range(0, 1_000_000, 1280)), "perf_odr": [0.123456] * 781}


@pytest.mark.parametrize("name", ["hp", "rule_trains", "rule_prob_map", "ruleset", "trainables", "load_dir", "seed"])
def test_a_log_in_place_of_another_argument_is_not_printed_whole(tmp_path, name):
    with pytest.raises(ValueError, match=name if name != "hp" else "hp: unknown key 'trials'") as error:
        train(tmp_path / "run", **{**SETTINGS, "max_steps": 1, name: LOG})
    assert len(str(error.value)) < 900  # known names are listed
    assert not (tmp_path / "run").exists()


def test_a_log_in_place_of_the_model_directory_is_named():
    with pytest.raises(ValueError, match="model_dir must be a path, not .'trials'.*order of the arguments") as error:
        train(LOG, **SETTINGS)
    assert len(str(error.value)) < 200


def test_rules_that_are_not_trained_are_ignored_in_rule_prob_map(tmp_path):
    settings = {**SETTINGS, "hp": {**HP, "target_perf": 0}, "max_steps": 1}
    with pytest.warns(
        UserWarning, match="rule_prob_map names odr, gap, which this run does not train: ignored"
    ) as caught:
        train(tmp_path, **settings, rule_prob_map={"odr": 5, "overlap": 3, "gap": 0})
    assert len(caught) == 1
    assert load_hp(tmp_path)["rule_probs"] == [0.75, 0.25]


def test_counts_may_be_numpy_integers_and_whole_floats(tmp_path):
    settings = {**SETTINGS, "display_step": 2.0, "threads": np.int64(1)}
    train(tmp_path / "run", **settings, max_steps=np.float64(3))
    assert load_log(tmp_path / "run")["trials"] == [0, 32]


def test_a_load_dir_without_checkpoint_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="no checkpoint in nowhere"):
        train(tmp_path / "run", load_dir="nowhere", **SETTINGS)


def test_an_error_while_trials_are_generated_reaches_the_caller(tmp_path):
    n_threads = threading.active_count()
    with pytest.raises(MemoryError):
        train(tmp_path, {**HP, "batch_size_train": 10**12}, rule_trains=["gap"], threads=1)
    assert threading.active_count() == n_threads
    assert load_log(tmp_path)["trials"] == [0]
    assert not (tmp_path / ".lock").exists()


def test_a_cost_that_is_not_finite_ends_the_run_and_keeps_the_last_good_checkpoint(tmp_path):
    settings = {**SETTINGS, "hp": {**HP, "activation": "relu", "optimizer": "sgd", "learning_rate": 1e8}}
    with pytest.raises(TrainingDiverged, match=rf"{tmp_path}: the cost of \w+ is nan after \d+ trials; the last good"):
        train(tmp_path, **settings, max_steps=50)
    log = load_log(tmp_path)
    folders = sorted(path.name for path in tmp_path.iterdir() if path.is_dir())
    assert folders == sorted(map(str, log["trials"]))
    for folder in folders:
        assert all(np.isfinite(value).all() for value in tensors(tmp_path / folder).values())
    assert all(np.isfinite(log["cost_" + rule]).all() for rule in RULES)
    assert not any(name.startswith(".") for name in files(tmp_path))


# ------------------------------------------------------------------------------------------- what trains, from where


@pytest.mark.parametrize("trainables", ["input", "rule"])
def test_only_the_chosen_variables_change(tmp_path, trainables):
    hp = {**HP, "use_separate_input": True, "mix_rule": True}
    settings = {**SETTINGS, "hp": hp, "trainables": trainables}
    train(tmp_path, **settings, max_steps=3)
    first, last = variables(tmp_path / "0"), variables(tmp_path / "48")
    changed = {name for name in first if not np.array_equal(first[name], last[name])}
    sensory = {"sen_input/kernel", "sen_input/bias"} if trainables == "input" else set()
    assert changed == {"rule_input/kernel"} | sensory
    if trainables == "rule":
        with pytest.raises(ValueError, match="trainables.*rule.*input"):
            train(tmp_path, **{**settings, "trainables": "input"}, max_steps=4)


def penalty_of_distance(directory, hp):
    """What holds the weights near their initial values, at each checkpoint of a run."""
    trials = load_log(directory)["trials"]
    initial = variables(directory / "0")
    rng = np.random.RandomState(load_hp(directory)["seed"])
    names = ["rnn/leaky_rnn_cell/kernel", "output/weights"]
    held = {}
    for name in names:
        order = np.linspace(0, 1, initial[name].size)
        rng.shuffle(order)
        held[name] = (order > hp["p_weight_train"]).reshape(initial[name].shape) * 0.1
    penalties = []
    for folder in map(str, trials):
        moved = {name: variables(directory / folder)[name].astype(float) - initial[name] for name in names}
        penalties.append(sum(
            hp["l2_weight_init"] * (moved[name] ** 2).sum() / 2 + ((moved[name] * held[name]) ** 2).sum() / 2
            for name in names
        ))  # fmt: skip
    return penalties


def test_weights_are_held_near_where_a_run_began_also_when_it_goes_on(tmp_path, whole):
    """That is at what load_dir has, which is not needed any more when the run goes on."""
    start = shutil.copytree(whole / "96", tmp_path / "start")
    hp = {**HP, "l2_weight_init": 0.3, "p_weight_train": 0.4, "learning_rate": 0.05}
    settings = {**SETTINGS, "hp": hp, "load_dir": start}
    train(tmp_path / "expected", **settings, max_steps=6)
    train(tmp_path / "run", **settings, max_steps=4)
    shutil.rmtree(start)
    train(tmp_path / "run", **settings, max_steps=6)
    assert_same_run(tmp_path / "run", tmp_path / "expected")
    penalties = penalty_of_distance(tmp_path / "run", hp)
    assert penalties[0] == 0 and penalties[1] > 0.01
    for rule in RULES:
        np.testing.assert_allclose(load_log(tmp_path / "run")["creg_" + rule], penalties, rtol=1e-4)


def test_slim_keeps_the_optimizer_state_in_the_newest_checkpoint_only(server, tmp_path, whole):
    run = tmp_path / "run"
    arguments = {"model_dir": run, "max_steps": STEPS, **SETTINGS, "slim": True}
    # killed in the midst of slimming: hp.json, log.json, log.json have been renamed, then the short index
    killed = server.run(arguments, tmp_path / "out", signal_at=("os.replace", 5, None, int(signal.SIGKILL)))
    assert killed == -signal.SIGKILL and load_log(run)["trials"] == [0, 48]
    assert "variables.ckpt.data-00000-of-00001" in os.listdir(run / "0")
    assert variables(run / "0").keys() == tensors(run / "0").keys()
    train(**arguments)
    for trials in map(str, TRIALS):
        values, expected = variables(run / trials), variables(whole / trials)
        assert all(values[name].tobytes() == expected[name].tobytes() for name in expected)
        assert (values.keys() == tensors(run / trials).keys()) == (trials != "96")
        assert (run / trials / "training_state.json").exists() == (trials == "96")
    slim = {"checkpoint", "model.ckpt.data-00000-of-00001", "model.ckpt.index", "model.ckpt.meta"}
    assert set(os.listdir(run / "0")) == set(os.listdir(run / "48")) == slim
    assert_same_tensors(run / INTERRUPTED, whole / INTERRUPTED)


def test_load_dir_gives_weights_and_optimizer_state_and_nothing_else(tmp_path, whole):
    start, run = shutil.copytree(whole / "48", tmp_path / "start"), tmp_path / "run"
    train(run, **{**SETTINGS, "seed": 9}, load_dir=start, max_steps=1)
    assert_same_tensors(run / "0", whole / "48")
    values = tensors(run / "0")
    assert np.abs(values["rnn/leaky_rnn_cell/kernel/Adam"]).max() > 0 and values["beta1_power"] < 0.9
    assert load_log(run)["trials"] == [0]
    shutil.rmtree(start)  # not needed to go on
    train(run, **{**SETTINGS, "seed": 9}, load_dir=start, max_steps=2)


# ------------------------------------------------------------------------------------------------ do_eval


def evaluation_log(n=1):
    return {"model_dir": "", "trials": list(range(n)), "times": [0.0] * n}


@pytest.fixture(scope="module")
def session(whole):
    model = Model(whole)
    with tf1.Session(config=session_config(1)) as sess:
        model.restore(whole / "96")
        yield sess, model


def test_do_eval_evaluates_a_model_with_fresh_noise(session, whole, capfd):
    sess, model = session
    model.hp["rng"].seed(0)
    log = evaluation_log()
    assert do_eval(sess, model, log, "zero_gap") is log
    assert "Now training Zero_gap" in capfd.readouterr().out
    assert {key for key in log if key != "model_dir"} == {key for key in load_log(whole) if key != "model_dir"}
    assert log["perf_min"] == log["perf_avg"] == log["perf_zero_gap"]
    assert log["cost_overlap"][0] == pytest.approx(load_log(whole)["cost_overlap"][-1], rel=0.1)
    model.hp["rng"].seed(0)  # the same trials
    again = do_eval(sess, model, evaluation_log(), RULES)
    assert again["cost_overlap"] != log["cost_overlap"]
    assert again["cost_overlap"] == pytest.approx(log["cost_overlap"], rel=0.1)
    assert again["perf_min"][0] == min(again["perf_" + rule][0] for rule in RULES)


def test_growth_at_the_very_thresholds(session):
    sess, model = session
    log = evaluation_log(7)
    above = 1e-12
    for performance in (0.0, 0.35, 0.35 + above, 0.65, 0.65 + above, 0.95, 0.95 + above):
        do_eval(sess, model, log, RULES, [(1.0, 0.0, performance), (1.0, 0.0, 0.0)])
    names = ["=>E", "=>E", "E=>MID", "E=>MID", "MID=>A", "MID=>A", "MATURE"]
    assert log["growth"] == [{"overlap": name, "zero_gap": "=>E"} for name in names]
    assert log["perf_min"] == [0.0] * 7 and log["perf_avg"][1] == pytest.approx(0.175)


def test_do_eval_of_a_network_without_finite_output_says_so(session):
    sess, model = session
    bias = model.var_list[-1]
    with sess.as_default():
        value = sess.run(bias)
        bias.load(value * np.nan, sess)
        with pytest.raises(TrainingDiverged, match="the cost of overlap is nan;"):
            do_eval(sess, model, evaluation_log(), RULES)
        bias.load(value, sess)
