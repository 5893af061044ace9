import os

import numpy as np
import pytest
from cachetools import LRUCache

from rnn_maturation.analysis import (
    Decoder_analysis,
    compute_H,
    delay_generalization_analysis,
    gen_PSTH_log,
    generate_neuron_info,
    neuron_dPCA,
    neuron_PCA,
    odrd_distractor_analysis,
    saccade_distribut_analysis,
)
from rnn_maturation.analysis import memory as memory_module
from rnn_maturation.analysis.memory import remembered
from rnn_maturation.analysis.report.data import HELD_DELAYS_MS, TrainedRun
from rnn_maturation.model_directory import checkpoint_dir


@pytest.fixture
def memory(monkeypatch):
    """Give the test a memory of its own, of a size that it chooses."""

    def of_size(n_bytes):
        monkeypatch.setattr(memory_module, "_pickles", LRUCache(n_bytes, getsizeof=len))

    of_size(1e8)
    return of_size


def counting(value):
    """Return a function that returns a value, and the list that grows at each of its calls."""
    calls = []

    def compute():
        calls.append(value)
        return value

    return compute, calls


def damage_behind_its_back(model_dir, trial_num):
    """Make a checkpoint unreadable without a change of its files' size and time: who reads it again fails."""
    file = checkpoint_dir(model_dir, trial_num) / "model.ckpt.data-00000-of-00001"
    before = file.stat()
    file.write_bytes(bytes(before.st_size))
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_the_same_thing_is_computed_once_and_belongs_to_the_caller(run, trials, memory):
    hp, _, model_dir = run
    compute, calls = counting(np.arange(4.0))
    where = (hp, model_dir, trials[0], "odr")
    first = remembered(compute, "rates", *where, 1)
    first += 1
    np.testing.assert_array_equal(remembered(compute, "rates", *where, 1), np.arange(4.0))
    second = remembered(compute, "rates", *where, 1)
    second += 10
    np.testing.assert_array_equal(remembered(compute, "rates", *where, 1), np.arange(4.0))
    assert len(calls) == 1


@pytest.mark.parametrize(
    "change",
    [
        lambda arguments: {**arguments, "what": "means"},
        lambda arguments: {**arguments, "details": (2,)},
        lambda arguments: {**arguments, "rule": "odrd"},
        lambda arguments: {**arguments, "trial_num": arguments["trial_num"] + 1280},
        lambda arguments: {**arguments, "hp": {**arguments["hp"], "sigma_rec": 0.5}},
    ],
)
def test_another_thing_is_computed(run, trials, memory, change):
    hp, _, model_dir = run
    compute, calls = counting(3)

    def ask(what, hp, trial_num, rule, details):
        return remembered(compute, what, hp, model_dir, trial_num, rule, *details)

    arguments = {"what": "rates", "hp": hp, "trial_num": trials[0], "rule": "odr", "details": (1,)}
    ask(**arguments)
    ask(**change(arguments))
    assert len(calls) == 2


def test_a_replaced_checkpoint_is_computed_anew(run, trials, memory):
    hp, _, model_dir = run
    compute, calls = counting(3)
    remembered(compute, "rates", hp, model_dir, trials[0], "odr")
    os.utime(checkpoint_dir(model_dir, trials[0]) / "model.ckpt.index", ns=(1, 1))
    remembered(compute, "rates", hp, model_dir, trials[0], "odr")
    assert len(calls) == 2


def test_memory_is_bounded_and_forgets_the_oldest(run, trials, memory):
    hp, _, model_dir = run
    memory(2500)

    def ask(name, size=125):
        compute, calls = counting(np.full(size, 1.0))
        assert remembered(compute, name, hp, model_dir, trials[0], "odr").shape == (size,)
        return not calls

    assert not ask("a") and not ask("b")
    assert ask("a")  # used again, so that b is the oldest
    assert not ask("c")
    assert ask("a") and ask("c") and not ask("b")
    assert not ask("large", 10_000) and not ask("large", 10_000)  # computed, though never remembered
    assert ask("b")


def test_activity_is_computed_once_for_all_that_follows_from_it(run, trials, memory):
    hp, log, model_dir = run
    compute_H(hp, log, model_dir, ["odr"], trials[:1], save_H_pickle=False)
    damage_behind_its_back(model_dir, trials[0])
    generate_neuron_info(hp, model_dir, ["stim1"], trials[:1], ["odr"], verbose=False)
    assert gen_PSTH_log(hp, trials[:1], model_dir, "odr", "stim1")[trials[0]].shape[1] == 175
    assert gen_PSTH_log(hp, trials[:1], model_dir, "odr", "delay1")[trials[0]].shape[1] == 175
    assert neuron_PCA(hp, log, model_dir, trials[0], "odr", save=False)["components"].shape == (2, 8, 175)
    with pytest.raises(ValueError, match=f"{trials[0]}"):
        compute_H(hp, log, model_dir, ["gap"], trials[:1], save_H_pickle=False)


def test_saccades_and_population_codes_are_computed_once(run, trials, memory):
    hp, log, model_dir = run
    calls = {
        "decoder": lambda: Decoder_analysis(hp, model_dir, trials[0], "gap", window_size=20, stride=20, save=False),
        "dpca": lambda: neuron_dPCA(hp, log, model_dir, trials[0], "gap", save=False),
        "saccades": lambda: saccade_distribut_analysis(hp, log, "gap", model_dir, trials[:1], save=False),
        "distractor": lambda: odrd_distractor_analysis(hp, log, model_dir, trials[:1], save=False),
    }
    first = {name: call().to_frame() for name, call in calls.items()}
    damage_behind_its_back(model_dir, trials[0])
    for name, call in calls.items():
        assert call().to_frame().equals(first[name]), name


def test_other_delays_are_computed_once_for_the_analysis_and_the_report(run, trials, memory):
    hp, log, model_dir = run
    first = delay_generalization_analysis(hp, log, model_dir, trials[:2], "odr", save=False)
    damage_behind_its_back(model_dir, trials[0])
    assert delay_generalization_analysis(hp, log, model_dir, trials[:1], "odr", save=False)["trial"].nunique() == 1
    reported = TrainedRun(model_dir)
    reported.first_mature_odr = trials[0]
    of_first = first.data[first.data.trial == trials[0]]
    assert reported.held_delays.data.equals(of_first) and set(HELD_DELAYS_MS) <= set(of_first.delay_ms)
    with pytest.raises(ValueError, match=f"{trials[0]}"):
        delay_generalization_analysis(hp, log, model_dir, trials[:1], "odr", [700], save=False)
