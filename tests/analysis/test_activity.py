import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from rnn_maturation.analysis import Get_H, compute_H, gen_task_info
from rnn_maturation.analysis.activity import (
    averaging_matrix,
    compute_activity,
    location_means,
    mean_by_location,
)
from rnn_maturation.analysis.conditions import task_info
from rnn_maturation.analysis.restored import network, noise_seed
from rnn_maturation.model_directory import activity_file, load_pickle, save_pickle, task_info_file
from rnn_maturation.network import tf1
from rnn_maturation.stages import present_trials
from rnn_maturation.task import rules_dict


def test_task_info(run):
    hp, log, model_dir = run
    stored = gen_task_info(hp, log, model_dir, ["odr", "odrd"], return_trial_store=True)
    assert list(stored) == ["odr", "odrd"] and stored["odr"].x.shape == (175, 128, 15)
    info = load_pickle(task_info_file(model_dir))
    assert info["odr"]["in_loc"].tolist() == np.repeat(np.arange(8), 16).tolist()
    assert info["odr"]["in_loc_set"] == list(range(8)) and "in_loc_2" not in info["odr"]
    assert info["odrd"]["epoch_info"]["distract1"] == (100, 125)
    assert gen_task_info(hp, log, model_dir, ["gap"]) is None
    assert set(load_pickle(task_info_file(model_dir))) == {"odr", "odrd", "gap"}


def test_rules_in_task_info_stay_as_they_are(run):
    hp, log, model_dir = run
    gen_task_info(hp, log, model_dir, ["odr"])
    kept = load_pickle(task_info_file(model_dir))
    kept["odr"]["in_loc_set"] = [99]
    save_pickle(task_info_file(model_dir), kept)
    gen_task_info(hp, log, model_dir, ["odr", "gap"])
    assert load_pickle(task_info_file(model_dir))["odr"]["in_loc_set"] == [99]


def test_second_stimuli_have_their_own_locations(run):
    hp, log, model_dir = run
    hp = {**hp, "ruleset": "MoN", "n_rule": 2, "n_input": 11}
    gen_task_info(hp, log, model_dir, ["match_or_non"])
    info = load_pickle(task_info_file(model_dir))["match_or_non"]
    assert info["in_loc"][:16].tolist() == [0] * 16
    assert info["in_loc_2"][:16].tolist() == [0] * 8 + [4] * 8  # non-match in blocks of 8, half a circle away


def test_recomputed_activity_is_the_saved_one_also_in_another_process(run, trials):
    hp, _, model_dir = run
    first = Get_H(hp, model_dir, trials[0], "odr", save_H=True)
    assert first.shape == (175, 128, 12) and first.dtype == np.float32
    saved = load_pickle(activity_file(model_dir, trials[0], "odr"))
    other = Get_H(hp, model_dir, trials[1], "odr")
    assert not np.allclose(first, other)
    np.testing.assert_array_equal(compute_activity(hp, model_dir, trials[0], "odr"), saved)
    code = (
        "import numpy, rnn_maturation.tools as t, rnn_maturation.analysis.activity as a;"
        f"hp = t.load_hp({model_dir!r});"
        f"print(a.compute_activity(hp, {model_dir!r}, {trials[0]}, 'odr').tobytes() == open('H.bin', 'rb').read())"
    )
    Path("H.bin").write_bytes(saved.tobytes())
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env={"PYTHONPATH": str(root)})
    assert done.stdout.strip().endswith("True"), done.stderr


def test_noise_depends_on_seed_checkpoint_and_rule():
    seeds = [noise_seed({"seed": s}, t, r).tolist() for s in (0, 1) for t in (0, 1280) for r in ("odr", "odrd")]
    assert len({tuple(seed) for seed in seeds}) == 8
    assert noise_seed({"seed": 0}, 1280, "odr").tolist() == noise_seed({}, np.int64(1280), "odr").tolist()


def test_the_callers_graph_session_and_generator_are_left_alone(run, trials):
    hp, _, model_dir = run
    with tf1.Graph().as_default() as graph, tf1.Session() as session:
        state = hp["rng"].get_state()[1].tolist()
        Get_H(hp, model_dir, trials[0], "odr")
        assert tf1.get_default_graph() is graph and tf1.get_default_session() is session
        assert not graph.get_operations() and hp["rng"].get_state()[1].tolist() == state


def test_one_graph_serves_all_checkpoints(run, trials):
    hp, _, model_dir = run
    net = network(hp)
    n_operations = len(net.model.h.graph.get_operations())
    for trial in trials:
        Get_H(hp, model_dir, trial, "gap")
    assert network(dict(hp)) is net
    assert len(net.model.h.graph.get_operations()) == n_operations
    assert network({**hp, "sigma_rec": 0.0}) is not net


def test_files_are_of_test_trials_only(run, trials):
    hp, _, model_dir = run
    saved = Get_H(hp, model_dir, trials[0], "odrd", save_H=True)
    assert not np.allclose(Get_H(hp, model_dir, trials[0], "odrd", task_mode="test-1-2"), saved)
    with pytest.raises(ValueError, match="task_mode 'test' only"):
        Get_H(hp, model_dir, trials[0], "odrd", save_H=True, task_mode="test-1-2")


def test_wrong_and_damaged_activity_files_are_named(run, trials):
    hp, _, model_dir = run
    file = activity_file(model_dir, trials[0], "odr")
    save_pickle(file, np.zeros((175, 64, 12), np.float32))
    with pytest.raises(ValueError, match="H_odr.pkl has 175 steps and 64 trials"):
        Get_H(hp, model_dir, trials[0], "odr")
    save_pickle(file, {"H": 1})
    with pytest.raises(ValueError, match="H_odr.pkl does not contain an activity array"):
        Get_H(hp, model_dir, trials[0], "odr")
    file.write_bytes(b"nonsense")
    with pytest.raises(ValueError, match="H_odr.pkl is damaged"):
        Get_H(hp, model_dir, trials[0], "odr")


def test_without_file_and_checkpoint(run):
    hp, _, model_dir = run
    with pytest.raises(FileNotFoundError, match="777"):
        Get_H(hp, model_dir, 777, "odr")


def test_compute_h_keeps_files_and_goes_on(run, trials, capsys):
    hp, log, model_dir = run
    compute_H(hp, log, model_dir, rules=["overlap"], trial_list=trials[:2])
    assert "2 files, 0.00 GB" in capsys.readouterr().out
    file = activity_file(model_dir, trials[0], "overlap")
    before = file.stat().st_mtime_ns
    compute_H(hp, log, model_dir, rules="overlap")
    assert f"{len(trials) - 2} files" in capsys.readouterr().out
    assert file.stat().st_mtime_ns == before
    assert len(list(Path(model_dir).glob("*/H_overlap.pkl"))) == len(trials)


def test_compute_h_of_all_rules_without_files(run, trials):
    hp, log, model_dir = run
    compute_H(hp, log, model_dir, trial_list=trials[:1], save_H_pickle=False)
    assert not list(Path(model_dir).glob("*/H_*.pkl"))
    assert set(load_pickle(task_info_file(model_dir))) == set(rules_dict["all_new"])


@pytest.mark.skipif(not hasattr(resource, "RLIMIT_FSIZE"), reason="no limit of file sizes here")
def test_compute_h_stops_cleanly_when_the_disk_is_full(run, trials):
    hp, log, model_dir = run
    compute_H(hp, log, model_dir, ["overlap"], trials[:1])
    whole = activity_file(model_dir, trials[0], "overlap")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (whole.stat().st_size // 2, limits[1]))
    try:
        with pytest.raises(OSError, match="stopped after 0 of 4 files; these are complete"):
            compute_H(hp, log, model_dir, ["overlap"])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list(Path(model_dir).glob("*/*H_*")) == [whole]


def test_location_means(run, trials):
    hp, _, model_dir = run
    activity = Get_H(hp, model_dir, trials[0], "odr")
    wanted = activity.reshape(175, 8, 16, 12).mean(axis=2).swapaxes(0, 1)
    means = location_means(hp, model_dir, trials[0], "odr")
    np.testing.assert_allclose(means, wanted, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(location_means(hp, model_dir, trials[0], "odr"), means)
    save_pickle(activity_file(model_dir, trials[0], "odr"), activity + 1)
    np.testing.assert_allclose(location_means(hp, model_dir, trials[0], "odr"), wanted + 1, rtol=1e-5)


def test_means_do_not_need_sorted_or_balanced_trials():
    rng = np.random.default_rng(0)
    locations, activity = np.array([2, 0, 2, 1, 2]), rng.random((4, 5, 3))
    means = mean_by_location(activity, locations)
    for where in range(3):
        np.testing.assert_allclose(means[where], activity[:, locations == where].mean(axis=1))
    np.testing.assert_allclose(averaging_matrix(locations).sum(axis=1), 1)


def test_present_trials(run, trials):
    _, _, model_dir = run
    assert present_trials(model_dir, trials, "odr") == trials
    Path(model_dir, "99").mkdir()
    save_pickle(activity_file(model_dir, 99, "odr"), np.zeros(1))
    assert present_trials(model_dir, [99], "odr") == [99]  # its activity is there
    with pytest.raises(FileNotFoundError, match="99"):
        present_trials(model_dir, [99], "gap")


WHERE, EPOCHS = np.repeat(np.arange(8), 16), {"fix1": (None, 50), "stim1": (50, 75), "go1": (75, None)}
SOUND = {"in_loc": WHERE, "in_loc_set": list(range(8)), "epoch_info": EPOCHS}


@pytest.mark.parametrize(
    "info",
    [
        {},
        3,
        list(SOUND),
        {**SOUND, "in_loc": WHERE.astype(str)},
        {**SOUND, "in_loc": WHERE[:, None]},
        {**SOUND, "in_loc": WHERE + 1, "in_loc_set": list(range(1, 9))},
        {**SOUND, "in_loc_set": [0, 1]},
        {**SOUND, "epoch_info": list(EPOCHS)},
        {**SOUND, "epoch_info": {"stim1": (50, 75)}},
        {**SOUND, "epoch_info": {**EPOCHS, "stim1": "ab"}},
        {**SOUND, "epoch_info": {**EPOCHS, "stim1": (75, 50)}},
        {**SOUND, "epoch_info": {**EPOCHS, "stim1": (50, 60, 75)}},
    ],
)
def test_a_task_info_that_cannot_be_used_is_named(run, info):
    hp, _, model_dir = run
    save_pickle(task_info_file(model_dir), {"odr": SOUND})
    assert task_info(hp, model_dir, "odr")["epoch_info"] == EPOCHS
    save_pickle(task_info_file(model_dir), {"odr": info})
    with pytest.raises(ValueError, match="task_info.pkl contains invalid trial conditions for rule odr. Delete"):
        task_info(hp, model_dir, "odr")
    save_pickle(task_info_file(model_dir), [1, 2])
    with pytest.raises(ValueError, match="task_info.pkl does not contain trial conditions. Delete"):
        task_info(hp, model_dir, "odr")


def test_activity_of_another_network_is_named(run, trials):
    hp, _, model_dir = run
    activity = Get_H(hp, model_dir, trials[0], "odr", save_H=True)
    save_pickle(activity_file(model_dir, trials[0], "odr"), activity[:, :, :5])
    with pytest.raises(ValueError, match=r"H_odr.pkl has 5 units, but the network of this run has 12\. Delete"):
        Get_H(hp, model_dir, trials[0], "odr")


def test_a_wrong_alpha_is_told_at_a_line_of_the_package(run, trials):
    hp, _, model_dir = run
    with pytest.warns(UserWarning, match="alpha is 0.5") as caught:
        compute_activity({**hp, "alpha": 0.5}, model_dir, trials[0], "gap")
    assert [Path(warning.filename).name for warning in caught] == ["hyperparameters.py"]
