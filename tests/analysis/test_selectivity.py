import inspect
import json
import pickle
import shutil
from collections.abc import Mapping
from pathlib import Path
from statistics import mean  # exactly rounded: equal rates have that mean

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ttest_rel
from statsmodels.formula.api import ols
from statsmodels.stats.anova import anova_lm

from rnn_maturation.analysis import generate_neuron_info
from rnn_maturation.analysis.selectivity import (
    CRITERIA,
    UNIT_TYPES,
    compute_neuron_info,
    load_neuron_info,
    normalize,
    one_way_anova,
    paired_ttest,
    select_units,
)
from rnn_maturation.model_directory import load_pickle, neuron_info_file, save_pickle

GOLDEN = Path(__file__).parents[1] / "golden"
LOCATIONS = np.repeat(np.arange(8), 16)
EPOCHS = {"fix1": (None, 1), "stim1": (1, 2), "delay1": (2, 3)}  # golden rates: a step an epoch


def golden_cases():
    wanted = json.loads((GOLDEN / "analysis.json").read_text())
    for key, info in wanted["neuron_info"].items():
        trial, epoch, norm = key.split("|")
        yield trial, epoch, {"norm": norm == "True"}, info
    for key, info in wanted["synthetic"].items():
        epoch, options = key.split("|", 1)
        yield "synthetic", epoch, json.loads(options), info


@pytest.mark.parametrize("source, epoch, options, wanted", list(golden_cases()))
def test_units_are_classified_as_by_the_original(source, epoch, options, wanted):
    rates = np.load(GOLDEN / "analysis.npz")[f"rates|{source}"]
    info = compute_neuron_info(rates, LOCATIONS, EPOCHS, epoch, **options)
    for kind, units in wanted.items():
        assert [(u, d) for u, _, d in info[kind]] == sorted((u, d) for u, _, d in units), kind
        if kind == "selective_neurons":
            np.testing.assert_allclose(
                np.log10([p for _, p, _ in info[kind]]), np.log10([p for _, p, _ in sorted(units)]), atol=1e-2
            )


@pytest.mark.parametrize("epoch", ["stim1", "delay1"])
def test_location_means_are_those_of_the_original(epoch):
    golden = np.load(GOLDEN / "analysis.npz")
    info = compute_neuron_info(golden["rates|488960"], LOCATIONS, EPOCHS, epoch)
    np.testing.assert_allclose(info["firerate_loc_order"], golden[f"means|{epoch}"], rtol=1e-3, atol=1e-4)


def statsmodels_anova(rates, groups):
    table = anova_lm(ols("rate ~ C(group)", pd.DataFrame({"rate": rates, "group": groups})).fit())
    return table.loc["C(group)", "F"], table.loc["C(group)", "PR(>F)"]


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32 - 1), st.lists(st.integers(2, 9), min_size=2, max_size=6), st.floats(1e-3, 1e3))
def test_anova_and_ttest_agree_with_statsmodels_and_scipy(seed, sizes, effect):
    rng = np.random.default_rng(seed)
    groups = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))
    before, after = rng.normal(5, 1, (2, len(groups), 3)) + effect * groups[:, None] * [0, 1, 0.01]
    f, p = one_way_anova(after, groups)
    _, p_response = paired_ttest(before, after, groups)
    for unit in range(3):
        np.testing.assert_allclose((f[unit], p[unit]), statsmodels_anova(after[:, unit], groups), rtol=1e-9)
        for group in range(len(sizes)):
            of_group = groups == group
            wanted = ttest_rel(before[of_group, unit], after[of_group, unit]).pvalue
            np.testing.assert_allclose(p_response[group, unit], wanted, rtol=1e-9)


def textbook_neuron_info(activity, locations, epochs, epoch, norm):
    """`compute_neuron_info` unit by unit, by statsmodels and scipy."""
    info = {kind: [] for kind in UNIT_TYPES}
    where = np.unique(locations)
    all_means = []
    for unit in range(activity.shape[2]):
        fixation, stimulus, rates = (
            activity[slice(*epochs[name]), :, unit].astype(float).mean(axis=0) for name in ("fix1", "stim1", epoch)
        )
        normalized, responds, mean_rates, means = np.full(len(rates), np.nan), False, [], []
        for location in where:
            of_location = locations == location
            level = mean(fixation[of_location])
            mean_rates.append(mean(rates[of_location]))
            if level != 0:
                normalized[of_location] = rates[of_location] / level - 1
            means.append(mean_rates[-1] / level - 1 if level != 0 else np.nan)
            responds |= ttest_rel(fixation[of_location], stimulus[of_location]).pvalue <= 0.05
        if not np.isfinite(rates).all():  # one such trial and nothing is known of the unit
            mean_rates = [np.nan] * len(where)
        if not np.isfinite([fixation, rates]).all():
            means = [np.nan] * len(where)
        tested = normalized if norm else rates
        valid = np.isfinite(tested)
        p = np.nan  # of one location, constant rates, or no trial more than locations
        if len({*locations[valid]}) > 1 and np.ptp(tested[valid]) > 0 and valid.sum() > len({*locations[valid]}):
            p = statsmodels_anova(tested[valid], locations[valid])[1]
        all_means.append(means if norm else mean_rates)
        if not (responds and np.isfinite([fixation, stimulus]).all() and max(mean_rates) > 1e-3):
            continue
        preferred = int(np.nan_to_num(all_means[-1], nan=-np.inf).argmax())
        info["active_neurons"].append((unit, None, preferred))
        if p <= 0.05:
            kind = "inh" if np.nanmax(means) < 0 else "exh" if np.nanmin(means) >= 0 else "mix"
            for name in ("selective_neurons", f"{kind}_neurons"):
                info[name].append((unit, p, preferred))
    return info, np.array(all_means)


def unit_activity(kind, locations, rng):
    """Activity (3 epochs x 2 steps, n_trials) of one unit."""
    n_trials = len(locations)
    tuned = 2 * np.cos(locations + rng.uniform(0, 7)) * rng.choice([0, 0.3, 3])
    rates = np.repeat([[1.5], [2], [2]], 2, axis=0) + np.repeat([[0], [1], [1]], 2, axis=0) * tuned
    rates = rates + rng.choice([0.01, 0.3]) * rng.normal(size=(6, n_trials))
    if kind == "constant":
        rates = np.full((6, n_trials), rng.normal())
    elif kind == "constant in each epoch":
        rates = np.repeat(rng.uniform(0.1, 3, (3, 1)), 2, axis=0) * np.ones(n_trials)
    elif kind == "inhibited":
        rates = np.abs(rates) * np.repeat([[20], [1], [1]], 2, axis=0)
    elif kind == "negative":
        rates = -np.abs(rates)
    elif kind == "silent in fixation":
        rates[:2, locations == locations[rng.integers(n_trials)]] = 0
    elif kind in ("nan", "inf"):
        rates[rng.integers(6), rng.integers(n_trials)] = float(kind)
    return rates.astype(np.float32)


KINDS = ["tuned", "constant", "constant in each epoch", "inhibited", "negative", "silent in fixation", "nan", "inf"]


@settings(max_examples=60, deadline=None)
@pytest.mark.filterwarnings("ignore")  # scipy and statsmodels warn of units without variation
@given(
    st.lists(st.sampled_from(KINDS), min_size=1, max_size=5),
    st.lists(st.integers(1, 7), min_size=1, max_size=5),
    st.sampled_from(["stim1", "delay1"]),
    st.booleans(),
    st.integers(0, 2**32 - 1),
)
def test_neuron_info_is_that_of_statsmodels_and_scipy(kinds, n_trials, epoch, norm, seed):
    """Any numbers of trials at the locations, single ones and a single location too."""
    rng = np.random.default_rng(seed)
    locations = rng.permutation(np.repeat(np.arange(len(n_trials)), n_trials))
    activity = np.stack([unit_activity(kind, locations, rng) for kind in kinds], axis=2)
    epochs = {"fix1": (None, 2), "stim1": (2, 4), "delay1": (4, 6)}
    got = compute_neuron_info(activity, locations, epochs, epoch, norm=norm)
    wanted, means = textbook_neuron_info(activity, locations, epochs, epoch, norm)
    np.testing.assert_allclose(got["firerate_loc_order"], means, rtol=1e-9, atol=1e-12)
    for kind in UNIT_TYPES:
        assert [(unit, where) for unit, _, where in got[kind]] == [(unit, where) for unit, _, where in wanted[kind]]
    p_values = [[p for _, p, _ in info["selective_neurons"]] for info in (got, wanted)]
    np.testing.assert_allclose(*p_values, rtol=1e-6, atol=1e-15)


def test_anova_leaves_out_trials_without_a_number():
    rng = np.random.default_rng(0)
    groups, rates = np.repeat(np.arange(3), 6), rng.normal(size=(18, 3))
    rates[2, 0], rates[3, 1], rates[6:12, 2] = np.nan, np.inf, np.nan  # the last one loses a group
    f, p = one_way_anova(rates, groups)
    for unit in range(3):
        valid = np.isfinite(rates[:, unit])
        wanted = statsmodels_anova(rates[valid, unit], groups[valid])
        np.testing.assert_allclose((f[unit], p[unit]), wanted, rtol=1e-9)


@pytest.mark.filterwarnings("error")
def test_units_without_variation_or_enough_trials_have_no_p():
    groups = np.repeat(np.arange(4), 5)
    f, p = one_way_anova(np.full((20, 2), 0.1), groups)
    assert np.isnan(f).all() and np.isnan(p).all()
    assert np.isnan(one_way_anova(np.arange(4.0)[:, None], np.arange(4))[1]).all()  # one trial a group
    assert np.isnan(one_way_anova(np.arange(4.0)[:, None], np.zeros(4))[1]).all()  # one group
    assert np.isnan(paired_ttest(np.zeros((4, 1)), np.ones((4, 1)), np.arange(4))[1]).all()
    assert np.isnan(paired_ttest(np.ones((4, 1)), np.ones((4, 1)), np.zeros(4))[1]).all()


@pytest.mark.filterwarnings("error")
def test_units_that_are_not_numbers_are_not_active():
    rng = np.random.default_rng(1)
    activity = rng.random((3, 128, 4)).astype(np.float32) + 5 * EPOCHS["stim1"][0]
    activity[1:] += 3 + LOCATIONS[:, None]
    activity[1, 5, 0], activity[2, 7, 1] = np.nan, np.inf
    info = compute_neuron_info(activity, LOCATIONS, EPOCHS, "delay1")
    assert [unit for unit, _, _ in info["active_neurons"]] == [2, 3]
    assert np.isnan(info["firerate_loc_order"][1]).any() and np.isfinite(info["firerate_loc_order"][2:]).all()


@pytest.mark.filterwarnings("error")
def test_zero_fixation_level_is_nan_and_the_other_locations_decide():
    rng = np.random.default_rng(2)
    activity = rng.random((3, 128, 1)) + 1
    activity[1:] += 2 + (LOCATIONS == 3)[:, None]
    activity[0, LOCATIONS == 3] = 0
    info = compute_neuron_info(activity, LOCATIONS, EPOCHS, "delay1")
    means = info["firerate_loc_order"][0]
    assert np.isnan(means[3]) and np.isfinite(np.delete(means, 3)).all()
    assert info["active_neurons"] == [(0, None, int(np.nanargmax(means)))]
    absolute = compute_neuron_info(activity, LOCATIONS, EPOCHS, "delay1", norm=False)
    assert absolute["selective_neurons"][0][2] == 3


def test_negative_rates_are_not_active():
    rng = np.random.default_rng(3)
    activity = -rng.random((3, 128, 1)) - LOCATIONS[:, None] - np.arange(3)[:, None, None]
    assert compute_neuron_info(activity, LOCATIONS, EPOCHS, "delay1")["active_neurons"] == []


def test_normalize():
    np.testing.assert_allclose(normalize(np.array([3.0, 1.0]), np.array([2.0, 0.0])), [0.5, np.nan])


def test_select_units_counts_a_unit_once():
    info = {"exh_neurons": [(4, 0.1, 2)], "mix_neurons": [(1, 0.1, 0)], "selective_neurons": [(1, 0.1, 0), (4, 0.1, 2)]}
    units, locations = select_units(info, ("exh_neurons", "mix_neurons", "selective_neurons"))
    assert units.tolist() == [1, 4] and locations.tolist() == [0, 2]
    with pytest.raises(ValueError, match="no_neurons.*choose from selective_neurons"):
        select_units(info, ("no_neurons",))


# ------------------------------------------------------------------------------------------------ files of a run


def test_neuron_info_file_has_plain_content(run, trials):
    hp, _, model_dir = run
    generate_neuron_info(hp, model_dir, ["stim1", "delay1"], trials[:1], ["odr"], verbose=False)
    with open(neuron_info_file(model_dir, trials[0], "odr", "delay1"), "rb") as file:
        info = pickle.load(file)
    assert set(info) == {*UNIT_TYPES, "firerate_loc_order"}
    assert info["firerate_loc_order"].shape == (12, 8)
    assert len(info["active_neurons"]) > 0
    assert all(type(unit) is int and p is None and type(where) is int for unit, p, where in info["active_neurons"])
    assert all(type(p) is float for _, p, _ in info["selective_neurons"])
    assert not list(Path(model_dir).glob("*/H_*.pkl"))


@pytest.mark.parametrize(
    "forged",
    [
        {"exh_neurons": 3},
        {"exh_neurons": [("a", 0.1, 0)]},
        {"exh_neurons": [(-1, 0.1, 0)]},
        {"mix_neurons": [(12, 0.1, 0)]},
        {"mix_neurons": [(10**30, 0.1, 0)]},
        {"active_neurons": [(0, None, 99)]},
        {"active_neurons": [(0, None)]},
        {"selective_neurons": [(0, "p", 0)]},
        {"firerate_loc_order": None},
        {"firerate_loc_order": np.zeros(12)},
    ],
)
def test_a_neuron_info_that_cannot_be_used_is_named(run, trials, forged):
    hp, _, model_dir = run
    file = neuron_info_file(model_dir, trials[0], "odr", "stim1")
    generate_neuron_info(hp, model_dir, ["stim1"], trials[:1], ["odr"], verbose=False)
    save_pickle(file, {**load_neuron_info(model_dir, trials[0], "odr", "stim1"), **forged})
    with pytest.raises(ValueError, match="neuron_info_odr_stim1.pkl is not a valid neuron_info file. Delete"):
        load_neuron_info(model_dir, trials[0], "odr", "stim1")


def test_trial_lists_in_every_form_give_the_same(run, trials):
    hp, _, model_dir = run
    step = trials[1] - trials[0]
    forms = [
        trials,
        tuple(trials),
        np.array(trials),
        range(0, trials[-1] + 1, step),
        {"odr": {"early": trials[:2], "mid": trials[1:3], "mature": trials[3:]}},
    ]
    written = []
    for form in forms:
        generate_neuron_info(hp, model_dir, ["stim1"], form, ["odr"], verbose=False, recompute=True)
        files = sorted(Path(model_dir).glob("*/neuron_info_odr_stim1.pkl"))
        written.append([file.read_bytes() for file in files])
        for file in files:
            file.unlink()
    assert len(written[0]) == len(trials)
    assert all(contents == written[0] for contents in written[1:])


def test_files_that_are_there_stay_unless_recomputed(run, trials):
    hp, _, model_dir = run
    arguments = (hp, model_dir, "stim1", trials[:1], "odr")
    generate_neuron_info(*arguments, verbose=False)
    file = neuron_info_file(model_dir, trials[0], "odr", "stim1")
    before = file.stat().st_mtime_ns
    generate_neuron_info(*arguments, verbose=False)
    assert file.stat().st_mtime_ns == before
    generate_neuron_info(*arguments, norm=False, recompute=True, verbose=False)
    assert file.stat().st_mtime_ns != before
    assert (load_pickle(file)["firerate_loc_order"] >= 0).all()


def test_missing_checkpoints_are_named_once(run, trials):
    hp, _, model_dir = run
    with pytest.warns(UserWarning, match="leaves out .*: 111, 222") as warned:
        generate_neuron_info(hp, model_dir, ["stim1"], [trials[0], 111, 222], ["odr"], verbose=False)
    assert len(warned) == 1
    with pytest.raises(FileNotFoundError, match="111.*On disk: 0, 1280"):
        generate_neuron_info(hp, model_dir, ["stim1"], [111], ["odr"], verbose=False)


def test_unknown_rules_and_epochs_are_refused(run, trials):
    hp, _, model_dir = run
    with pytest.raises(ValueError, match="has no rule 'match_or_non': choose one of overlap"):
        generate_neuron_info(hp, model_dir, ["stim1"], trials, ["match_or_non"], verbose=False)
    with pytest.raises(ValueError, match="Rule odr has no epoch 'delay2': it has fix1, stim1, delay1, go1"):
        generate_neuron_info(hp, model_dir, ["delay2"], trials, ["odr"], verbose=False)


def test_a_damaged_checkpoint_is_named(run, trials):
    hp, _, model_dir = run
    shutil.copy(f"{model_dir}/hp.json", f"{model_dir}/{trials[1]}/model.ckpt.data-00000-of-00001")
    with pytest.raises(ValueError, match=f"{trials[1]}"):
        generate_neuron_info(hp, model_dir, ["stim1"], trials, ["odr"], verbose=False)


def test_the_defaults_are_the_published_criteria_everywhere():
    for function in (generate_neuron_info, compute_neuron_info):
        parameters = inspect.signature(function).parameters
        assert {name: parameters[name].default for name in CRITERIA} == CRITERIA


def test_units_as_a_table():
    rng = np.random.default_rng(0)
    tuned = np.cos(LOCATIONS[:, None] * np.pi / 4 - np.array([0, np.pi]))  # units that prefer locations 0 and 4
    stimulus = 2 + np.column_stack([1.5 * tuned, np.zeros(128)])
    noise = np.tile(0.05 * rng.normal(size=(3, 16, 3)), (1, 8, 1))  # the same at all locations
    activity = np.stack([np.full((128, 3), 1.0), stimulus, stimulus]) + noise
    info = compute_neuron_info(activity, LOCATIONS, EPOCHS, "delay1")
    table = info.to_frame()
    assert table["unit"].tolist() == [0, 1, 2] and table["active"].tolist() == [True, True, True]
    assert table["type"].tolist() == ["mix", "mix", None] and table["preferred_location"].tolist()[:2] == [0, 4]
    assert table["p"][0] == info["selective_neurons"][0][1] and np.isnan(table["p"][2])
    np.testing.assert_array_equal(table[[f"rate_at_{i}" for i in range(8)]], info["firerate_loc_order"])
    figure = info.plot()
    assert "2 selective and 3 active of 3 units" in figure.get_suptitle()
    assert isinstance(info, Mapping) and {**info}.keys() == {*UNIT_TYPES, "firerate_loc_order"}


def test_recorded_activity_with_labels_of_its_own_is_classified():
    rng = np.random.default_rng(1)
    angles = np.tile([0, 90, 180, 270], 20)  # labels in degrees, trials in any order
    activity = rng.poisson(5, size=(30, 80, 6)).astype(float)
    activity[10:20, :, 0] += 30 * (angles == 180)
    info = compute_neuron_info(activity, angles, {"fix1": (0, 10), "stim1": (10, 20)}, "stim1")
    assert [(unit, where) for unit, _, where in info["selective_neurons"] if unit == 0] == [(0, 2)]


def test_activity_and_conditions_that_do_not_agree_are_named():
    with pytest.raises(ValueError, match=r"got \(3, 128, 2\) and \(127,\)"):
        compute_neuron_info(np.ones((3, 128, 2)), LOCATIONS[1:], EPOCHS, "stim1")
    with pytest.raises(ValueError, match="epochs has no epoch 'delay2': it has fix1, stim1, delay1"):
        compute_neuron_info(np.ones((3, 128, 2)), LOCATIONS, EPOCHS, "delay2")
