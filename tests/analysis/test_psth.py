import ast
import copy
import json
import warnings
from pathlib import Path

import numpy as np
import pytest
from scipy.special import stdtr
from scipy.stats import ttest_ind

from rnn_maturation.analysis import (
    Get_H,
    gen_PSTH_log,
    plot_epoch_mean_growth,
    plot_period_ttest_heatmap,
    plot_PSTH,
    plot_PSTH_neuron_selected,
)
from rnn_maturation.analysis.psth import (
    compute_epoch_growth,
    compute_epoch_ttests,
    compute_psth,
    compute_stage_psths,
    mean_over_units,
    pairwise_ttest,
    unit_psths,
    window_steps,
)
from rnn_maturation.analysis.selectivity import DEFAULT_TYPES, compute_neuron_info, select_units
from rnn_maturation.model_directory import activity_file, load_pickle, neuron_info_file, save_pickle
from rnn_maturation.stages import evenly_thinned

GOLDEN = Path(__file__).parents[1] / "golden"
FIXATION = slice(None, 50)


@pytest.mark.parametrize("epoch", ["stim1", "delay1"])
@pytest.mark.parametrize("opposite", [False, True])
def test_mean_psth_is_that_of_the_original(epoch, opposite):
    golden = np.load(GOLDEN / "analysis.npz")
    info = json.loads((GOLDEN / "analysis.json").read_text())["neuron_info"][f"488960|{epoch}|True"]
    chosen = sorted(info["exh_neurons"] + info["mix_neurons"])
    units, preferred = (np.array([unit[i] for unit in chosen]) for i in (0, 2))
    psths = unit_psths(golden["location_means"], units, preferred, FIXATION, opposite=opposite)
    np.testing.assert_allclose(mean_over_units(psths), golden[f"psth|{epoch}|{opposite}"], rtol=1e-3, atol=1e-3)


def test_opposite_in_an_odd_ring_is_the_mean_of_two_neighbors():
    means = np.random.default_rng(0).random((5, 20, 3)) + 1
    units, preferred, fixation = np.array([0, 2]), np.array([4, 1]), slice(None, 10)
    psths = unit_psths(means, units, preferred, fixation, opposite=True)
    for psth, unit, first in zip(psths, units, (1, 3), strict=True):  # 4 + 2 = 1, 1 + 2 = 3 in a ring of 5
        level = means[first, :10, unit].mean()
        both = (means[first, :, unit] + means[(first + 1) % 5, :, unit]) / 2
        np.testing.assert_allclose(psth, both / level - 1)
    absolute = unit_psths(means, units, preferred, fixation, norm=False)
    np.testing.assert_allclose(absolute[0], means[4, :, 0])


@pytest.mark.filterwarnings("error")
def test_zero_fixation_level_is_nan_and_left_out_of_means():
    means = np.ones((8, 10, 2), np.float32)
    means[3, :5, 1] = 0
    psths = unit_psths(means, np.array([0, 1]), np.array([3, 3]), slice(None, 5))
    assert np.isnan(psths[1]).all()
    np.testing.assert_allclose(mean_over_units(psths), 0)
    assert np.isnan(mean_over_units(psths[1:])).all() and np.isnan(mean_over_units(psths[:0])).all()


def test_stage_means_leave_out_checkpoints_without_units():
    log = {1: np.ones((3, 4)), 2: np.zeros((0, 4)), 3: np.full((1, 4), 2.0)}
    opposite = {trial: -psths for trial, psths in log.items()}
    performance = {1: 0.7, 2: 0.8, 3: 0.9}
    result = compute_stage_psths(log, {"mid": [1, 2, 3]}, performance, {}, 20, opposite=opposite)["mid"]
    np.testing.assert_allclose(result["PSTH"], 1.5)
    np.testing.assert_allclose(result["PSTH_oppo"], -1.5)
    assert result["growth"] == pytest.approx(0.8) and result["n_num"] == pytest.approx(4 / 3)


def test_pairwise_ttest_is_scipys():
    rng = np.random.default_rng(0)
    samples = [rng.normal(i, 1, n) for i, n in enumerate((5, 9, 2, 1, 0))]
    p = pairwise_ttest(samples)
    for i in range(3):
        for j in range(3):
            np.testing.assert_allclose(p[i, j], ttest_ind(samples[i], samples[j]).pvalue, rtol=1e-9)
    # one unit has no variance of its own, but the other sample's serves
    pooled = (samples[0].mean() - samples[3][0]) / (samples[0].std(ddof=1) * np.sqrt(1 / 5 + 1))
    np.testing.assert_allclose(p[0, 3], 2 * stdtr(4, -abs(pooled)))
    assert np.isnan(p[3, 3]) and np.isnan(p[4]).all() and np.isnan(p[:, 4]).all()


def test_windows_in_ms_and_epochs():
    info = {"epoch_info": {"fix1": (None, 50), "stim1": (50, 75), "go1": (75, None)}}
    assert window_steps({"dt": 20}, info, "odr", "fix1") == slice(None, 50)
    assert window_steps({"dt": 20}, info, "odr", (1000, 1250)) == slice(50, 62)
    for window in ((500, 500), (-20, 100), (1600, 1700), "stim2", 5, ("a", "b")):
        with pytest.raises(ValueError):
            window_steps({"dt": 20}, info, "odr", window)
    with pytest.raises(ValueError, match="before 1500 ms, the last time at which an epoch of rule odr starts or ends"):
        window_steps({"dt": 20}, info, "odr", (1500, 1600))
    with pytest.raises(ValueError, match="A window must be") as error:
        window_steps({"dt": 20}, info, "odr", {"trials": list(range(1000)), "perf_odr": [0.5] * 1000})
    assert len(str(error.value)) < 200  # a log that was given by mistake is not printed whole


# ------------------------------------------------------------------------------------------ on a made-up recording

EPOCHS = {"fix1": (None, 10), "stim1": (10, 20), "delay1": (20, 30), "go1": (30, None)}


def recording(seed=0, n_locations=6, n_units=5):
    """Poisson-like rates of units that prefer location = unit number, in irregular order of trials."""
    rng = np.random.default_rng(seed)
    locations = rng.permutation(np.repeat(np.arange(n_locations), 4))
    activity = 5 + 0.1 * rng.random((35, len(locations), n_units))
    activity[10:30] += 3 * (locations[:, None] == np.arange(n_units))
    return activity, locations


def test_a_recording_goes_from_selectivity_to_the_figure():
    activity, locations = recording()
    units, preferred = select_units(compute_neuron_info(activity, locations, EPOCHS, "stim1"), DEFAULT_TYPES)
    assert units.tolist() == preferred.tolist() == [0, 1, 2, 3, 4]
    result = compute_psth(activity, locations, units, preferred, EPOCHS, 20, name="monkey", title="prefrontal")
    means = np.stack([activity[:, locations == unit, unit].mean(axis=1) for unit in units])
    np.testing.assert_allclose(result["monkey"], means / means[:, :10].mean(axis=1, keepdims=True) - 1)
    from_one = compute_psth(activity, locations + 1, units, preferred, EPOCHS, 20)  # locations 1 … 6 in the file
    np.testing.assert_array_equal(from_one["recording"], result["monkey"])
    opposite = compute_psth(activity, locations, units, preferred, EPOCHS, 20, norm=False, opposite=True)
    np.testing.assert_allclose(opposite["recording"][1], activity[:, locations == 4, 1].mean(axis=1))
    ax = result.plot().axes[0]
    np.testing.assert_allclose(ax.lines[-1].get_ydata(), result["monkey"].mean(axis=0))
    assert ax.get_title() == "prefrontal" and "fixation rate" in ax.get_ylabel()
    assert result.to_frame().groupby("unit")["activity"].mean().to_numpy() == pytest.approx(result["monkey"].mean(1))
    with pytest.raises(ValueError, match="a location for each trial"):
        compute_psth(activity, locations[:-1], units, preferred, EPOCHS, 20)
    with pytest.raises(ValueError, match="epochs has no epoch 'fix1': it has delay1"):
        compute_psth(activity, locations, units, preferred, {"delay1": (75, 150)}, 20)


def test_stages_growth_and_tests_of_plain_arrays():
    rng = np.random.default_rng(1)
    psths = {session: rng.normal(number, 1, (n, 35)) for number, (session, n) in enumerate([(1, 3), (5, 4), (9, 6)])}
    stages, performance = {"early": [1, 5], "mature": [9]}, {1: 0.2, 5: 0.4, 9: 1.0}
    result = compute_stage_psths(psths, stages, performance, EPOCHS, 20, opposite=psths, title="a recording")
    wanted = (psths[1].mean(axis=0) + psths[5].mean(axis=0)) / 2
    np.testing.assert_allclose(result["early"]["PSTH"], wanted)
    assert result["early"]["growth"] == pytest.approx(0.3) and result["early"]["n_num"] == 3.5
    table = result.to_frame()
    assert list(table) == ["stage", "direction", "time_ms", "activity", "performance", "n_units"]
    early = table[(table["stage"] == "early") & (table["direction"] == "preferred")]
    np.testing.assert_allclose(early["activity"], wanted)
    assert early["time_ms"].iloc[-1] == 680 and result.plot().axes[0].get_title() == "a recording"
    growth = compute_epoch_growth(psths, slice(20, 30), stages, [1, 5, 7, 9])
    np.testing.assert_allclose(
        growth["mean_activity"], [psths[t][:, 20:30].mean() if t != 7 else np.nan for t in growth.trial]
    )
    heat = compute_epoch_ttests(psths, slice(20, 30), performance)
    first = heat.to_frame().query("trial_1 == 1 and trial_2 == 9")
    assert first[["performance_1", "performance_2"]].to_numpy().tolist() == [[0.2, 1.0]]
    wanted = ttest_ind(psths[1][:, 20:30].mean(axis=1), psths[9][:, 20:30].mean(axis=1)).pvalue
    assert first["p"].item() == pytest.approx(wanted)


# ----------------------------------------------------------------------------------------------------- on a run


def test_psth_log(run, trials):
    hp, _, model_dir = run
    log = gen_PSTH_log(hp, trials, model_dir, "odr", "stim1", n_types=("selective_neurons", "exh_neurons"))
    assert list(log) == trials
    info = load_pickle(neuron_info_file(model_dir, trials[0], "odr", "stim1"))
    unit, _, where = sorted(info["selective_neurons"])[0]
    assert len(log[trials[0]]) == len(info["selective_neurons"])
    activity = Get_H(hp, model_dir, trials[0], "odr")[:, 16 * where : 16 * where + 16, unit].mean(axis=1)
    np.testing.assert_allclose(log[trials[0]][0], activity / activity[FIXATION].mean() - 1, rtol=1e-4, atol=1e-5)


def test_plot_psth_returns_and_draws_stages(run, trials):
    hp, log, model_dir = run
    psths = gen_PSTH_log(hp, trials, model_dir, "odr", "stim1")
    given = copy.deepcopy(psths)
    for psth_log in (None, psths):
        stages = plot_PSTH(hp, log, model_dir, "odr", "stim1", trials, plot_oppo_dir=True, PSTH_log=psth_log)
        assert list(stages) == ["early", "mid", "mature"]
        assert stages["mid"]["PSTH"].shape == stages["mid"]["PSTH_oppo"].shape == (175,)
        assert stages["early"]["growth"] == pytest.approx(0.2)
        assert stages["early"]["n_num"] == np.mean([len(psths[trial]) for trial in trials[:2]])
        wanted = np.mean([psths[trial].mean(axis=0) for trial in trials[:2]], axis=0)
        np.testing.assert_allclose(stages["early"]["PSTH"], wanted, rtol=1e-5)
    assert all((given[trial] == psths[trial]).all() for trial in trials)
    stem = Path("figure/figure_run/odr/stim1/exh_neurons_mix_neurons/odr_stim1_(0, 5120)_step_1280_PSTH")
    assert stem.with_name(f"{stem.name}.png").stat().st_size > 1000
    title = stages.plot().axes[0].get_title()
    assert "exh + mix" in title and "5 checkpoints from 0 to 5,120 trials" in title


def test_range_and_stage_dict(run, trials):
    hp, log, model_dir = run
    listed = plot_PSTH(hp, log, model_dir, "gap", "stim1", range(0, 5121, 1280))
    stages = {"gap": {"early": trials[:3], "mid": trials[2:4], "mature": trials[4:]}}  # one in two stages
    given = plot_PSTH(hp, log, model_dir, "gap", "stim1", stages)
    assert all(np.array_equal(listed[stage]["PSTH"], given[stage]["PSTH"]) for stage in listed)
    assert Path("figure/figure_run/gap/stim1/exh_neurons_mix_neurons/gap_stim1_auto_choose_step_None_PSTH.png").exists()
    only = plot_PSTH(hp, log, model_dir, "gap", "stim1", {"gap": {"mid": trials[2:3], "early": []}})
    assert list(only) == ["mid"]


def test_a_stage_without_units_is_a_gap_with_one_warning(run, trials):
    hp, log, model_dir = run
    gen_PSTH_log(hp, trials, model_dir, "odr", "stim1")
    for trial in trials[:2]:
        file = neuron_info_file(model_dir, trial, "odr", "stim1")
        save_pickle(file, {**load_pickle(file), "exh_neurons": [], "mix_neurons": []})
    with pytest.warns(UserWarning, match="no unit of these types in stage early") as warned:
        stages = plot_PSTH(hp, log, model_dir, "odr", "stim1", trials)
    assert len(warned) == 1
    assert np.isnan(stages["early"]["PSTH"]).all() and stages["early"]["n_num"] == 0
    table = plot_epoch_mean_growth(hp, log, trials, model_dir, "odr", "stim1", "delay1")
    assert table["mean_activity"].isna().tolist() == [True, True, False, False, False]
    heat = plot_period_ttest_heatmap(hp, log, trials, model_dir, "odr", "stim1", "delay1")
    assert heat.iloc[0].isna().all() and heat.iloc[2:, 2:].notna().all().all()


def test_a_checkpoint_that_is_not_on_disk_is_nan_with_one_warning(run, trials):
    hp, log, model_dir = run
    with pytest.warns(UserWarning, match="leaves out .*: 6400") as warned:
        table = plot_epoch_mean_growth(hp, log, [*trials, 6400], model_dir, "odr", "stim1", "stim1")
    assert len(warned) == 1
    assert table["trial"].tolist() == [*trials, 6400] and np.isnan(table["mean_activity"].iloc[-1])
    assert table["stage"].iloc[:-1].tolist() == ["early", "early", "mid", "mid", "mature"]
    assert table["stage"].isna().tolist() == [False] * 5 + [True]


def test_zero_fixation_is_warned_of_once(run, trials):
    hp, log, model_dir = run
    for trial in trials:
        activity = Get_H(hp, model_dir, trial, "odr", save_H=True)
        activity[FIXATION, :, 5] = 0  # a unit that is silent in fixation
        save_pickle(activity_file(model_dir, trial, "odr"), activity)
    with pytest.warns(UserWarning, match="5 units .* have a fixation rate of zero") as warned:
        plot_PSTH(hp, log, model_dir, "odr", "stim1", trials, n_types=["active_neurons"], plot_oppo_dir=True)
    assert len(warned) == 1


def test_selected_units_are_the_same_in_all_checkpoints(run, trials):
    hp, log, model_dir = run
    stages = plot_PSTH_neuron_selected(hp, log, model_dir, "odr", "stim1", trials, plot_oppo_dir=True)
    listed = Path("figure/figure_run/odr/stim1/odr_stim1_(0, 5120)_step_1280selected_neurons.txt")
    chosen = set(ast.literal_eval(listed.read_text()))  # what a user pastes into a script
    limits = [
        {unit for unit, _, _ in load_pickle(neuron_info_file(model_dir, t, "odr", "stim1"))["selective_neurons"]}
        for t in trials
    ]
    assert chosen <= set.intersection(*limits) and chosen
    assert {stage["n_num"] for stage in stages.values()} == {len(chosen)}
    one = plot_PSTH_neuron_selected(hp, log, model_dir, "odr", "stim1", trials[:2], selected_n_list=[min(chosen), 500])
    assert list(one) == ["early"] and one["early"]["n_num"] == 1


def test_selected_units_from_a_log_of_the_default_types(run, trials):
    hp, log, model_dir = run
    arguments = (hp, log, model_dir, "odr", "stim1", trials)
    psths = gen_PSTH_log(hp, trials, model_dir, "odr", "stim1")
    for trial in trials[:1]:  # a unit that is chosen later is inhibited at first, so that the log lacks it there
        file = neuron_info_file(model_dir, trial, "odr", "stim1")
        info = load_pickle(file)
        moved = [*info["exh_neurons"], *info["mix_neurons"]][0]
        members = {kind: [entry for entry in info[kind] if entry != moved] for kind in DEFAULT_TYPES}
        save_pickle(file, {**info, **members, "inh_neurons": [*info["inh_neurons"], moved]})
        psths = {**psths, **gen_PSTH_log(hp, [trial], model_dir, "odr", "stim1")}
    wanted = plot_PSTH_neuron_selected(*arguments, save=False)
    for given in (psths, gen_PSTH_log(hp, trials, model_dir, "odr", "stim1")):
        got = plot_PSTH_neuron_selected(*arguments, PSTH_log=given, save=False)
        for stage in wanted:
            np.testing.assert_array_equal(got[stage]["PSTH"], wanted[stage]["PSTH"])
            assert got[stage]["n_num"] == wanted[stage]["n_num"] > 0


def test_psth_log_of_other_checkpoints_or_units_is_refused(run, trials):
    hp, log, model_dir = run
    psths = gen_PSTH_log(hp, trials[:2], model_dir, "odr", "stim1")
    with pytest.raises(ValueError, match=r"PSTH_log lacks trial numbers \[2560"):
        plot_PSTH(hp, log, model_dir, "odr", "stim1", trials, PSTH_log=psths)
    with pytest.raises(ValueError, match="PSTH_log was made with norm=True"):
        plot_PSTH(hp, log, model_dir, "odr", "stim1", trials[:2], norm=False, PSTH_log=psths)
    with pytest.raises(ValueError, match="not a list"):
        plot_PSTH(hp, log, model_dir, "odr", "stim1", trials, PSTH_log=[1])
    psths = {trial: np.zeros((1, 175)) for trial in trials}
    with pytest.raises(ValueError, match="PSTH_log is not of the units"):
        plot_PSTH_neuron_selected(hp, log, model_dir, "odr", "stim1", trials, PSTH_log=psths)


def test_rules_without_performance_are_refused(run, trials):
    hp, log, model_dir = run
    del log["perf_gap"]
    with pytest.raises(ValueError, match="no performance of rule 'gap'"):
        plot_PSTH(hp, log, model_dir, "gap", "stim1", trials)
    with pytest.raises(ValueError, match="no stages of rule 'gap'"):
        plot_PSTH(hp, log, model_dir, "gap", "stim1", {"odr": {}})


def test_growth_and_heatmap_use_a_given_log(run, trials):
    hp, log, model_dir = run
    psths = gen_PSTH_log(hp, trials, model_dir, "odr", "stim1")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        table = plot_epoch_mean_growth(hp, log, trials, model_dir, "odr", "stim1", "delay1", PSTH_log=psths)
        heat = plot_period_ttest_heatmap(hp, log, trials, model_dir, "odr", "stim1", "delay1", PSTH_log=psths)
    wanted = [psths[trial][:, 75:150].mean() for trial in trials]
    np.testing.assert_allclose(table["mean_activity"], wanted, rtol=1e-5)
    assert heat.shape == (5, 5) and list(heat.index) == list(heat.columns) == trials
    np.testing.assert_allclose(np.diag(heat), 1)
    folder = Path("figure/figure_run/odr/stim1")
    assert (folder / "delay1_epoch_mean_growth.png").exists()
    assert (folder / "rule_odr_sel_stim1_analy_delay1_heatmap.png").exists()
    ticks = [label.get_text() for label in heat.plot().axes[0].get_yticklabels()]
    assert ticks == ["0 (0.10)", "1 (0.30)", "3 (0.50)", "4 (0.60)", "5 (0.80)"]


def test_growth_shows_the_course_in_gray(run, trials):
    hp, log, model_dir = run
    every = gen_PSTH_log(hp, trials, model_dir, "odr", "stim1")
    arguments = (hp, log, trials[3:], model_dir, "odr", "stim1", "stim1")
    alone = plot_epoch_mean_growth(*arguments, save=False)
    psths = {trial: every[trial] for trial in trials[3:]}
    with pytest.warns(UserWarning, match="leaves out .*: 6400"):
        table = plot_epoch_mean_growth(*arguments, PSTH_log=psths, course=[*trials[:4], 6400], save=False)
    assert table["trial"].tolist() == trials and list(psths) == trials[3:]
    wanted = [every[trial][:, 50:75].mean() for trial in trials]
    np.testing.assert_allclose(table["mean_activity"], wanted, rtol=1e-5)
    assert table["stage"].isna().tolist() == [True, True, True, False, False]
    assert table["stage"].iloc[3:].tolist() == alone["stage"].tolist() == ["mid", "mature"]
    labels = [text.get_text() for text in table.plot().axes[0].get_legend().get_texts()]
    assert labels == ["other checkpoints", "mid, 1 checkpoint", "mature, 1 checkpoint"]
    thinned = plot_epoch_mean_growth(*arguments, PSTH_log=every, course=evenly_thinned(trials, 2), save=False)
    assert thinned["trial"].tolist() == [0, *trials[3:]]


def test_nothing_is_written_without_save(run, trials):
    hp, log, model_dir = run
    psths = gen_PSTH_log(hp, trials, model_dir, "odr", "stim1")
    plot_PSTH(hp, log, model_dir, "odr", "stim1", trials, PSTH_log=psths, save=False)
    plot_PSTH_neuron_selected(hp, log, model_dir, "odr", "stim1", trials, PSTH_log=psths, save=False)
    plot_epoch_mean_growth(hp, log, trials, model_dir, "odr", "stim1", "stim1", PSTH_log=psths, save=False)
    plot_period_ttest_heatmap(hp, log, trials, model_dir, "odr", "stim1", "stim1", PSTH_log=psths, save=False)
    assert not Path("figure").exists()


def test_a_log_of_another_epoch_is_refused(run, trials):
    hp, log, model_dir = run
    psths = gen_PSTH_log(hp, trials, model_dir, "odr", "stim1", ("active_neurons",))
    arguments = hp, log, trials, model_dir, "odr", "delay1", "delay1", ("active_neurons",)
    with pytest.raises(ValueError, match="units selective in odr stim1, not in odr delay1"):
        plot_epoch_mean_growth(*arguments, PSTH_log=psths, save=False)
