"""The trained network that comes along is what its log says."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from rnn_maturation.model_directory import checkpoint_trials, load_hp, load_log
from rnn_maturation.network import Model
from rnn_maturation.stages import performance_at, range_auto_select
from rnn_maturation.train import do_eval

MODEL_DIR = Path(__file__).parent.parent / "data" / "6tasks_pretrained"


@pytest.fixture(scope="module")
def run():
    return load_hp(MODEL_DIR), load_log(MODEL_DIR)


def test_run_reached_its_target(run):
    hp, log = run
    assert hp["target_perf"] == 0.995 and log["perf_min"][-1] > 0.995
    assert log["trials"][0] == 0 and set(np.diff(log["trials"])) == {1280}


def test_every_rule_has_several_checkpoints_in_each_stage(run):
    hp, log = run
    on_disk = checkpoint_trials(MODEL_DIR)
    assert on_disk[0] == 0 and on_disk[-1] == log["trials"][-1] and len(on_disk) == 40
    for rule in hp["rules"]:
        for stage, trials in range_auto_select(hp, log, log["perf_" + rule]).items():
            assert len(set(trials) & set(on_disk)) >= 5, (rule, stage)


def test_checkpoints_perform_as_logged(run):
    """512 trials against 512 other trials: five standard errors of the difference of two proportions.

    The error is that of the pooled proportion: training ended when every rule exceeded .995, so that the last logged
    values are high by selection. ODRD draws one distractor offset per batch of 32, so that its trials are not
    independent: its variance over evaluations was 3.5 times that of a proportion.
    """
    hp, log = run
    model = Model(MODEL_DIR, hp={**hp, "rng": np.random.RandomState(5)})
    with tf.compat.v1.Session() as sess:
        for trial_num in (42240, 389120, log["trials"][-1]):
            model.restore(MODEL_DIR / str(trial_num))
            now = do_eval(sess, model, {"trials": [trial_num], "times": [0.0]}, hp["rule_trains"])
            for rule in hp["rules"]:
                logged = performance_at(log, rule, trial_num)
                measured = now["perf_" + rule][0]
                pooled = (logged + measured) / 2
                error = 5 * np.sqrt((7 if rule == "odrd" else 2) * max(pooled * (1 - pooled), 1 / 512) / 512)
                assert measured == pytest.approx(logged, abs=error), (trial_num, rule)
                logged = log["cost_" + rule][log["trials"].index(trial_num)]
                assert now["cost_" + rule][0] == pytest.approx(logged, rel=0.15), (trial_num, rule)
