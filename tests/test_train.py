import fcntl
import json
import os
import re
import shutil
import signal
import struct
import termios
import threading
import time
import zlib

import numpy as np
import pytest
import tensorflow as tf

from rnn_maturation.analysis import generate_neuron_info
from rnn_maturation.files import ModelDirectoryInUse, lock
from rnn_maturation.hyperparameters import get_default_hp
from rnn_maturation.model_directory import load_hp, load_log, save_log
from rnn_maturation.network import Model, gen_feed_dict, get_perf, session_config, slim_checkpoint
from rnn_maturation.task import generate_trials, rules_dict
from rnn_maturation.train import TrainingDiverged, do_eval, train

HP = {
    "n_rnn": 16,
    "batch_size_train": 16,
    "batch_size_test": 32,
    "activation": "softplus",
    "learning_rate": 0.002,
    "target_perf": 1,
}
RULES = ["overlap", "zero_gap"]
SETTINGS = {"hp": HP, "display_step": 3, "rule_trains": RULES, "seed": 3, "threads": 1}
STEPS = 8  # of the whole run, which so ends between two evaluations
TRIALS = [0, 48, 96]  # of its checkpoints
INTERRUPTED = "interrupted"


# ------------------------------------------------------------------------------------------------ helpers


def state(folder):
    return json.loads((folder / "training_state.json").read_text())


def tensors(folder):
    reader = tf.train.load_checkpoint(str(folder / "model.ckpt"))
    return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}


def variables(folder):
    return {name: value for name, value in tensors(folder).items() if "Adam" not in name and "power" not in name}


def files(directory):
    """Every file and folder in a directory, hidden ones too, relative to it."""
    return sorted(str(path.relative_to(directory)) for path in directory.rglob("*"))


def contents(directory):
    return {name: (directory / name).read_bytes() for name in files(directory) if (directory / name).is_file()}


def assert_same_tensors(folder, expected_folder):
    values, expected = tensors(folder), tensors(expected_folder)
    assert values.keys() == expected.keys()
    for name, value in values.items():
        assert value.tobytes() == expected[name].tobytes(), name


def assert_same_run(directory, expected):
    """The same to the last bit, apart from the times in the log; and no file more."""
    assert files(directory) == files(expected)
    assert (directory / "hp.json").read_bytes() == (expected / "hp.json").read_bytes()
    log, expected_log = load_log(directory), load_log(expected)
    assert len(log.pop("times")) == len(expected_log.pop("times"))
    assert {**log, "model_dir": None} == {**expected_log, "model_dir": None}
    for folder in [path for path in expected.iterdir() if path.is_dir()]:
        assert state(directory / folder.name) == state(folder)
        assert_same_tensors(directory / folder.name, folder)


def same_state(saved, rng):
    """Whether a generator is where a checkpoint has it."""
    name, keys, *rest = saved["rng"]
    expected = rng.get_state()
    return (name, *rest) == (expected[0], *expected[2:]) and keys == expected[1].tolist()


@pytest.fixture
def copy(whole, tmp_path):
    """A copy of the whole run that may be damaged."""
    return shutil.copytree(whole, tmp_path / "copy")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run never interrupted, to the end of max_steps."""
    directory = tmp_path_factory.mktemp("whole") / "run"
    train(directory, max_steps=STEPS, **SETTINGS)
    return directory


@pytest.fixture(scope="module")
def longer(tmp_path_factory):
    """The same run, longer."""
    directory = tmp_path_factory.mktemp("longer") / "run"
    train(directory, max_steps=STEPS + 3, **SETTINGS)
    return directory


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
        with tf.compat.v1.Session(config=session_config(1)) as sess:
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
    assert "max_steps, 32 trials" in lines[3] and "--max_trials" in lines[3]
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


# ------------------------------------------------------------------------------------------------ going on


def test_going_on_after_max_steps_is_as_if_never_stopped(tmp_path, whole, longer, capfd):
    for max_steps, last in [(4, INTERRUPTED), (4, INTERRUPTED), (5, INTERRUPTED), (6, "96")]:
        train(tmp_path, max_steps=max_steps, **SETTINGS)
        assert state(tmp_path / last)["step"] == max_steps
        assert (tmp_path / INTERRUPTED).exists() == (last == INTERRUPTED)
    assert "going on from trial 80" in capfd.readouterr().out
    train(tmp_path, max_steps=STEPS, **SETTINGS)
    assert_same_run(tmp_path, whole)
    train(tmp_path, max_steps=STEPS + 3, **SETTINGS)
    assert_same_run(tmp_path, longer)


def test_a_smaller_max_steps_leaves_a_run_as_it_is(copy, whole):
    train(copy, max_steps=4, **SETTINGS)
    assert_same_run(copy, whole)


SESSION_RUN = "tensorflow.compat.v1.Session.run"
KILLED_AT = [SESSION_RUN, "os.fsync", "os.replace", "os.rename", "os.link", "os.chmod", "os.unlink", "tempfile.mkdtemp"]
KILL_RUN = {"max_steps": 11, **SETTINGS, "display_step": 2}


def random_signal(rng):
    """Most often SIGKILL, at a call of a function or up to 10 ms after it has begun; sometimes Ctrl-C."""
    function = KILLED_AT[rng.randint(len(KILLED_AT))]
    n_calls = {SESSION_RUN: 15, "os.fsync": 16}.get(function, 3)
    delay = None if rng.rand() < 0.5 else 0.01 * rng.rand()
    return function, 1 + rng.randint(n_calls), delay, int(signal.SIGINT if rng.rand() < 0.2 else signal.SIGKILL)


def run_with_kills(server, tmp_path, signals, enough=None):
    """Start a process for each signal, or until enough were killed, and one without; compare each run at its end."""
    expected, signals = tmp_path / "expected", iter(signals)
    train(expected, **KILL_RUN)
    n_runs, n_killed, sent = 0, 0, ""
    while sent is not None:
        sent = None if n_killed == enough else next(signals, None)
        directory, output = tmp_path / str(n_runs), tmp_path / f"{n_runs}.out"
        code = server.run({"model_dir": directory, **KILL_RUN}, output, signal_at=sent)
        assert code in (0, 130, -signal.SIGKILL), output.read_text()
        n_killed += code == -signal.SIGKILL
        if code == 0:
            assert_same_run(directory, expected)
            n_runs += 1
    assert n_runs > 0 and n_killed == (enough or n_killed)


def test_killed_anywhere_a_run_comes_to_the_same_end(server, tmp_path):
    """In steps, evaluations and restoring; before and in each kind of call that writes hp.json, checkpoint or log."""
    calls = [(function, *when) for function in KILLED_AT[1:] for when in ((1, None), (2, 0.001))]
    calls += [(SESSION_RUN, call, 0.002) for call in (2, 5, 7, 9)]
    run_with_kills(server, tmp_path, [(*call, int(signal.SIGKILL)) for call in calls])


@pytest.mark.slow
def test_killed_200_times_runs_come_to_the_same_end(server, tmp_path):
    rng = np.random.RandomState(1)
    run_with_kills(server, tmp_path, iter(lambda: random_signal(rng), None), enough=200)


@pytest.mark.slow
def test_killed_at_random_times_a_run_comes_to_the_same_end(server, tmp_path):
    """Also while the graph is built and the checkpoint is read."""
    rng = np.random.RandomState(2)
    for _ in range(40):
        sent = "fcntl.flock", 1, 1.2 * rng.rand(), int(signal.SIGKILL)
        code = server.run({"model_dir": tmp_path / "run", **KILL_RUN}, tmp_path / "out", signal_at=sent)
        assert code in (0, -signal.SIGKILL)
    assert server.run({"model_dir": tmp_path / "run", **KILL_RUN}, tmp_path / "out") == 0
    assert server.run({"model_dir": tmp_path / "expected", **KILL_RUN}, tmp_path / "out") == 0
    assert_same_run(tmp_path / "run", tmp_path / "expected")


def stop_at(server, tmp_path, number, call):
    """Stop a run by a signal at a session run; what it printed."""
    arguments = {"model_dir": tmp_path / "run", "max_steps": STEPS, **SETTINGS}
    code = server.run(arguments, tmp_path / "out", signal_at=(SESSION_RUN, call, None, int(number)))
    assert code == 128 + number
    return (tmp_path / "out").read_text()


def test_stopped_in_a_step_a_run_is_saved_and_goes_on(server, tmp_path, whole):
    trials = []
    for number in (signal.SIGINT, signal.SIGTERM):  # the second process goes on from what the first one has saved
        out = stop_at(server, tmp_path, number, call=6 - len(trials))
        trials.append(int(re.findall(r"stopped and saved at trial (\d+); the same command goes on", out)[-1]))
        assert state(tmp_path / "run" / INTERRUPTED)["step"] == trials[-1] / 16
        assert not (tmp_path / "run" / ".lock").exists()
    assert 0 < trials[0] <= trials[1] < 96 and trials[0] % 48
    train(tmp_path / "run", max_steps=STEPS, **SETTINGS)
    assert_same_run(tmp_path / "run", whole)


def test_stopped_in_an_evaluation_a_run_evaluates_again(server, tmp_path, whole, capfd):
    assert "stopped and saved at trial 48" in stop_at(server, tmp_path, signal.SIGINT, call=8)
    assert load_log(tmp_path / "run")["trials"] == [0]
    # and the next process is killed when it has logged that evaluation, before it removes what it came from
    arguments = {"model_dir": tmp_path / "run", "max_steps": STEPS, **SETTINGS}
    killed = server.run(arguments, tmp_path / "out", signal_at=("shutil.rmtree", 2, None, int(signal.SIGKILL)))
    assert killed == -signal.SIGKILL
    assert load_log(tmp_path / "run")["trials"] == [0, 48]
    assert state(tmp_path / "run" / INTERRUPTED)["step"] == 3
    train(tmp_path / "run", max_steps=STEPS, **SETTINGS)
    assert_same_run(tmp_path / "run", whole)


def test_a_signal_in_the_last_step_is_not_forgotten(server, tmp_path, whole):
    out = stop_at(server, tmp_path, signal.SIGTERM, call=18)  # initial values, 3 x (2 rules, saving), 8 steps
    assert "ended at max_steps" in out
    assert_same_run(tmp_path / "run", whole)


# ------------------------------------------------------------------------------------------------ finished, in use


def test_a_finished_run_is_left_as_it_is_unless_overwritten(tmp_path, capfd):
    finished = {**SETTINGS, "hp": {**HP, "target_perf": 0}}
    train(tmp_path, **finished)
    (tmp_path / INTERRUPTED).mkdir()  # as a kill at the very end may leave it
    before = contents(tmp_path)
    capfd.readouterr()
    log = train(tmp_path, **finished)
    assert f"{tmp_path}: trained to its target already, in 0 trials; --overwrite" in capfd.readouterr().out
    assert contents(tmp_path) == before and not (tmp_path / INTERRUPTED).exists()
    assert log == load_log(tmp_path)


def test_overwrite_deletes_the_run_and_nothing_else(copy, whole, tmp_path):
    other = shutil.copytree(whole / "96", tmp_path / "other")
    (copy / "112").symlink_to(other)
    for name in ("0/H_odr.pkl", "48/neuron_info_odr_stim1.pkl", "task_info.pkl", "mine.txt", "2021/photo.jpg", "96/x"):
        (copy / name).parent.mkdir(exist_ok=True)
        (copy / name).write_text("")
    settings = {"hp": {**HP, "n_rnn": 8}, "rule_trains": ["gap"], "max_steps": 1, "threads": 1}
    train(copy, **settings, overwrite=True)
    train(tmp_path / "new", **settings)
    mine = ["2021", "2021/photo.jpg", "96", "96/x", "mine.txt"]
    assert [name for name in files(copy) if name not in mine] == files(tmp_path / "new")
    assert set(mine) < set(files(copy)) and contents(other) == contents(whole / "96")
    assert contents(copy)["hp.json"] == contents(tmp_path / "new")["hp.json"]


def test_overwrite_does_not_delete_what_it_shall_start_from(copy):
    before = contents(copy)
    with pytest.raises(ValueError, match="load_dir .*48 is a part of the run to overwrite"):
        train(copy, overwrite=True, load_dir=copy / "48", **SETTINGS)
    assert contents(copy) == before


def test_a_second_process_is_refused_and_a_killed_one_makes_room(server, tmp_path, whole):
    arguments = {"model_dir": tmp_path / "run", "max_steps": 10**6, **SETTINGS}
    process = server.start(arguments, tmp_path / "out")
    deadline = time.time() + 30
    while not (tmp_path / "run" / "48").exists() and time.time() < deadline:
        time.sleep(0.02)
    for overwrite in (False, True):
        with pytest.raises(ModelDirectoryInUse, match=rf"{tmp_path}/run is in use .*{process}"):
            train(tmp_path / "run", overwrite=overwrite, **SETTINGS)
    os.kill(process, signal.SIGKILL)
    assert server.wait(process) == -signal.SIGKILL
    with lock(tmp_path / "run"):
        log = load_log(tmp_path / "run")
        log = {key: values[:2] if isinstance(values, list) else values for key, values in log.items()}
        save_log(log)
        for folder in [path for path in (tmp_path / "run").iterdir() if path.is_dir() and path.name not in ("0", "48")]:
            shutil.rmtree(folder)
    train(tmp_path / "run", max_steps=STEPS, **SETTINGS)
    assert_same_run(tmp_path / "run", whole)


# ------------------------------------------------------------------------------------------------ other settings


def test_other_hyper_parameters_are_refused_by_name(copy):
    before = contents(copy)
    changed = {**SETTINGS, "hp": {**HP, "n_rnn": 17, "l2_h": 0.5}, "seed": 4, "rule_trains": ["gap", "overlap"]}
    with pytest.raises(ValueError) as error:
        train(copy, **changed)
    message = str(error.value)
    for part in [str(copy), "n_rnn 16 (now 17)", "l2_h 0 (now 0.5)", "seed 3 (now 4)", "now ['gap', 'overlap']",
                 "rule_trains", "rules", "--overwrite"]:  # fmt: skip
        assert part in message
    assert "rule_probs" not in message and "learning_rate" not in message
    with pytest.raises(ValueError, match="rule_probs"):
        train(copy, rule_prob_map={"overlap": 3}, **SETTINGS)
    assert contents(copy) == before


@pytest.mark.parametrize(
    "changed, named", [({"display_step": 4}, "display_step.*3.*4"), ({"load_dir": "elsewhere"}, "load_dir.*elsewhere")]
)
def test_other_settings_are_refused(copy, changed, named):
    before = contents(copy)
    with pytest.raises(ValueError, match=named):
        train(copy, **{**SETTINGS, **changed}, max_steps=20)
    assert contents(copy) == before


BAD_ARGUMENTS = [
    ({"ruleset": "six"}, "ruleset .*'six'.*all_new"),
    ({"rule_trains": ["odr", "sleep"]}, "rule_trains has 'sleep'.*overlap"),
    ({"rule_trains": []}, "rule_trains"),
    ({"rule_trains": ["gap", "gap"]}, "rule_trains.*different"),
    ({"rule_trains": 5}, "rule_trains"),
    ({"rule_prob_map": {"sleep": 1}}, "rule_prob_map names sleep.*overlap"),
    ({"rule_prob_map": {"overlap": -1}}, "rule_prob_map.*from 0"),
    ({"rule_prob_map": {"overlap": float("nan")}}, "rule_prob_map.*from 0"),
    ({"rule_prob_map": {"overlap": "often"}}, "rule_prob_map.*from 0"),
    ({"rule_prob_map": {"overlap": 0, "zero_gap": 0}}, "rule_prob_map.*not all 0"),
    ({"rule_prob_map": [0.5, 0.5]}, "rule_prob_map must be a dict"),
    ({"seed": -1}, "seed .*from 0"),
    ({"seed": 0.5}, "seed .*integer"),
    ({"seed": "a"}, "seed .*integer"),
    ({"max_steps": 0}, "max_steps.*from 1"),
    ({"max_steps": 1.5}, "max_steps.*whole"),
    ({"max_steps": float("inf")}, "max_steps.*whole"),
    ({"max_steps": "10"}, "max_steps.*whole"),
    ({"display_step": 0}, "display_step.*from 1"),
    ({"display_step": True}, "display_step.*whole"),
    ({"display_step": None}, "display_step.*whole"),
    ({"threads": 0}, "threads.*from 1"),
    ({"threads": -1}, "threads.*from 1"),
    ({"trainables": "output"}, "trainables.*'output'.*all, input, rule"),
    ({"trainables": ["input"]}, "trainables.*all, input, rule"),
    ({"trainables": "rule"}, "use_separate_input"),
    ({"hp": {"n_rnm": 8}}, "n_rnm.*n_rnn"),
    ({"hp": {"n_rnn": 0}}, "n_rnn.*at least 1"),
    ({"hp": {"in_type": "multi"}}, "in_type.*'multi'.*'normal'"),
]


@pytest.mark.parametrize("bad, message", BAD_ARGUMENTS, ids=str)
def test_bad_arguments_are_one_clear_error_and_leave_nothing_behind(tmp_path, bad, message):
    with pytest.raises(ValueError, match=message) as error:
        train(tmp_path / "run", **{**SETTINGS, "max_steps": 2, **bad})
    assert "\n" not in str(error.value)
    assert not (tmp_path / "run").exists()


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


# ------------------------------------------------------------------------------------------------ damage


def flip(file, position):
    data = bytearray(file.read_bytes())
    data[position] ^= 1
    file.write_bytes(data)


def another_digit(file):
    """A file of numbers that looks right."""
    text = file.read_text()
    digit = re.search(r"[1-8](?=\d{5})", text).start()
    file.write_text(text[:digit] + str(int(text[digit]) + 1) + text[digit + 1 :])


def truncate(file):
    os.truncate(file, file.stat().st_size // 2)


def forge(folder, change):
    """A state with a right checksum that no run has written."""
    file = folder / "training_state.json"
    forged = json.loads(file.read_text())
    del forged["checksum"]
    change(forged)
    file.write_text(json.dumps({**forged, "checksum": zlib.crc32(json.dumps(forged).encode())}))


FORGERIES = {  # numpy would read the memory behind its 624 numbers
    "position far outside": lambda forged: forged["rng"].__setitem__(2, 2 * 10**9),
    "position outside": lambda forged: forged["rng"].__setitem__(2, 625),
    "position before": lambda forged: forged["rng"].__setitem__(2, -1),
    "few keys": lambda forged: forged["rng"].__setitem__(1, [1]),
    "large keys": lambda forged: forged["rng"].__setitem__(1, [2**40] * 624),
    "another generator": lambda forged: forged["rng"].__setitem__(0, "PCG64"),
    "no generator": lambda forged: forged.update(rng=None),
    "no settings": lambda forged: forged.pop("settings"),
    "no step": lambda forged: forged.pop("step"),
    "step another": lambda forged: forged.update(step=forged["step"] + 1),
    "step before": lambda forged: forged.update(step=-20),
    "step broken": lambda forged: forged.update(step=forged["step"] + 0.5),
    "step a text": lambda forged: forged.update(step="7"),
    "step huge": lambda forged: forged.update(step=10**30),
}
DAMAGES = {
    "data truncated": lambda folder: truncate(folder / "model.ckpt.data-00000-of-00001"),
    "data flipped": lambda folder: flip(folder / "model.ckpt.data-00000-of-00001", 1000),
    "data missing": lambda folder: (folder / "model.ckpt.data-00000-of-00001").unlink(),
    "index flipped": lambda folder: flip(folder / "model.ckpt.index", 100),
    "index missing": lambda folder: (folder / "model.ckpt.index").unlink(),
    "state truncated": lambda folder: truncate(folder / "training_state.json"),
    "state empty": lambda folder: (folder / "training_state.json").write_text(""),
    "state another digit": lambda folder: another_digit(folder / "training_state.json"),
    "state a list": lambda folder: (folder / "training_state.json").write_text("[1]"),
    "state deep": lambda folder: (folder / "training_state.json").write_text("[" * 100_000),
    **{name: lambda folder, change=change: forge(folder, change) for name, change in FORGERIES.items()},
}


def test_training_goes_back_over_damaged_checkpoints_to_a_good_one(tmp_path, capfd):
    settings = {**SETTINGS, "display_step": 1, "max_steps": len(DAMAGES)}
    train(tmp_path / "run", **settings)
    shutil.copytree(tmp_path / "run", tmp_path / "expected")
    capfd.readouterr()
    for number, damage in enumerate(DAMAGES.values(), 1):
        damage(tmp_path / "run" / str(16 * number))
    train(tmp_path / "run", **settings)
    out = capfd.readouterr().out
    for number in range(1, len(DAMAGES) + 1):
        assert re.search(rf"{tmp_path}/run/{16 * number}\b.*\nGoing back", out), list(DAMAGES)[number - 1]
    assert "going on from trial 0\n" in out
    assert_same_run(tmp_path / "run", tmp_path / "expected")


@pytest.mark.parametrize("damage", ["index missing", "state truncated"])
def test_from_a_damaged_interruption_training_goes_back_to_the_checkpoint_before(copy, longer, capfd, damage):
    DAMAGES[damage](copy / INTERRUPTED)
    train(copy, max_steps=STEPS + 3, **SETTINGS)
    out = capfd.readouterr().out
    assert f"{copy}/{INTERRUPTED}" in out and "going on from trial 96" in out
    assert_same_run(copy, longer)


@pytest.mark.parametrize("name", ["144", INTERRUPTED, ".lock"])
def test_a_run_is_not_written_through_links(copy, tmp_path, name):
    """A directory from somebody else may have links where the next checkpoint or the lock will be."""
    (tmp_path / "other").mkdir()
    shutil.rmtree(copy / name, ignore_errors=True)
    (copy / name).symlink_to(tmp_path / "other", target_is_directory=True)
    with pytest.raises(ValueError, match=f"{copy}/{name} is a link to '{tmp_path}/other'.*a copy of what it leads to"):
        train(copy, max_steps=STEPS + 3, **SETTINGS)
    assert not list((tmp_path / "other").iterdir())


def test_analyses_are_not_written_through_links(copy, tmp_path):
    shutil.move(copy / "48", tmp_path / "48")
    (copy / "48").symlink_to(tmp_path / "48")
    before = contents(tmp_path / "48")
    with pytest.raises(ValueError, match=f"{copy}/48 is a link to '{tmp_path}/48'"):
        generate_neuron_info(load_hp(copy), copy, ["stim1"], [48], ["gap"], verbose=False)
    with pytest.raises(ValueError, match=f"{copy}/48 is a link to '{tmp_path}/48'"):
        slim_checkpoint(copy / "48")
    assert contents(tmp_path / "48") == before


def remove_states(directory):
    for file in directory.glob("*/training_state.json"):
        file.unlink()


def drop_from_log(directory, key):
    log = json.loads((directory / "log.json").read_text())
    del log[key]
    (directory / "log.json").write_text(json.dumps(log))


BAD_RUNS = {
    "log.json truncated": (lambda run: truncate(run / "log.json"), "log.json is damaged.*copy"),
    "log.json empty": (lambda run: (run / "log.json").write_text(""), "log.json is damaged.*copy"),
    "log.json lacks perf_min": (lambda run: drop_from_log(run, "perf_min"), "log.json.*perf_min.*overwrite"),
    "log.json lacks a rule": (lambda run: drop_from_log(run, "cost_overlap"), "log.json.*cost_overlap.*overwrite"),
    "log.json missing": (lambda run: (run / "log.json").unlink(), "log.json.*overwrite"),
    "hp.json truncated": (lambda run: truncate(run / "hp.json"), "hp.json is damaged.*copy"),
    "hp.json missing": (lambda run: (run / "hp.json").unlink(), "hp.json.*overwrite"),
    "a run of the original": (remove_states, "no checkpoint to go on from.*load_dir.*overwrite"),
    "no checkpoint": (
        lambda run: [shutil.rmtree(run / name) for name in (*map(str, TRIALS), INTERRUPTED)],
        "no checkpoint to go on from.*load_dir.*overwrite",
    ),
}


@pytest.mark.parametrize("case", BAD_RUNS)
def test_what_cannot_be_gone_on_with_is_refused_and_left_as_it_is(copy, case):
    damage, message = BAD_RUNS[case]
    damage(copy)
    before = contents(copy)
    with pytest.raises(ValueError, match=message) as error:
        train(copy, max_steps=STEPS, **SETTINGS)
    assert str(copy) in str(error.value) and "\n" not in str(error.value)
    assert contents(copy) == before


def test_checkpoints_with_neither_log_nor_hp_are_refused(copy):
    (copy / "hp.json").unlink()
    (copy / "log.json").unlink()
    with pytest.raises(ValueError, match="without its hp.json"):
        train(copy, max_steps=STEPS, **SETTINGS)


def test_what_a_user_added_to_the_log_is_kept_when_the_run_goes_on(copy):
    shutil.rmtree(copy / INTERRUPTED)
    shutil.rmtree(copy / "96")  # so that the log is cut
    notes = [f"line {n}" for n in range(5)]
    log = json.loads((copy / "log.json").read_text())
    (copy / "log.json").write_text(json.dumps({**log, "notes": notes}))
    with pytest.warns(UserWarning, match="log.json has keys that this program does not know: notes"):
        train(copy, max_steps=STEPS, **SETTINGS)
    log = json.loads((copy / "log.json").read_text())
    assert log["notes"] == notes and log["trials"] == TRIALS and len(log["perf_min"]) == len(TRIALS)


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
    with tf.compat.v1.Session(config=session_config(1)) as sess:
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
