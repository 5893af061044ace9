from pathlib import Path

import pytest

from rnn_maturation.analysis import sample_neuron_by_trial
from rnn_maturation.model_directory import load_pickle, neuron_info_file


def test_pages(run, trials):
    hp, log, model_dir = run
    trial = trials[-1]
    drawn = sample_neuron_by_trial(hp, log, model_dir, "odr", "stim1", [trial], "active_neurons", max_units=1)
    info = load_pickle(neuron_info_file(model_dir, trial, "odr", "stim1"))
    assert drawn == {trial: [info["active_neurons"][0][0]]}
    folder = Path(f"figure/figure_run/odr/stim1/sample_neuron/{trial}mature/active_neurons")
    assert {file.name for file in folder.glob("*.svg")} == {f"{drawn[trial][0]}.svg", f"{drawn[trial][0]}_polar.svg"}
    stages = {"odr": {"mid": [trial]}}
    unit = info["active_neurons"][1][0]
    again = sample_neuron_by_trial(hp, log, model_dir, "odr", "stim1", stages, "active_neurons", units=[unit, 999])
    assert again == {trial: [unit]}
    assert Path(f"figure/figure_run/odr/stim1/sample_neuron/{trial}mid/active_neurons/{unit}.png").exists()


def test_errors(run, trials):
    hp, log, model_dir = run
    with pytest.raises(ValueError, match="Unknown unit type"):
        sample_neuron_by_trial(hp, log, model_dir, "odr", "stim1", trials, "all_neurons")
    with pytest.raises(ValueError, match="no epoch 'delay2'"):
        sample_neuron_by_trial(hp, log, model_dir, "odr", "delay2", trials, "exh_neurons")
    assert sample_neuron_by_trial(hp, log, model_dir, "odr", "stim1", trials, "exh_neurons", units=[]) == {
        trial: [] for trial in trials
    }
