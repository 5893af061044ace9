"""A small copy of a run: which checkpoints it has, and that they are those of the run."""

import json
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from rnn_maturation import model_directory
from rnn_maturation.excerpt import choose_checkpoints, choose_milestones, excerpt
from rnn_maturation.network import Model
from rnn_maturation.stages import GROWTH_WINDOW, performance_at, range_auto_select, smooth
from rnn_maturation.train import train

GOLDEN_RUN = Path(__file__).parent / "golden" / "run"
PRETRAINED = Path(__file__).parents[1] / "data" / "6tasks_pretrained"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    model_dir = tmp_path_factory.mktemp("data") / "run"
    hp = {"n_rnn": 8, "batch_size_train": 4, "batch_size_test": 16, "activation": "softplus"}
    train(model_dir, hp=hp, rule_trains=["overlap", "gap"], max_steps=6, display_step=1)
    return model_dir


def test_choice_has_first_last_and_every_stage_of_every_rule():
    hp, log = model_directory.load_hp(GOLDEN_RUN), json.loads((GOLDEN_RUN / "log.json").read_text())
    chosen = choose_checkpoints(hp, log, log["trials"], 40)
    assert len(chosen) == 40 and chosen == sorted(set(chosen))
    assert chosen[0] == log["trials"][0] and chosen[-1] == log["trials"][-1]
    for rule in log["growth"][0]:
        for stage, trials in range_auto_select(hp, log, log["perf_" + rule]).items():
            assert len(set(trials) & set(chosen)) >= min(3, len(trials)), (rule, stage)


def test_choice_of_more_than_there_are_is_all_of_them():
    hp, log = model_directory.load_hp(GOLDEN_RUN), json.loads((GOLDEN_RUN / "log.json").read_text())
    assert choose_checkpoints(hp, log, log["trials"][:5], 40) == log["trials"][:5]


def test_copy_has_the_weights_and_no_optimizer_state(run, tmp_path):
    chosen = excerpt(run, tmp_path / "small", 3)
    assert model_directory.checkpoint_trials(tmp_path / "small") == chosen and len(chosen) == 3
    assert (tmp_path / "small" / "hp.json").read_text() == (run / "hp.json").read_text()
    log = json.loads((tmp_path / "small" / "log.json").read_text())
    assert len(log["trials"]) == 7 and log["model_dir"] == str(tmp_path / "small")
    for trial_num in chosen:
        whole = tf.train.load_checkpoint(str(run / str(trial_num) / "model.ckpt"))
        small = tf.train.load_checkpoint(str(tmp_path / "small" / str(trial_num) / "model.ckpt"))
        names = small.get_variable_to_shape_map()
        assert set(names) == {"rnn/leaky_rnn_cell/kernel", "rnn/leaky_rnn_cell/bias", "output/weights", "output/biases"}
        for name in names:
            np.testing.assert_array_equal(small.get_tensor(name), whole.get_tensor(name))
        files = {path.name for path in (tmp_path / "small" / str(trial_num)).iterdir()}
        assert files == {"checkpoint", "model.ckpt.index", "model.ckpt.data-00000-of-00001"}
    model = Model(tmp_path / "small")
    with tf.compat.v1.Session():
        model.restore(tmp_path / "small" / str(chosen[-1]))


def test_nothing_to_copy_and_a_target_in_use_are_refused(run, tmp_path):
    with pytest.raises(FileNotFoundError, match="nothing has no hp.json: train a run"):
        excerpt(tmp_path / "nothing", tmp_path / "small")
    with pytest.raises(FileNotFoundError, match="has no checkpoints to copy"):
        excerpt(GOLDEN_RUN, tmp_path / "small")
    with pytest.raises(ValueError, match="has a run already"):
        excerpt(run, run)


def test_milestones_are_the_plateau_the_stages_and_the_end():
    log, on_disk = model_directory.load_log(PRETRAINED), model_directory.checkpoint_trials(PRETRAINED)
    milestones = choose_milestones(PRETRAINED)
    assert list(milestones) == [
        "start of the plateau", "end of the plateau", "early", "mid", "mature", "end of the run"
    ]  # fmt: skip
    assert set(milestones.values()) <= set(on_disk) and milestones["end of the run"] == on_disk[-1]
    performance = {name: performance_at(log, "odr", trial) for name, trial in milestones.items()}
    assert performance["start of the plateau"] < 0.25 and performance["mature"] >= 0.95
    assert abs(performance["mid"] - 0.65) < 0.15 and abs(performance["early"] - 0.35) < 0.15
    smoothed = dict(zip(log["trials"], smooth(log["perf_odr"], GROWTH_WINDOW), strict=True))
    risen = min(trial for trial in on_disk if smoothed[trial] >= 0.35)
    assert milestones["end of the plateau"] == risen


def test_milestones_that_a_run_did_not_reach_are_absent(run):
    assert choose_milestones(run) == {"end of the run": model_directory.checkpoint_trials(run)[-1]}


def test_copy_of_milestones_is_described(tmp_path):
    chosen = excerpt(PRETRAINED, tmp_path / "small", milestones=True)
    assert chosen == sorted(set(choose_milestones(PRETRAINED).values()))
    card = (tmp_path / "small" / "README.md").read_text()
    assert f"| {chosen[0]:,} | start of the plateau |" in card and f"| {chosen[-1]:,} | end of the run |" in card
