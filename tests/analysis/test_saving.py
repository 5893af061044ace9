"""Nothing is written where `save` is False, by any public analysis that draws."""

from pathlib import Path

import pytest

from rnn_maturation import analysis

TYPES = ("exh_neurons", "mix_neurons", "inh_neurons")
CALLS = {
    "print_basic_info": lambda hp, log, d, t: analysis.print_basic_info(hp, log, d, auto_range_select=True, save=False),
    "gen_PSTH_log": lambda hp, log, d, t: analysis.gen_PSTH_log(hp, t, d, "odr", "stim1", TYPES, save=False),
    "plot_PSTH": lambda hp, log, d, t: analysis.plot_PSTH(
        hp, log, d, "odr", "delay1", t, TYPES, plot_oppo_dir=True, save=False
    ),
    "plot_PSTH_neuron_selected": lambda hp, log, d, t: analysis.plot_PSTH_neuron_selected(
        hp, log, d, "odr", "stim1", t, plot_oppo_dir=True, save=False
    ),
    "plot_epoch_mean_growth": lambda hp, log, d, t: analysis.plot_epoch_mean_growth(
        hp, log, t[2:], d, "odr", "stim1", "delay1", TYPES, course=t, save=False
    ),
    "plot_period_ttest_heatmap": lambda hp, log, d, t: analysis.plot_period_ttest_heatmap(
        hp, log, t, d, "odr", "stim1", "delay1", TYPES, save=False
    ),
    "tunning_analysis": lambda hp, log, d, t: analysis.tunning_analysis(hp, log, d, "odr", "stim1", t, save=False),
    "neuron_period_activity_analysis": lambda hp, log, d, t: analysis.neuron_period_activity_analysis(
        hp, log, t, d, "odr", "stim1", (1000, 1200), TYPES, save=False
    ),
    "sample_neuron_by_trial": lambda hp, log, d, t: analysis.sample_neuron_by_trial(
        hp, log, d, "odr", "stim1", t, "active_neurons", max_units=1, save=False
    ),
    "seldir_analysis": lambda hp, log, d, t: analysis.seldir_analysis(
        d, "odr", "stim1", "gap", "stim1", t, TYPES, save=False
    ),
    "neuron_dPCA": lambda hp, log, d, t: analysis.neuron_dPCA(hp, log, d, t[-1], "odr", save=False),
    "neuron_PCA": lambda hp, log, d, t: analysis.neuron_PCA(hp, log, d, t[-1], "odr", save=False),
    "Decoder_analysis": lambda hp, log, d, t: analysis.Decoder_analysis(
        hp, d, t[-1], "gap", window_size=10, stride=10, save=False
    ),
    "saccade_distribut_analysis": lambda hp, log, d, t: analysis.saccade_distribut_analysis(
        hp, log, "gap", d, t[-1:], save=False
    ),
    "odrd_distractor_analysis": lambda hp, log, d, t: analysis.odrd_distractor_analysis(hp, log, d, t[-1:], save=False),
    "fixed_point_analysis": lambda hp, log, d, t: analysis.fixed_point_analysis(hp, d, t[-1], "odr", save=False),
    "eigenvalue_growth_analysis": lambda hp, log, d, t: analysis.eigenvalue_growth_analysis(
        hp, log, d, t, "odr", save=False
    ),
    "delay_generalization_analysis": lambda hp, log, d, t: analysis.delay_generalization_analysis(
        hp, log, d, t[-1:], "odr", save=False
    ),
    "end_state_analysis": lambda hp, log, d, t: analysis.end_state_analysis(hp, d, t[-1], "odr", save=False),
    "lesion_analysis": lambda hp, log, d, t: analysis.lesion_analysis(
        hp, log, d, t[-1:], ["odr"], n_directions=4, n_draws=1, save=False
    ),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", CALLS)
def test_nothing_is_written(name, run, trials):
    hp, log, model_dir = run

    def files():
        return {path: path.stat().st_mtime_ns for path in Path().rglob("*")}

    before = files()
    CALLS[name](hp, log, model_dir, trials)
    assert files() == before
