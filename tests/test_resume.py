"""Runs that are stopped, killed, damaged or given other settings, and go on, or are refused."""

import json
import os
import re
import shutil
import signal
import time
import zlib

import numpy as np
import pytest
from training_runs import (
    HP,
    INTERRUPTED,
    SETTINGS,
    STEPS,
    TRIALS,
    assert_same_run,
    contents,
    files,
    state,
)

from rnn_maturation.analysis import generate_neuron_info
from rnn_maturation.checkpoint import slim_checkpoint
from rnn_maturation.files import ModelDirectoryInUse, lock
from rnn_maturation.model_directory import load_hp, load_log, save_log
from rnn_maturation.train import train


@pytest.fixture
def copy(whole, tmp_path):
    """A copy of the whole run that may be damaged."""
    return shutil.copytree(whole, tmp_path / "copy")


@pytest.fixture(scope="module")
def longer(tmp_path_factory):
    """The same run, longer."""
    directory = tmp_path_factory.mktemp("longer") / "run"
    train(directory, max_steps=STEPS + 3, **SETTINGS)
    return directory


# ------------------------------------------------------------------------------------------------ going on


def test_going_on_after_max_steps_is_as_if_never_stopped(tmp_path, whole, longer, capfd):
    for max_steps, last in [(4, INTERRUPTED), (4, INTERRUPTED), (5, INTERRUPTED), (6, "96")]:
        train(tmp_path, max_steps=max_steps, **SETTINGS)
        assert state(tmp_path / last)["step"] == max_steps
        assert (tmp_path / INTERRUPTED).exists() == (last == INTERRUPTED)
    assert "resuming from trial 80" in capfd.readouterr().out
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
        trials.append(int(re.findall(r"stopped and saved at trial (\d+); the same command resumes", out)[-1]))
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
    assert f"{tmp_path}: this run has already reached its target, after 0 trials" in capfd.readouterr().out
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
        assert re.search(rf"{tmp_path}/run/{16 * number}\b.*\nGoing back to the previous", out), list(DAMAGES)[
            number - 1
        ]
    assert "resuming from trial 0\n" in out
    assert_same_run(tmp_path / "run", tmp_path / "expected")


@pytest.mark.parametrize("damage", ["index missing", "state truncated"])
def test_from_a_damaged_interruption_training_goes_back_to_the_checkpoint_before(copy, longer, capfd, damage):
    DAMAGES[damage](copy / INTERRUPTED)
    train(copy, max_steps=STEPS + 3, **SETTINGS)
    out = capfd.readouterr().out
    assert f"{copy}/{INTERRUPTED}" in out and "resuming from trial 96" in out
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
    "a run of the original": (remove_states, "no checkpoint from which it can be resumed.*load_dir.*overwrite"),
    "no checkpoint": (
        lambda run: [shutil.rmtree(run / name) for name in (*map(str, TRIALS), INTERRUPTED)],
        "no checkpoint from which it can be resumed.*load_dir.*overwrite",
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
