"""No name that a file or an argument brings leads out of the figure directory."""

import numpy as np
import pytest

from rnn_maturation.analysis import (
    neuron_period_activity_analysis,
    plot_epoch_mean_growth,
    plot_period_ttest_heatmap,
    plot_PSTH,
)
from rnn_maturation.hyperparameters import get_default_hp
from rnn_maturation.model_directory import activity_file, figure_dir, save_hp, save_log, save_pickle, task_info_file

LEADING_AWAY = ["../../../../evil", "/evil", "..", "a/b", "a\\b"]
LOG = {"trials": [0, 4], "perf_gap": [0.1, 0.9], "perf_min": [0.1, 0.9]}
PSTH_LOG = {4: np.ones((3, 80))}
TYPES = ["exh_neurons"]
CALLS = {
    "psth": lambda hp, run, epoch: plot_PSTH(hp, LOG, run, "gap", epoch, [4], TYPES, PSTH_log=PSTH_LOG),
    **{
        call.__name__: lambda hp, run, epoch, call=call: call(
            hp, LOG, [4], run, "gap", epoch, "stim1", TYPES, PSTH_log=PSTH_LOG
        )
        for call in (plot_epoch_mean_growth, plot_period_ttest_heatmap, neuron_period_activity_analysis)
    },
}


@pytest.mark.parametrize("name", LEADING_AWAY)
def test_names_in_figure_paths_are_checked(name):
    for names in ((name, "stim1"), ("gap", name)):
        with pytest.raises(ValueError, match="cannot be part of a file name"):
            figure_dir("data/run", *names)
    assert figure_dir("data/run", "gap", "stim1").as_posix() == "figure/figure_run/gap/stim1"


@pytest.mark.parametrize("epoch", LEADING_AWAY)
@pytest.mark.parametrize("call", CALLS)
def test_an_epoch_of_a_strangers_task_info_writes_nothing_elsewhere(call, epoch, tmp_path, monkeypatch):
    """With a PSTH_log nothing else is read in which the name would be noticed."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    hp = get_default_hp("all_new")
    save_hp(hp, "run")
    save_log(LOG, "run")
    locations = np.repeat(np.arange(8), 16)
    epochs = {"fix1": (None, 50), "stim1": (55, 60), "go1": (55, None), epoch: (50, 55)}
    info = {"in_loc": locations, "in_loc_set": list(range(8)), "epoch_info": epochs}
    save_pickle(task_info_file("run"), {"gap": info})
    activity_file("run", 4, "gap").parent.mkdir()
    save_pickle(activity_file("run", 4, "gap"), np.zeros((80, 128, 3), np.float32))
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(ValueError, match="epoch .* cannot be part of a file name"):
        CALLS[call](hp, "run", epoch)
    assert sorted(tmp_path.rglob("*")) == before
