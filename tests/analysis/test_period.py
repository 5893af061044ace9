from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import f_oneway
from statsmodels.formula.api import ols
from statsmodels.stats.anova import anova_lm

from rnn_maturation.analysis import gen_PSTH_log, neuron_period_activity_analysis
from rnn_maturation.analysis.period import compute_period_activity, stage_anova


def test_anova_between_stages():
    rng = np.random.default_rng(0)
    activity = {"early": rng.random(6), "mid": rng.random(9) + 0.5, "mature": rng.random(7) + 1}
    result = stage_anova(activity)
    table = pd.concat([pd.DataFrame({"stage": stage, "rate": rates}) for stage, rates in activity.items()])
    wanted = anova_lm(ols("rate ~ C(stage)", table).fit(), typ=2).loc["C(stage)", ["F", "PR(>F)"]]
    np.testing.assert_allclose((result["F"], result["p"]), wanted, rtol=1e-9)
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
    assert (folder / "overlap_1000_1250_activity_oneway_anova_analysis.png").exists()
    assert (folder / "overlap_stim1_activity_oneway_anova_analysis.png").exists()
    assert "activity in 1000–1250 ms" in last.title and "3 checkpoints from 1,280 to 5,120 trials" in last.title
    neuron_period_activity_analysis(*arguments, "go1", PSTH_log=psths, save=False)
    assert len(list(folder.iterdir())) == 2


def test_the_figure_shows_densities_and_means():
    rng = np.random.default_rng(0)
    psths = {1: rng.normal(1, 0.4, (40, 10)), 2: rng.normal(2, 0.4, (90, 10)), 3: rng.normal(3, 2, (60, 10))}
    stages = {"early": [1], "mid": [2], "mature": [3]}
    result = compute_period_activity(psths, slice(2, 8), stages, bin_width=0.25)
    ax = result.plot().axes[0]
    steps = [patch.get_data() for patch in ax.patches]
    assert len(steps) == 3
    for density in steps:
        assert np.sum(density.values * np.diff(density.edges)) == pytest.approx(1)
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    means = [psths[trial][:, 2:8].mean() for trial in psths]
    wanted = zip(stages, means, (40, 90, 60), strict=True)
    assert labels == [f"{stage}: mean {mean:.2f}, {n} units" for stage, mean, n in wanted]
    np.testing.assert_allclose(result.to_frame().groupby("stage", sort=False)["activity"].mean(), means)


def test_an_empty_stage_is_left_out_with_one_warning(run, trials):
    hp, log, model_dir = run
    rng = np.random.default_rng(0)
    psths = {trial: rng.random((0 if trial == trials[1] else 3, 80)) for trial in trials}
    with pytest.warns(UserWarning, match="no unit of these types in stage early") as warned:
        result = neuron_period_activity_analysis(hp, log, trials, model_dir, "overlap", "stim1", "go1", PSTH_log=psths)
    assert len(warned) == 1
    assert len(result["activity"]["early"]) == 0 and result["df"][0] == 1
