"""Sweeps: the table of variants, runs side by side on this machine and on a Dask cluster, states, table, figures."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import Analysis_with_diff_HyperParameters
import Training_with_diff_HyperParameters
from rnn_maturation import cpu, figures, jobs, sweep, training_process, variants
from rnn_maturation.hyperparameters import complete_hp
from rnn_maturation.model_directory import load_hp, load_log, load_pickle, lock, neuron_info_file, save_log
from rnn_maturation.sweep import (
    VARIANTS,
    Run,
    choose_runs,
    find_runs,
    median_growth,
    parse_seeds,
    plot_sweep_summary,
    sweep_table,
    table_text,
    train_runs,
    trials_to_criterion,
    write_table,
)

HERE = Path(__file__).parent
GOLDEN_RUN = HERE / "golden" / "run"  # the original's log, to .995 in 488,960 trials
TINY = {"n_rnn": 8, "batch_size_train": 4, "batch_size_test": 16, "target_perf": 1.0}
HP_OPTION = [f"{key}={value}" for key, value in TINY.items()]
LONG = 800  # trials of a tiny run that lasts some seconds
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(HERE.parent), "TF_CPP_MIN_LOG_LEVEL": "3"}


def put_run(root, name, **changes):
    """The original's run as a model directory without checkpoints."""
    folder = Path(root) / name
    shutil.copytree(GOLDEN_RUN, folder)
    hp = json.loads((folder / "hp.json").read_text())
    (folder / "hp.json").write_text(json.dumps({**hp, **changes}))
    return folder


def cut(folder, n):
    """Take all but the first n evaluations out of a log."""
    log = load_log(folder)
    save_log({key: value[:n] if isinstance(value, list) else value for key, value in log.items()}, folder)


def wait_for(condition, limit=90):
    end = time.monotonic() + limit
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.02)


def evaluations(folder):
    """How many evaluations a run has logged."""
    with contextlib.suppress(OSError, TypeError):
        return len(load_log(folder)["trials"])
    return 0


def processes_of(root):
    """This machine's processes that train below a folder, {number: command line}."""
    found = {}
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            command = path.read_bytes().decode(errors="replace")
            if "rnn_maturation.training_process" in command and str(root) in command:
                found[int(path.parent.name)] = command
    return found


def weights(folder):
    import tensorflow as tf

    reader = tf.train.load_checkpoint(str(folder / "model.ckpt"))
    return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}


def train_alone(directory, rules, max_trials, **settings):
    """The same run as a sweep's, in this process and not interrupted."""
    from rnn_maturation.train import train

    hp = {**variants.COMMON, **TINY}
    train(directory, hp=hp, max_steps=max_trials // 4, rule_trains=rules, threads=1, **settings)


def assert_same_run(directory, expected):
    log, expected_log = load_log(directory), load_log(expected)
    for key in set(expected_log) - {"model_dir", "times"}:
        assert log[key] == expected_log[key], key
    last = str(expected_log["trials"][-1])
    found, wanted = weights(Path(directory) / last), weights(Path(expected) / last)
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        assert found[name].tobytes() == value.tobytes(), name


# ------------------------------------------------------------------------------------------------------- the table


def test_the_table_has_the_main_run_and_the_26_variants_of_the_original():
    sets = {"set1": 4, "set2": 4, "set3": 2, "set4": 3, "set5": 2, "set6": 3, "set7": 2}
    expected = [f"{name}_exp{i}" for name, n in sets.items() for i in range(1, n + 1)]
    expected += ["indi_odr", "indi_odrd", "indi_odr_odrd", "indi_gap", "indi_zero_gap", "indi_overlap"]
    assert sorted(VARIANTS) == sorted([*expected, "6tasks"]) and len(expected) == 26


DIFFERENCES = {
    **{f"set1_exp{i}": {"n_rnn": n} for i, n in enumerate((64, 128, 512, 1024), 1)},
    **{f"set2_exp{i}": {"activation": name} for i, name in enumerate(("tanh", "relu", "elu", "power"), 1)},
    "set3_exp1": {"w_rec_init": "diag"},
    "set3_exp2": {"w_rec_init": "randgauss"},
    **{f"set4_exp{i}": {"learning_rate": rate} for i, rate in enumerate((1e-4, 1e-2, 1e-1), 1)},
    "set7_exp1": {"rnn_type": "LeakyGRU"},
    "set7_exp2": {"rnn_type": "GRU"},
    "6tasks": {"target_perf": 0.995},
}
RULESETS = {
    "set5_exp1": "mix_MoN_6tasks", "set5_exp2": "mix_p_MoN_6tasks", "set6_exp1": "all_new_odr3000",
    "set6_exp2": "all_new_odr6000", "set6_exp3": "all_new_odr15000",
}  # fmt: skip
SIX_RULES = ["overlap", "zero_gap", "gap", "odr", "odrd", "gap500"]


@pytest.mark.parametrize("name", VARIANTS)
def test_a_variant_differs_from_the_others_in_what_its_name_stands_for(name):
    variant = VARIANTS[name]
    hp = complete_hp({**variant.whole_hp, "ruleset": variant.ruleset, "rule_trains": variant.trained_rules})
    plain = {"activation": "softplus", "n_rnn": 256, "learning_rate": 0.001, "mix_rule": True, "target_perf": 0.95}
    expected = complete_hp({**plain, **DIFFERENCES.get(name, {}), "ruleset": RULESETS.get(name, "all_new")})
    assert {**hp, "rule_trains": None} == {**expected, "rule_trains": None}
    if name.startswith("indi_"):
        alone = {"odr_odrd": ["odr", "odrd"]}
        assert variant.trained_rules == alone.get(name[5:], [name[5:]])
    elif name not in RULESETS:
        assert sorted(variant.trained_rules) == sorted(SIX_RULES)


def test_the_main_run_is_that_of_main_training():
    import Main_training

    variant = VARIANTS["6tasks"]
    assert (variant.whole_hp, variant.ruleset) == (Main_training.HP, Main_training.RULESET)
    assert variant.trained_rules == Main_training.RULES
    assert variants.DISPLAY_STEP == Main_training.DISPLAY_STEP


def test_analyses_belong_to_variants_as_published():
    both = {"odr": ("stim1", "delay1"), "odrd": ("stim1", "delay1", "delay2")}
    for name, variant in VARIANTS.items():
        assert set(variant.units) <= set(variant.trained_rules) and set(variant.saccades) <= set(variant.trained_rules)
        assert variant.norm == (name not in ("set2_exp2", "set2_exp3"))
        if name[:4] in ("set1", "set2", "set3", "set5") or name == "set4_exp1":
            assert variant.units == both and not variant.saccades and not variant.distractor
    assert not VARIANTS["set4_exp2"].units and not VARIANTS["set4_exp3"].units
    assert VARIANTS["set6_exp2"].units == {"odr6000": both["odr"], "odrd": both["odrd"]}
    assert VARIANTS["indi_gap"].units == {"gap": ("stim1",)} and VARIANTS["indi_gap"].saccades == ("gap",)
    assert [name for name, variant in VARIANTS.items() if variant.distractor] == [
        "6tasks", "indi_odrd", "indi_odr_odrd", "set7_exp1", "set7_exp2"
    ]  # fmt: skip
    assert set(VARIANTS["set7_exp1"].units) == {"odr", "odrd", "overlap", "zero_gap", "gap"}


def test_runs_are_chosen_by_name_pattern_and_seed():
    assert len(choose_runs()) == 26 and "6tasks" not in {run.variant for run in choose_runs()}
    names = [run.name for run in choose_runs(["set3_*", "6tasks"], [0, 2])]
    assert names == [
        "6tasks", "6tasks_seed2", "set3_exp1", "set3_exp1_seed2", "set3_exp2", "set3_exp2_seed2"
    ]  # fmt: skip
    assert choose_runs(["set3_exp1"], [4], "runs")[0].model_dir == str(Path("runs/set3_exp1_seed4"))
    with pytest.raises(ValueError, match="'set3_exp9': did you mean set3_exp2.*--list"):
        choose_runs(["set3_exp9"])


@pytest.mark.parametrize("text, seeds", [("0", [0]), ("0-4", [0, 1, 2, 3, 4]), ("7,0,2-3, 2", [0, 2, 3, 7])])
def test_seeds_are_read_from_lists_and_ranges(text, seeds):
    assert parse_seeds(text) == seeds


@pytest.mark.parametrize("text", ["", "a", "3-1", "-1", "1.5", "0-99999999999", "1,,2"])
def test_other_seeds_are_refused(text):
    with pytest.raises(ValueError, match="write them like 0-4 or 0,2,5-7"):
        parse_seeds(text)


def test_runs_on_disk_are_found_by_their_names(tmp_path):
    for name in ("6tasks_seed10", "6tasks_seed2", "6tasks", "6tasks_paper", "6tasks_seed0", "indi_odr", "indi_odrd"):
        put_run(tmp_path, name)
    (tmp_path / "set1_exp1").mkdir()
    assert [run.name for run in find_runs(tmp_path)] == [
        "6tasks", "6tasks_seed2", "6tasks_seed10", "indi_odr", "indi_odrd"
    ]  # fmt: skip
    assert find_runs(tmp_path / "nowhere") == []


# ------------------------------------------------------------------------------------------- sweep.csv and figures

CROSSINGS = {  # of the original's run, thousand trials
    "overlap": (24, 55, 61), "zero_gap": (26, 55, 61), "gap": (35, 50, 61), "gap500": (26, 50, 61),
    "odr": (396, 425, 474), "odrd": (397, 452, 486),
}  # fmt: skip


@pytest.mark.parametrize("rule", CROSSINGS)
def test_trials_to_criterion_are_those_told_of_the_originals_run(rule):
    log = load_log(GOLDEN_RUN)
    found = [round(trials_to_criterion(log, rule, criterion) / 1000) for criterion in sweep.CRITERIA]
    assert tuple(found) == CROSSINGS[rule]


def test_a_criterion_that_is_never_reached_is_none():
    assert trials_to_criterion({"trials": [0, 4], "perf_odr": [0.1, 0.2]}, "odr", 0.35) is None


def test_the_table_tells_what_folders_tell(tmp_path):
    put_run(tmp_path, "6tasks", target_perf=0.99)
    cut(put_run(tmp_path, "6tasks_seed3", target_perf=0.99), 100)
    (put_run(tmp_path, "indi_odr") / "log.json").write_text("{")
    (put_run(tmp_path, "indi_gap") / "log.json").unlink()
    table = sweep_table(find_runs(tmp_path)).set_index(["variant", "seed"])
    assert table["state"].to_dict() == {
        ("6tasks", 0): "trained", ("6tasks", 3): "unfinished", ("indi_odr", 0): "failed", ("indi_gap", 0): "unfinished"
    }  # fmt: skip
    log = load_log(tmp_path / "6tasks")
    row = table.loc["6tasks", 0]
    assert (row["trials"], row["perf_min"], row["perf_odrd"]) == (488960, log["perf_min"][-1], log["perf_odrd"][-1])
    assert row["wall_s"] == round(log["times"][-1], 1) and row["odr_to_0.35"] == 395520
    assert pd.isna(table.loc["6tasks", 3]["odr_to_0.35"]) and "damaged" in table.loc["indi_odr", 0]["message"]


def test_how_earlier_runs_ended_stays_in_the_file_until_they_are_trained(tmp_path):
    for seed in (1, 2, 3):
        cut(put_run(tmp_path, f"6tasks_seed{seed}", target_perf=0.99), 100)
    ended = {Run("6tasks", seed, str(tmp_path)): ("limit", f'line {seed}\n, "x"') for seed in (1, 2)}
    write_table(tmp_path, ended)
    shutil.rmtree(tmp_path / "6tasks_seed2")
    put_run(tmp_path, "6tasks_seed2", target_perf=0.99)
    (tmp_path / "6tasks_seed4").mkdir()
    shutil.copy(tmp_path / "6tasks_seed1" / "hp.json", tmp_path / "6tasks_seed4")  # ended before its first evaluation
    write_table(tmp_path, {Run("6tasks", 4, str(tmp_path)): ("failed", "no room")})
    write_table(tmp_path, {Run("6tasks", 3, str(tmp_path)): ("diverged", "")})
    table = pd.read_csv(tmp_path / "sweep.csv").set_index("seed")
    assert table["state"].to_dict() == {1: "limit", 2: "trained", 3: "diverged", 4: "failed"}
    assert table.loc[4, "message"] == "no room"
    assert table.loc[1, "message"] == 'line 1\n, "x"'
    assert sorted(os.listdir(tmp_path)) == [*(f"6tasks_seed{seed}" for seed in (1, 2, 3, 4)), "sweep.csv"]


@pytest.mark.parametrize("content", ["variant,seed\n6tasks\n,,\nx,y,z\n", "variant,seed\n" + "x" * 200_000, "\0"])
def test_a_damaged_file_of_earlier_sweeps_does_no_harm(tmp_path, content):
    put_run(tmp_path, "6tasks", target_perf=0.99)
    (tmp_path / "sweep.csv").write_text(content)
    assert write_table(tmp_path)["state"].tolist() == ["trained"]


def change_log(folder, **changes):
    log = {**json.loads((folder / "log.json").read_text()), **changes}
    (folder / "log.json").write_text(json.dumps({key: values for key, values in log.items() if values != "no"}))


def test_a_run_that_cannot_be_read_is_a_line_of_the_table_and_left_out_of_figures(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    put_run("data", "6tasks", target_perf=0.99)
    damages = [
        {"trials": [0]}, {"perf_min": "no"}, {"times": "no"}, {"perf_min": 0.5}, {"perf_gap": 1},
        {"times": [1e300] * 383}, {"times": [10**400] * 383},
    ]  # fmt: skip
    for seed, changes in enumerate(damages, 1):
        change_log(put_run("data", f"indi_odr_seed{seed}"), **changes)
    (put_run("data", "indi_gap") / "hp.json").write_text("{")
    (put_run("data", "indi_gap_seed1") / "log.json").unlink()
    Path("data/indi_gap_seed1/log.json").mkdir()
    table = write_table("data")
    assert table["state"].tolist() == ["trained"] + ["failed"] * 9
    assert table["message"][1:].str.contains("log.json|hp.json").all()
    assert len(table_text(table).splitlines()) == 11
    with pytest.warns(UserWarning, match="A run is left out: .*(log|hp).json") as warned:
        assert plot_sweep_summary()["variant"].tolist() == ["6tasks"]
    assert len([w for w in warned if "left out" in str(w.message)]) == 9


def test_a_run_that_is_being_trained_is_running_whatever_was_said_of_it(tmp_path):
    run = Run("6tasks", 0, str(tmp_path))
    cut(put_run(tmp_path, "6tasks", target_perf=0.99), 100)
    for state in ("limit", "stopped", "refused", "waiting", "running"):
        with lock(run.model_dir):
            told = write_table(tmp_path, {run: (state, "earlier")})
        assert told[["state", "message"]].values.tolist() == [["running", ""]]
    for earlier in ("limit", "diverged"):
        write_table(tmp_path, {run: (earlier, "why")})
        with lock(run.model_dir):
            assert write_table(tmp_path)["state"].tolist() == ["running"]
            assert sweep_table([run])["state"].tolist() == ["running"]
        assert sweep_table([run])["state"].tolist() == ["unfinished"]
    # another sweep has written how it ended, which this one, that was not let in, must not replace
    write_table(tmp_path, {run: ("limit", "why")})
    assert write_table(tmp_path, {run: ("running", "in use")})["message"].tolist() == ["why"]


def test_a_lock_file_of_a_killed_process_is_no_training(tmp_path):
    command = [sys.executable, "-c", "import sys, time; from rnn_maturation.model_directory import lock\n"
               "with lock(sys.argv[1]):\n    print(flush=True); time.sleep(600)", str(tmp_path / "6tasks")]  # fmt: skip
    run = Run("6tasks", 0, str(tmp_path))
    process = subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.PIPE)
    process.stdout.readline()
    assert sweep_table([run])["state"].tolist() == ["running"]
    process.kill()
    process.communicate()
    text = (tmp_path / "6tasks" / ".lock").read_text()
    assert sweep_table([run])["state"].tolist() == ["unfinished"]
    assert text == f"{process.pid}\n" == (tmp_path / "6tasks" / ".lock").read_text()
    assert sweep_table([Run("6tasks", 1, str(tmp_path))])["state"].tolist() == ["unfinished"]
    assert os.listdir(tmp_path) == ["6tasks"]


def test_what_another_sweep_has_trained_to_its_target_is_trained(tmp_path):
    put_run(tmp_path, "6tasks", target_perf=0.99)
    run = Run("6tasks", 0, str(tmp_path))
    assert write_table(tmp_path, {run: ("limit", "why")})["state"].tolist() == ["trained"]
    assert write_table(tmp_path, {run: ("refused", "why")})["state"].tolist() == ["refused"]


def test_the_printed_table_has_a_line_a_run(tmp_path):
    put_run(tmp_path, "6tasks", target_perf=0.99)
    runs = [Run("6tasks", 0, str(tmp_path)), Run("6tasks", 1, str(tmp_path))]
    lines = table_text(sweep_table(runs, {runs[1]: ("refused", "why")})).splitlines()
    assert lines[1].split()[:3] == ["6tasks", "trained", "488,960"]
    assert lines[2].split()[:2] == ["6tasks_seed1", "refused"]


def test_the_median_holds_the_end_of_trained_runs_and_ends_with_the_first_other():
    a = (np.array([0, 10, 20]), np.array([0.0, 0.5, 1.0]), True)
    b = (np.array([0, 20, 40]), np.array([0.0, 0.4, 0.8]), False)
    trials, median = median_growth([a, b])
    assert trials.tolist() == [0, 10, 20, 40]
    assert median == pytest.approx([0, 0.35, 0.7, 0.9])
    trials, _ = median_growth([a[:2] + (False,), b])
    assert trials.tolist() == [0, 10, 20]


def test_the_summary_draws_growth_over_seeds_and_trials_to_criterion(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    put_run("data", "6tasks", target_perf=0.99)
    cut(put_run("data", "6tasks_seed1", target_perf=0.99), 200)
    put_run("data", "set1_exp2")
    table = plot_sweep_summary()
    assert table["seed"].tolist() == [0, 1, 0]
    names = {"growth_6tasks", "growth_set1_exp2", "trials_to_criterion"}
    expected = {f"{name}.{ending}" for name in names for ending in figures.FORMATS}
    assert set(os.listdir("figure/figure_sweep")) == expected
    assert plot_sweep_summary(patterns=["set1*"])["variant"].tolist() == ["set1_exp2"]
    with pytest.raises(FileNotFoundError, match="no run of these variants below data"):
        plot_sweep_summary(patterns=["indi_*"])


def test_growth_over_seeds_has_a_line_a_run_and_the_median(tmp_path):
    for name in ("6tasks", "6tasks_seed1", "6tasks_seed2"):
        put_run(tmp_path, name, target_perf=0.99)
    curves = sweep.growth_curves(find_runs(tmp_path))
    medians = {rule: median_growth(of_runs) for rule, of_runs in curves.items()}
    figure = figures.growth_over_seeds(curves, medians, dict.fromkeys(curves, "rule"), "title")
    axes = [ax for ax in figure.axes if ax.get_visible()]
    assert len(axes) == 6 and all(len(ax.lines) == 4 for ax in axes)


# ------------------------------------------------------------------------------------------------- on this machine


def test_shares_fill_the_cores():
    cores = cpu.n_cores()
    assert sweep._shares(100, None, None, None)[0] <= cores
    assert sweep._shares(1, None, None, None) == (1, cores)
    assert sweep._shares(3, 2, 5, None) == (2, 5)
    assert sweep._shares(3, None, None, "tcp://somewhere") == (3, 1)
    with pytest.raises(ValueError, match="jobs must be 1 or more"):
        sweep._shares(3, 0, None, None)


def test_each_run_has_its_state_and_none_ends_the_others(tmp_path, capfd):
    root = str(tmp_path)
    (tmp_path / "indi_overlap").write_text("not a folder")
    cut(put_run(tmp_path, "indi_odr"), 100)
    limit, failed, refused = (Run(name, 0, root) for name in ("indi_gap", "indi_overlap", "indi_odr"))
    table = train_runs([limit, failed, refused], jobs=2, threads=1, hp=TINY, max_trials=40, display_step=5)
    assert table["state"].tolist() == ["limit", "failed", "refused"]
    assert "given up at its limit, 40 trials" in table["message"][0] and "exists" in table["message"][1].lower()
    assert "other hyper-parameters" in table["message"][2]
    diverging = {**TINY, "learning_rate": 1e30, "activation": "relu", "optimizer": "sgd"}
    table = train_runs([Run("indi_zero_gap", 3, root)], hp=diverging, max_trials=400)
    assert table["state"].tolist() == ["diverged"]
    easy = {**TINY, "target_perf": 0}
    table = train_runs([Run("indi_zero_gap", 4, root)], hp=easy, max_trials=4000, display_step=5)
    assert table["state"].tolist() == ["trained"]

    saved = pd.read_csv(tmp_path / "sweep.csv").set_index(["variant", "seed"])["state"]
    assert saved.to_dict() == {
        ("indi_gap", 0): "limit", ("indi_odr", 0): "refused", ("indi_zero_gap", 3): "diverged",
        ("indi_zero_gap", 4): "trained",
    }  # fmt: skip
    printed = capfd.readouterr().out
    assert "indi_gap: limit" in printed and "Now training" not in printed
    assert "Now training" in (tmp_path / "indi_gap" / "training.log").read_text()
    assert not list(tmp_path.rglob(".*")) and not processes_of(tmp_path)


def test_the_file_tells_how_far_runs_are_while_they_are_trained(tmp_path, monkeypatch):
    monkeypatch.setattr(sweep, "SAVE_S", 1e9)
    file, runs = tmp_path / "sweep.csv", choose_runs(["indi_gap", "indi_overlap"], root=tmp_path)
    settings = {"hp": TINY, "max_trials": 1600, "display_step": 20, "jobs": 1}
    thread = threading.Thread(target=train_runs, args=(runs,), kwargs=settings)
    thread.start()
    try:
        wait_for(lambda: file.exists() and (pd.read_csv(file)["state"] == "running").any(), 60)
        monkeypatch.setattr(sweep, "SAVE_S", 0)
        wait_for(lambda: (pd.read_csv(file)["trials"] > 0).any(), 60)
    finally:
        thread.join(120)
    assert pd.read_csv(file)["state"].tolist() == ["limit", "limit"]


def test_hyper_parameters_that_no_run_can_have_are_refused_before_anything_begins(tmp_path):
    with pytest.raises(ValueError, match="unknown key 'n_rn'"):
        train_runs([Run("indi_gap", 0, str(tmp_path / "data"))], hp={"n_rn": 8})
    assert not (tmp_path / "data").exists()


def start_script(*arguments, **settings):
    script = HERE.parent / "Training_with_diff_HyperParameters.py"
    return subprocess.Popen(
        [sys.executable, str(script), *map(str, arguments)], env=ENVIRONMENT, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **settings,
    )  # fmt: skip


def test_ctrl_c_saves_all_runs_and_the_same_command_goes_on(tmp_path):
    names = ["indi_gap", "indi_overlap"]
    command = [
        "--root", tmp_path / "data", "--only", *names, "--hp", *HP_OPTION, "--display_step", "20", "--jobs", "2",
        "--threads", "1", "--max_trials",
    ]  # fmt: skip
    process = start_script(*command, 10**6, cwd=tmp_path)  # more than it can do before the signal
    wait_for(lambda: all(evaluations(tmp_path / "data" / name) > 1 for name in names))
    process.send_signal(signal.SIGINT)
    output = process.communicate(timeout=60)[0]
    assert process.returncode == 130, output
    assert not processes_of(tmp_path)
    for name in names:
        assert f"{name}: stopped" in output
        assert "stopped and saved at trial" in (tmp_path / "data" / name / "training.log").read_text()
    command.remove("indi_overlap")
    trials = load_log(tmp_path / "data" / "indi_gap")["trials"]
    limit = trials[-1] + 2 * trials[1]
    process = start_script(*command, limit, cwd=tmp_path)
    output = process.communicate(timeout=120)[0]
    assert process.returncode == 0, output
    train_alone(tmp_path / "alone", ["gap"], limit, display_step=20, slim=True)
    assert_same_run(tmp_path / "data" / "indi_gap", tmp_path / "alone")
    assert (tmp_path / "figure" / "figure_sweep" / "trials_to_criterion.png").exists()


def test_runs_save_themselves_when_the_sweep_is_killed(tmp_path):
    process = start_script("--root", tmp_path, "--only", "indi_gap", "--hp", *HP_OPTION, "--max_trials", 10**6,
                           "--display_step", "20")  # fmt: skip
    wait_for(lambda: evaluations(tmp_path / "indi_gap") > 1)
    process.kill()
    process.communicate()
    wait_for(lambda: not processes_of(tmp_path))
    assert "stopped and saved at trial" in (tmp_path / "indi_gap" / "training.log").read_text()


@contextlib.contextmanager
def another_process_writing(path):
    """Meanwhile, lines of another process in a log file."""
    ended = threading.Event()

    def write():
        while not ended.is_set():
            with open(path, "a") as file:
                file.write("a line of another process\n")
            time.sleep(0.005)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def test_a_model_directory_in_use_is_waited_for_and_then_left_to_the_other_process(tmp_path, capfd):
    run = Run("indi_gap", 0, str(tmp_path))
    with lock(run.model_dir), another_process_writing(Path(run.model_dir, "training.log")):
        table = train_runs([run], hp=TINY, max_trials=4, patience=0)
    assert table["state"].tolist() == ["running"]
    assert pd.read_csv(tmp_path / "sweep.csv")["state"].tolist() == ["running"]
    told = capfd.readouterr().out
    assert f"indi_gap: running ({run.model_dir} is in use by another process (number {os.getpid()})" in told
    assert "in use" not in Path(run.model_dir, "training.log").read_text()  # it is that process's


def test_nothing_is_written_through_a_log_file_that_is_a_link(tmp_path):
    (tmp_path / "data" / "indi_gap").mkdir(parents=True)
    (tmp_path / "elsewhere").write_text("as it was")
    (tmp_path / "data" / "indi_gap" / "training.log").symlink_to(tmp_path / "elsewhere")
    table = train_runs([Run("indi_gap", 0, str(tmp_path / "data"))], hp=TINY, max_trials=4)
    assert table["state"].tolist() == ["failed"]
    assert "training.log is a link to" in table["message"][0] and "delete it" in table["message"][0]
    assert (tmp_path / "elsewhere").read_text() == "as it was"
    with pytest.raises(OSError):  # should the link come between look and opening
        open(tmp_path / "data" / "indi_gap" / "training.log", "ab", opener=training_process._open_no_link)


def test_the_table_is_printed_and_saved_though_the_sweep_is_ended_by_force(tmp_path):
    process = start_script("--root", tmp_path, "--only", "indi_gap", "--hp", *HP_OPTION, "--max_trials", 10**6,
                           "--display_step", "20")  # fmt: skip
    wait_for(lambda: evaluations(tmp_path / "indi_gap") > 1)
    process.send_signal(signal.SIGINT)
    for line in process.stdout:
        if line.startswith("stopping"):
            break
    process.send_signal(signal.SIGINT)
    output = process.communicate(timeout=60)[0]
    wait_for(lambda: not processes_of(tmp_path))
    assert process.returncode == 130, output
    assert "worst rule" in output and "Traceback" not in output
    assert pd.read_csv(tmp_path / "sweep.csv")["trials"].tolist() > [0]


def test_a_folder_in_place_of_the_table_is_told_before_anything_begins(tmp_path, monkeypatch):
    (tmp_path / "sweep.csv").mkdir()
    with pytest.raises(SystemExit, match="^Training_with_diff_HyperParameters.py: [^\n]*sweep.csv[^\n]*$"):
        run_script(monkeypatch, "--root", tmp_path, "--only", "indi_gap")
    assert os.listdir(tmp_path) == ["sweep.csv"]


def run_script(monkeypatch, *arguments):
    """The script in this process: its exit code or last message."""
    monkeypatch.setattr(sys, "argv", ["Training_with_diff_HyperParameters.py", *map(str, arguments)])
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    return Training_with_diff_HyperParameters.main()


@pytest.mark.slow
def test_a_run_that_is_handed_out_twice_is_trained_once(tmp_path):
    run = Run("indi_gap", 0, str(tmp_path / "twice"))
    hp = {**variants.COMMON, **TINY}
    task = {"model_dir": run.model_dir, "hp": hp, "ruleset": "all_new", "rule_trains": ["gap"], "seed": 0, "slim": True,
            "threads": 1, "display_step": 20, "max_trials": LONG, "patience": 60}  # fmt: skip
    with jobs.connect(2) as where:
        both = [where.submit(training_process.train_in_process, "sweep", task) for _ in range(2)]
        assert [future.result()[0] for future in both] == ["limit", "limit"]
    assert Path(run.model_dir, "training.log").read_text().count("Trial     400 ") == 1
    train_alone(tmp_path / "alone", ["gap"], LONG, display_step=20, slim=True)
    assert_same_run(run.model_dir, tmp_path / "alone")


def test_a_run_that_was_trained_where_it_is_not_seen_is_told(tmp_path):
    state, message = sweep._checked(Run("indi_gap", 0, str(tmp_path)), "trained", "")
    assert state == "failed" and "must see the same folders" in message


def test_the_list_of_variants_says_what_differs(monkeypatch, capsys):
    assert run_script(monkeypatch, "--list") == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 27
    assert "n_rnn 64" in next(line for line in lines if line.startswith("set1_exp1"))


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--only", "set9"], "no variant is called 'set9'"),
        (["--seeds", "x"], "seeds 'x' are not understood"),
        (["--hp", "n_rnn"], "--hp takes KEY=VALUE"),
        (["--hp", "n_rnn=many"], ".*n_rnn .* is 'many'"),
        (["--jobs", "0"], "jobs must be 1 or more"),
        (["--jobs", "2", "--scheduler", "tcp://host:8786"], "--jobs is for this machine and --scheduler for a cluster"),
        (["--max_trials", "63"], "max_trials 63 is less than a batch, 64 trials"),
        (["--max_trials", "-5"], "max_trials must be 1 or more"),
        (["--display_step", "0"], "display_step must be 1 or more"),
        (["--hp", "seed=3"], "--hp cannot set seed: seeds are chosen with --seeds"),
        *(
            (["--hp", f"{key}=[]"], f"--hp cannot set {key}: .*table: rnn_maturation/variants.py")
            for key in ("ruleset", "rule_trains", "rules", "rule_probs", "rng")
        ),
    ],
)
def test_bad_options_are_one_line(tmp_path, monkeypatch, arguments, message):
    with pytest.raises(SystemExit, match=f"^Training_with_diff_HyperParameters.py: {message}[^\n]*$"):
        run_script(monkeypatch, "--root", tmp_path / "data", *arguments)
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("option", ["--jobs", "--max_checkpoints"])
def test_bad_options_of_the_analysis_are_told_once(tmp_path, monkeypatch, option):
    for name in ("6tasks", "indi_gap"):
        put_run(tmp_path, name)
    monkeypatch.setattr(sys, "argv", ["Analysis_with_diff_HyperParameters.py", "--root", str(tmp_path), option, "0"])
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    with pytest.raises(SystemExit, match=f"^Analysis_with_diff_HyperParameters.py: {option} must be 1 or more, got 0$"):
        Analysis_with_diff_HyperParameters.main()


# ----------------------------------------------------------------------------------------------------- on a cluster


def test_without_dask_only_the_scheduler_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ValueError, match="pip install -r requirements-cluster.txt"):
        jobs.connect(1, "tcp://127.0.0.1:1")
    assert jobs.connect(1).submit(max, 1, 2).result() == 2


@pytest.mark.parametrize("script", ["Training_with_diff_HyperParameters.py", "Analysis_with_diff_HyperParameters.py"])
def test_an_address_without_port_is_named_and_the_script_ends(tmp_path, script):
    pytest.importorskip("distributed")
    put_run(tmp_path, "6tasks")
    command = [sys.executable, HERE.parent / script, "--root", tmp_path, "--only", "6tasks", "--scheduler", "localhost"]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=100)
    assert done.returncode == 1 and "is `dask scheduler` up, and the address like tcp://host:8786?" in done.stderr


def test_a_scheduler_that_does_not_answer_is_named(monkeypatch):
    pytest.importorskip("distributed")
    monkeypatch.setattr(jobs, "CONNECT_S", 1)
    with pytest.raises(ValueError, match="no Dask scheduler answers at tcp://127.0.0.1:1"):
        jobs.connect(1, "tcp://127.0.0.1:1")


class Cluster:
    """A Dask scheduler and workers, real processes."""

    def __init__(self, folder, n_workers=2):
        self.file, self.folder, self.processes = folder / "scheduler.json", folder, []
        self._start("scheduler", "--port", "0", "--host", "127.0.0.1", "--no-dashboard")
        wait_for(lambda: self.file.exists() and self.file.stat().st_size)
        self.address = json.loads(self.file.read_text())["address"]
        self.workers = [self.add_worker() for _ in range(n_workers)]

    def _start(self, *arguments):
        log = open(self.folder / f"dask{len(self.processes)}.log", "wb")
        command = [sys.executable, "-m", "dask", *arguments, "--scheduler-file", str(self.file)]
        process = subprocess.Popen(command, env=ENVIRONMENT, cwd=self.folder, stdout=log, stderr=log)
        log.close()
        self.processes.append(process)
        return process

    def add_worker(self):
        return self._start("worker", "--no-nanny", "--nthreads", "1", "--no-dashboard")

    def close(self):
        for process in self.processes:
            process.kill()
            process.wait()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    pytest.importorskip("distributed")
    cluster = Cluster(tmp_path_factory.mktemp("cluster"))
    yield cluster
    cluster.close()


def worker_of(cluster, root, n_evaluations):
    """The worker that trains a run below a folder that has been evaluated so often, or None."""
    for number, command in processes_of(root).items():
        task = json.loads(command.rstrip("\0").split("\0")[-1])
        parent = int(Path(f"/proc/{number}/stat").read_text().rsplit(")")[-1].split()[1])
        if evaluations(task["model_dir"]) >= n_evaluations:
            return next((worker for worker in cluster.workers if worker.pid == parent), None)
    return None


@contextlib.contextmanager
def killing_a_worker(cluster, root, is_time=lambda: True):
    """Meanwhile, kill the worker of a run that has begun, once it is time."""

    killed, ended = [], threading.Event()

    def kill():
        while not (killed or ended.is_set()):
            worker = worker_of(cluster, root, n_evaluations=2) if is_time() else None
            if worker:
                worker.kill()
                cluster.workers.remove(worker)
                killed.append(worker)
            time.sleep(0.02)

    thread = threading.Thread(target=kill)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
    assert killed


def test_a_lost_workers_run_goes_on_elsewhere_from_where_it_was(cluster, tmp_path):
    runs = choose_runs(["indi_gap", "indi_overlap"], root=str(tmp_path))
    with killing_a_worker(cluster, tmp_path):
        table = train_runs(runs, scheduler=cluster.address, hp=TINY, max_trials=LONG, display_step=20)
    cluster.workers.append(cluster.add_worker())
    assert table["state"].tolist() == ["limit"] * 2 and table["trials"].tolist() == [LONG] * 2
    logs = [Path(run.model_dir, "training.log").read_text() for run in runs]
    assert sum("stopped and saved at trial" in log and "going on from trial" in log for log in logs) == 1
    lost = next(run for run, log in zip(runs, logs, strict=True) if "going on from" in log)
    train_alone(tmp_path / "alone", lost.settings.trained_rules, LONG, display_step=20, slim=True)
    assert_same_run(lost.model_dir, tmp_path / "alone")
    assert not processes_of(tmp_path)


def test_a_lost_process_is_told_with_what_to_do():
    with jobs.connect(1, in_processes=True) as where:
        batch = jobs.Batch(where, os._exit, {name: (1,) for name in range(3)})
        told = []
        while batch.unfinished:
            told += batch.results()
        told += jobs.Batch(where, abs, {3: (1,)}).results()  # to a pool that is broken already
    assert sorted(name for name, _, _ in told) == [0, 1, 2, 3]
    for _, _, error in told:
        assert isinstance(error, OSError) and "ended from outside" in str(error) and "the same command" in str(error)


def test_lost_workers_and_a_lost_scheduler_are_told_with_what_to_do(tmp_path, monkeypatch, capfd):
    pytest.importorskip("distributed")
    monkeypatch.setitem(ENVIRONMENT, "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES", "0")
    monkeypatch.setattr(jobs, "N_RESUBMISSIONS", 0)
    cluster = Cluster(tmp_path, n_workers=1)
    with contextlib.closing(cluster):
        with jobs.connect(1, cluster.address) as where:
            [(_, _, error)] = jobs.Batch(where, os._exit, {"name": (1,)}).results()
        assert isinstance(error, OSError) and "ended from outside" in str(error)
        cluster.add_worker()
        runs = choose_runs(["indi_gap", "indi_overlap"], root=str(tmp_path / "data"))

        def end_the_scheduler():
            wait_for(lambda: evaluations(runs[0].model_dir) + evaluations(runs[1].model_dir) > 1)
            cluster.processes[0].kill()

        thread = threading.Thread(target=end_the_scheduler)
        thread.start()
        table = train_runs(runs, scheduler=cluster.address, hp=TINY, max_trials=10**6, display_step=20)
        thread.join()
    assert set(table["state"]) <= {"failed", "running"} and "failed" in set(table["state"])
    told = capfd.readouterr().out
    assert told.count("the connection to the scheduler was lost") == 2 and "worst rule" in told
    wait_for(lambda: not processes_of(tmp_path))


def test_checkpoints_are_analysed_alike_here_in_processes_and_on_a_cluster(cluster, tmp_path):
    from rnn_maturation.sweep_analysis import analyse_checkpoints

    hp = {**variants.COMMON, **TINY}
    from rnn_maturation.train import train

    train(tmp_path / "here", hp=hp, max_steps=40, display_step=20, rule_trains=["gap", "overlap"], threads=1)
    copies = {"jobs": {"jobs": 1}, "cluster": {"scheduler": cluster.address}}
    for name in copies:
        shutil.copytree(tmp_path / "here", tmp_path / name)
    units, trials = {"gap": ["stim1", "delay1"], "overlap": ["stim1"]}, [0, 80, 160]
    for name, where in {"here": {}, **copies}.items():
        analyse_checkpoints(tmp_path / name, units, trials, keep_activity=True, **where)
    assert neuron_info_file(tmp_path / "here", 160, "gap", "delay1").exists()
    files = {path.relative_to(tmp_path / "here") for path in (tmp_path / "here").rglob("*.pkl")}
    assert len(files) == 1 + 3 * (2 + 3)
    for name in copies:
        assert {path.relative_to(tmp_path / name) for path in (tmp_path / name).rglob("*.pkl")} == files
        for file in files:
            assert (tmp_path / name / file).read_bytes() == (tmp_path / "here" / file).read_bytes(), file
    assert load_pickle(tmp_path / "cluster" / "task_info.pkl").keys() == {"gap", "overlap"}


def test_an_error_at_a_checkpoint_reaches_the_caller(cluster, tmp_path):
    from rnn_maturation.sweep_analysis import analyse_checkpoints
    from rnn_maturation.train import train

    train(tmp_path, hp={**variants.COMMON, **TINY}, max_steps=1, rule_trains=["gap"], threads=1)
    with pytest.raises(ValueError, match="has no epoch 'delay7'"):
        analyse_checkpoints(tmp_path, {"gap": ["delay7"]}, [0], scheduler=cluster.address)


@pytest.mark.slow
def test_ctrl_c_stops_the_runs_on_a_cluster(cluster, tmp_path):
    process = start_script("--root", tmp_path, "--only", "indi_*", "--hp", *HP_OPTION, "--max_trials", 10**6,
                           "--display_step", "20", "--scheduler", cluster.address)  # fmt: skip
    wait_for(lambda: len(processes_of(tmp_path)) == 2 and len(list(tmp_path.glob("*/log.json"))) == 2)
    process.send_signal(signal.SIGINT)
    output = process.communicate(timeout=60)[0]
    assert process.returncode == 130 and output.count(": stopped") == 2, output
    assert not processes_of(tmp_path)
    states = pd.read_csv(tmp_path / "sweep.csv")["state"].value_counts().to_dict()
    assert states == {"stopped": 2, "waiting": 4} and len(list(tmp_path.glob("*/"))) == 2


@pytest.mark.slow
def test_twenty_runs_on_two_workers_end_complete_though_one_is_killed(tmp_path):
    pytest.importorskip("distributed")
    cluster = Cluster(tmp_path)
    runs = choose_runs(["indi_*"], range(4), str(tmp_path / "data"))[:20]
    with killing_a_worker(cluster, tmp_path / "data", lambda: len(list(tmp_path.glob("data/*/log.json"))) > 9):
        table = train_runs(runs, scheduler=cluster.address, hp=TINY, max_trials=400, display_step=20)
    cluster.close()
    assert table["state"].tolist() == ["limit"] * 20 and table["trials"].tolist() == [400] * 20
    assert not processes_of(tmp_path) and not list(tmp_path.glob("data/*/.*"))


# -------------------------------------------------------------------------------------------- analysis of many runs


def test_the_analysis_script_analyses_what_is_on_disk_and_tells_what_it_cannot(tmp_path):
    hp = {**TINY, "early_target_perf": 0.0, "mid_target_perf": 0.2, "mature_target_perf": 0.4}
    from rnn_maturation.train import train

    train(tmp_path / "data" / "indi_gap", hp={**variants.COMMON, **hp}, max_steps=60, display_step=10,
          rule_trains=["gap"], threads=1)  # fmt: skip
    put_run(tmp_path / "data", "set1_exp1")  # without checkpoints
    (put_run(tmp_path / "data", "indi_odr") / "log.json").write_text("{")
    change_log(put_run(tmp_path / "data", "set1_exp2"), perf_odr="no")
    (tmp_path / "data" / "indi_odrd").mkdir()
    script = HERE.parent / "Analysis_with_diff_HyperParameters.py"
    done = subprocess.run([sys.executable, str(script)], cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True)
    assert done.returncode == 1 and done.stdout.endswith(
        "1 of 4 runs analysed; without rules that are not learned yet: set1_exp1, set1_exp2; not indi_odr\n"
    ), done.stdout + done.stderr
    figures_of_gap = {path.name for path in (tmp_path / "figure" / "figure_indi_gap").rglob("*.png")}
    assert "growth_of_performance.png" in figures_of_gap
    assert "gap_stim1_auto_choose_step_None_PSTH.png" in figures_of_gap
    assert "saccade_distribut_analysis_by_growth.png" in figures_of_gap
    assert os.listdir(tmp_path / "figure" / "figure_set1_exp1") and "no checkpoint on disk" in done.stdout
    assert "log.json has no rule odr: its analyses are left out" in done.stdout
    assert load_hp(tmp_path / "data" / "indi_gap")["n_rnn"] == 8
