"""A small run that the tests of the analyses share: 12 units, six rules, checkpoints of every stage."""

import shutil

import numpy as np
import pytest

from rnn_maturation.hyperparameters import complete_hp
from rnn_maturation.model_directory import load_hp, load_log, save_hp, save_log
from rnn_maturation.network import Model, tf1
from rnn_maturation.task import rules_dict

TRIALS = list(range(0, 6 * 1280, 1280))
ON_DISK = TRIALS[:5]  # the log has one more than the disk
PERFORMANCE = [0.1, 0.3, 0.5, 0.6, 0.8, 1.0]  # early, early, mid, mid, mature, mature


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """The run itself, not to be written to."""
    folder = tmp_path_factory.mktemp("trained") / "run"
    rules = rules_dict["all_new"]
    hp = complete_hp({"ruleset": "all_new", "n_rnn": 12, "activation": "softplus", "mix_rule": True, "seed": 3})
    save_hp({**hp, "rule_trains": rules, "rules": rules}, folder)
    log = {"model_dir": str(folder), "trials": TRIALS, "perf_min": PERFORMANCE}
    save_log({**log, **{f"perf_{rule}": PERFORMANCE for rule in rules}})
    rng = np.random.RandomState(0)
    model = Model(str(folder), hp=hp)
    with tf1.Session() as session:
        model.initialize()
        initial = dict(zip(model.var_list, session.run(model.var_list), strict=True))
        for trial in ON_DISK:
            for variable, value in initial.items():
                variable.load(value * 2 + 0.1 * rng.randn(*value.shape), session)
            model.save(folder / str(trial))
    return folder


@pytest.fixture
def run(trained, tmp_path, monkeypatch):
    """(hp, log, model directory) of a copy of the run; figures go to the test's folder."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(trained, "data/run")
    return load_hp("data/run"), load_log("data/run"), "data/run"


@pytest.fixture
def trials():
    """Trial numbers of the run that are on disk."""
    return list(ON_DISK)


@pytest.fixture
def recorded_trials(tmp_path):
    """Writes a text file of recorded trials whose rates depend on location, time and unit."""

    def write(name, n_locations=8, n_trials=8, n_time=20, n_units=4, seed=0):
        rng = np.random.default_rng(seed)
        location, _, time = np.indices((n_locations, n_trials, n_time))
        tuning = rng.normal(size=(n_locations, n_units)) * 5
        rates = tuning[location] * np.sin(time / n_time)[..., None] + time[..., None] / n_time
        rates = rates + 0.1 * rng.normal(size=rates.shape)
        table = np.concatenate([1 + location[..., None], rates], axis=-1).reshape(-1, 1 + n_units)
        np.savetxt(tmp_path / name, table, delimiter=",", fmt="%.6g")
        return str(tmp_path / name)

    return write
