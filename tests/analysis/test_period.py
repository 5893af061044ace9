from pathlib import Path

import numpy as np
import pytest
from scipy.stats import f_oneway

from rnn_maturation.analysis import gen_PSTH_log, neuron_period_activity_analysis
from rnn_maturation.analysis.period import stage_anova


def test_anova_between_stages():
    rng = np.random.default_rng(0)
    activity = {"early": rng.random(6), "mid": rng.random(9) + 0.5, "mature": rng.random(7) + 1}
    result = stage_anova(activity)
    np.testing.assert_allclose((result["F"], result["p"]), f_oneway(*activity.values()), rtol=1e-9)
    assert result["df"] == [2, 19]
    for few in ({"mid": activity["mid"]}, {"mid": activity["mid"], "early": np.array([])}):
        one = stage_anova(few)
        assert np.isnan(one["F"]) and np.isnan(one["p"]) and one["df"] == [0, 8]


def test_last_checkpoint_or_all(run, trials):
    hp, log, model_dir = run
    psths = gen_PSTH_log(hp, trials, model_dir, "overlap", "stim1")
    arguments = (hp, log, trials, model_dir, "overlap", "stim1")
    last = neuron_period_activity_analysis(*arguments, (1000, 1250), PSTH_log=psths)
    np.testing.assert_allclose(last["activity"]["early"], psths[trials[1]][:, 50:62].mean(axis=1), rtol=1e-5)
    every = neuron_period_activity_analysis(*arguments, "stim1", last_step=False, bin_wid=0.1)
    assert len(every["activity"]["early"]) == len(psths[trials[0]]) + len(psths[trials[1]])
    np.testing.assert_allclose((last["F"], last["p"]), f_oneway(*last["activity"].values()), rtol=1e-6)
    folder = Path("figure/figure_run/overlap/stim1/exh_neurons_mix_neurons")
    assert (folder / "overlap_1000_1250_activity_oneway_anova_analysis.pdf").exists()
    assert (folder / "overlap_stim1_activity_oneway_anova_analysis.pdf").exists()


def test_an_empty_stage_is_left_out_with_one_warning(run, trials):
    hp, log, model_dir = run
    rng = np.random.default_rng(0)
    psths = {trial: rng.random((0 if trial == trials[1] else 3, 80)) for trial in trials}
    with pytest.warns(UserWarning, match="no unit of these types in stage early") as warned:
        result = neuron_period_activity_analysis(hp, log, trials, model_dir, "overlap", "stim1", "go1", PSTH_log=psths)
    assert len(warned) == 1
    assert len(result["activity"]["early"]) == 0 and result["df"][0] == 1
