import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rnn_maturation.hyperparameters import complete_hp
from rnn_maturation.task import (
    TASKS,
    Trial,
    generate_evaluation,
    generate_trials,
    get_dist,
    get_num_rule,
    get_rule_index,
    rule_name,
    rules_dict,
    timing,
)

GOLDEN = Path(__file__).parent / "golden"
RULES = list(TASKS)
MATCH_RULES = [rule for rule in RULES if rule.startswith("match_or_non")]
ANTI_SACCADES = ["overlap", "zero_gap", "gap", "gap500"]
RULESETS = ["all_new", *rules_dict]
RULESET_OF = {rule: next(name for name in RULESETS if rule in rules_dict[name]) for rule in RULES}
LOSSES = ["lsq", "cross_entropy"]


def make_hp(rule="odr", seed=0, **changes):
    """A whole hp of a rule set that has the rule, with a generator of its own."""
    return {**complete_hp({"ruleset": RULESET_OF[rule], **changes}), "rng": np.random.RandomState(seed)}


def random_trials(rule, n=5, seed=0, noise_on=False, **changes):
    return generate_trials(rule, make_hp(rule, seed, **changes), "random", noise_on=noise_on, batch_size=n)


def ring_of(trial, name):
    """Input of the stimulus ring, (T, B, R), in one epoch."""
    return trial.x[slice(*trial.epochs[name]), :, 1 : 1 + trial.n_eachring]


def bump(directions, n_ring=8):
    angles = np.asarray(directions)[..., None] - 2 * np.pi * np.arange(n_ring) / n_ring
    distance = np.angle(np.exp(1j * angles))
    return 0.8 * np.exp(-((distance * 8 / np.pi) ** 2) / 2)


def same_state(first, second):
    return all(np.array_equal(a, b) for a, b in zip(first.get_state(), second.get_state(), strict=True))


# ------------------------------------------------------------------------------------ numbers of the original program

CASES = list(enumerate(json.loads((GOLDEN / "trials.json").read_text())))


@pytest.fixture(scope="module")
def golden():
    return np.load(GOLDEN / "trials.npz")


def generate_case(case):
    hp = make_hp(case["rule"], case["seed"], **{"ruleset": case["ruleset"], **case["hp"]})
    keywords = dict(case["keywords"])
    if case["batch_size"]:
        keywords["batch_size"] = case["batch_size"]
    return generate_trials(case["rule"], hp, case["mode"], noise_on=case["noise"], **keywords)


def test_the_numbers_of_the_original_cover_every_rule():
    assert {case["rule"] for _, case in CASES} == set(RULES)


@pytest.mark.parametrize(
    "number, case",
    CASES,
    ids=lambda value: isinstance(value, dict) and "-".join([value["tag"], value["rule"], value["mode"]]),
)
def test_trials_are_those_of_the_original(golden, number, case):
    trial = generate_case(case)
    want = {name: golden[f"{number}_{name}"] for name in ("x", "y", "y_loc", "c_mask")}
    got = {name: getattr(trial, name)[:, :: case["every"]] for name in ("x", "y", "y_loc")}
    mask = trial.c_mask.reshape(trial.tdim, trial.batch_size, -1)
    assert {name: list(epoch) for name, epoch in trial.epochs.items()} == case["epochs"]
    np.testing.assert_allclose(mask, np.broadcast_to(want["c_mask"], mask.shape), rtol=1e-6)
    np.testing.assert_allclose(np.array(trial.input_loc), golden[f"{number}_input_loc"], atol=1e-12)
    if case["side_is_ours"]:  # the original drew the side of the choices from an unseeded generator
        response_on = trial.epochs["go1"][0]
        got, want = ({name: a[name][:response_on] for name in ("x", "y", "y_loc")} for a in (got, want))
    else:
        np.testing.assert_allclose(np.array(trial.output_loc), golden[f"{number}_output_loc"], atol=1e-12)
        np.testing.assert_allclose(np.array(trial.distract_loc), golden[f"{number}_distract_loc"], atol=1e-12)
    for name, array in got.items():
        np.testing.assert_allclose(array, want[name], rtol=1e-6, atol=1e-6, err_msg=name)
    if case["next_rand"] is not None:
        assert trial.rng.rand() == pytest.approx(case["next_rand"], abs=1e-12)


# ------------------------------------------------------------------------------------------------- names and channels


def test_rule_sets_and_display_names():
    assert len(RULES) == 19 and set().union(*rules_dict.values()) == set(RULES)
    assert rules_dict["all_new"] == ["overlap", "zero_gap", "gap", "odr", "odrd", "gap500"]
    assert rules_dict["all_new_odr3000"] == ["overlap", "zero_gap", "gap", "odr3000", "odrd", "gap500"]
    assert rules_dict["mix_p_MoN_6tasks"] == [*MATCH_RULES, *rules_dict["all_new"]]
    assert [rule_name[rule] for rule in ("odr", "odr750", "odrd", "zero_gap", "gap500", "match_or_non_easy")] == [
        "ODR", "ODR750", "ODR+d", "Zero_gap", "Gap500", "MorNe"]  # fmt: skip
    assert [get_num_rule(name) for name in rules_dict] == [3, 8, 6, 6, 6, 6, 2, 8, 9, 5]


def test_rule_index_follows_rule_start():
    assert get_rule_index("odrd", make_hp()) == 1 + 8 + 4
    assert get_rule_index("odrd", make_hp(n_eachring=16, num_ring=2)) == 1 + 32 + 4
    assert get_rule_index("gap", {"ruleset": "ozg", "rule_start": 9}) == 11


def test_distance_is_circular():
    np.testing.assert_allclose(get_dist(np.array([0, 1, -1, 6, -6])), [0, 1, 1, 2 * np.pi - 6, 2 * np.pi - 6])
    assert get_dist(3 * np.pi / 2) == pytest.approx(np.pi / 2)


# --------------------------------------------------------------------------------------------------------- every rule


def check_consistent(trial, rule):
    """What holds for any noise-free trial, whatever the rule, loss, ring or time step."""
    n_time, n_trials, n_ring, lsq = trial.tdim, trial.batch_size, trial.n_eachring, trial.least_squares
    go, grace = trial.epochs["go1"][0], int(100 / trial.dt)
    assert trial.x.shape == (n_time, n_trials, trial.config["n_input"])
    assert trial.y.shape == (n_time, n_trials, n_ring + 1)
    assert {a.dtype for a in (trial.x, trial.y, trial.y_loc, trial.c_mask)} == {np.dtype("float32")}
    steps = [int(ms / trial.dt) for ms in TASKS[rule].epochs.values()]
    spans = [(start or 0, end) for name, (start, end) in trial.epochs.items() if name != "go1"]
    assert [end - start for start, end in spans] == steps and n_time == sum(steps) + int(500 / trial.dt)
    assert trial.epochs["fix1"] == (None, steps[0])

    assert (trial.y_loc[:go] == -1).all()
    response = trial.y_loc[go:]
    assert (response == response[0]).all() and (0 <= response).all() and (response < 2 * np.pi + 1e-6).all()
    low, high = (0.05, 0.8) if lsq else (0, 1)
    np.testing.assert_allclose(trial.y[:go], np.broadcast_to([high] + [low] * n_ring, trial.y[:go].shape), rtol=1e-6)
    np.testing.assert_allclose(trial.y[go:, :, 0], low, rtol=1e-6)
    target = trial.y[-1, :, 1:] - low
    np.testing.assert_allclose(np.array(trial.output_loc), target, atol=1e-6)
    if lsq:
        np.testing.assert_allclose(target, bump(response[0], n_ring), atol=2e-6)
    else:
        away = get_dist(trial.pref[target.argmax(axis=1)] - response[0])
        assert (target.sum(axis=1) == 1).all() and (away <= np.pi / n_ring + 1e-6).all()

    weights = np.zeros(n_time)
    weights[grace:go], weights[go + grace :] = 1, 0 if rule == "match_or_non_passive" else 5
    mask = trial.c_mask.reshape(n_time, n_trials, -1)
    if lsq:
        weights = np.outer(weights, [2] + [1] * n_ring)
    else:
        weights = (weights / weights.mean())[:, None]
    np.testing.assert_allclose(mask, np.broadcast_to(weights[:, None], mask.shape), rtol=1e-6)
    assert trial.c_mask.shape == ((n_time * n_trials, n_ring + 1) if lsq else (n_time * n_trials,))

    rules = trial.x[:, :, trial.config["rule_start"] :]
    assert (rules.sum(axis=2) == 1).all() and (trial.x[:, :, get_rule_index(rule, trial.config)] == 1).all()
    silent = np.ones(n_time, bool)
    for name, epoch in trial.epochs.items():
        if name.startswith(("stim", "distract")) or (name == "go1" and rule in MATCH_RULES):
            silent[slice(*epoch)] = False
    assert not trial.x[silent, :, 1 : 1 + n_ring].any()


@pytest.mark.parametrize("mode", ["random", "test"])
@pytest.mark.parametrize("changes", [{}, {"in_loc_type": "one_hot"}], ids=["bump", "one_hot"])
@pytest.mark.parametrize("loss_type", LOSSES)
@pytest.mark.parametrize("rule", RULES)
def test_every_rule_is_consistent(rule, loss_type, changes, mode):
    hp = make_hp(rule, loss_type=loss_type, **changes)
    check_consistent(generate_trials(rule, hp, mode, noise_on=False, batch_size=3), rule)


@settings(max_examples=60, deadline=None)
@given(
    rule=st.sampled_from([rule for rule in RULES if rule != "odr15000"]),
    mode=st.sampled_from(["random", "test"]),
    n_trials=st.integers(1, 7),
    seed=st.integers(0, 2**32 - 1),
    changes=st.fixed_dictionaries(
        {"loss_type": st.sampled_from(LOSSES), "n_eachring": st.integers(2, 33), "num_ring": st.integers(1, 3),
         "dt": st.integers(5, 100) | st.floats(5, 100)},
        optional={"in_loc_type": st.just("one_hot")},
    ),
)  # fmt: skip
def test_any_ring_and_time_step_is_consistent(rule, mode, n_trials, seed, changes):
    hp = make_hp(rule, seed, **changes)
    trial = generate_trials(rule, hp, mode, noise_on=False, batch_size=n_trials)
    check_consistent(trial, rule)
    assert trial.batch_size == (n_trials if mode == "random" else 16 * changes["n_eachring"])


@settings(max_examples=40, deadline=None)
@given(
    ruleset=st.sampled_from([name for name in RULESETS if "odr15000" not in rules_dict[name]]),
    data=st.data(),
    sigma_x=st.floats(0, 2),
    n_ring=st.integers(2, 12),
    n_trials=st.integers(1, 5),
    seed=st.integers(0, 2**32 - 1),
)
def test_noise_of_any_strength_is_the_only_difference(ruleset, data, sigma_x, n_ring, n_trials, seed):
    rule = data.draw(st.sampled_from(rules_dict[ruleset]))
    pairs = [f"test-{i}-{j}" for i in range(n_ring) for j in range(n_ring)] if rule == "odrd" else []
    mode = data.draw(st.sampled_from(["random", "test", *pairs]))
    changes = {"ruleset": ruleset, "sigma_x": sigma_x, "n_eachring": n_ring}
    quiet, noisy = (
        generate_trials(rule, make_hp(rule, seed, **changes), mode, noise_on=noise_on, batch_size=n_trials)
        for noise_on in (False, True)
    )
    check_consistent(quiet, rule)
    for name in ("y", "y_loc", "c_mask"):
        np.testing.assert_array_equal(getattr(noisy, name), getattr(quiet, name))
    standard = (noisy.x - quiet.x) / max(sigma_x * np.sqrt(2 / quiet.config["alpha"]), 1e-30)
    assert np.isfinite(noisy.x).all()
    if sigma_x > 1e-3:  # else the noise is lost in float32 beside an input of 1
        assert abs(standard.mean()) < 6 / np.sqrt(standard.size)
        assert abs(standard.var() - 1) < 6 * np.sqrt(2 / standard.size) + 1e-3


@pytest.mark.parametrize("rule", [rule for rule in RULES if rule not in MATCH_RULES])
def test_stimulus_is_shown_in_its_epoch_and_answered(rule):
    trial = random_trials(rule, seed=4)
    stimulus = np.random.RandomState(4).rand(5) * 2 * np.pi
    shown = ring_of(trial, "stim1")
    np.testing.assert_allclose(shown, np.broadcast_to(bump(stimulus), shown.shape), atol=1e-6)
    np.testing.assert_allclose(np.array(trial.input_loc), bump(stimulus), atol=1e-12)
    opposite = np.pi if rule in ANTI_SACCADES else 0
    np.testing.assert_allclose(trial.y_loc[-1], (stimulus + opposite) % (2 * np.pi), rtol=1e-6)


@pytest.mark.parametrize(
    "rule, off",
    [
        ("odr", "go1"),
        ("odrd", "go1"),
        ("overlap", "go1"),
        ("zero_gap", "stim1"),
        ("gap", "delay1"),
        ("gap500", "delay1"),
        ("match_or_non", "go1"),
        ("match_or_non_easy", "go1"),
        ("match_or_non_passive", None),
    ],
)
def test_fixation_input_goes_off(rule, off):
    trial = random_trials(rule)
    end = trial.tdim if off is None else trial.epochs[off][0]
    assert (trial.x[:end, :, 0] == 1).all() and (trial.x[end:, :, 0] == 0).all()


@pytest.mark.parametrize("rule", ANTI_SACCADES)
def test_response_is_due_with_the_stimulus_except_in_overlap(rule):
    trial = random_trials(rule)
    assert trial.epochs["go1"] == (trial.epochs["stim1"][1 if rule == "overlap" else 0], None)


def test_steps_are_rounded_down_before_they_are_added():
    trial = random_trials("gap", dt=30)
    assert trial.epochs == {"fix1": (None, 33), "delay1": (33, 36), "stim1": (36, 39), "go1": (36, None)}
    assert trial.tdim == 33 + 3 + 3 + 16


# ---------------------------------------------------------------------------------------------------- modes and draws


@pytest.mark.parametrize("rule", [rule for rule in RULES if rule not in MATCH_RULES])
def test_draws_are_locations_then_distractor_then_noise(rule):
    trial = random_trials(rule, seed=9, noise_on=True)
    rng = np.random.RandomState(9)
    stimulus = rng.rand(5) * 2 * np.pi
    if rule == "odrd":
        offset = rng.choice(np.arange(1, 8)) * 2 * np.pi / 8
        np.testing.assert_allclose(np.array(trial.distract_loc), bump(stimulus + offset), atol=1e-12)
    else:
        assert trial.distract_loc == []
    noise = rng.randn(*trial.x.shape) * 0.01 * np.sqrt(2 / 0.2)
    np.testing.assert_allclose(trial.x - random_trials(rule, seed=9).x, noise, atol=2e-7)
    assert same_state(rng, trial.rng)


def test_noise_is_drawn_even_if_it_is_zero():
    trial = random_trials("odr", noise_on=True, sigma_x=0)
    np.testing.assert_array_equal(trial.x, random_trials("odr").x)
    rng = np.random.RandomState(0)
    rng.rand(5), rng.randn(*trial.x.shape)
    assert same_state(rng, trial.rng)


def test_distractor_is_never_on_the_stimulus_and_one_offset_serves_the_batch():
    offsets = set()
    for seed in range(60):
        trial = random_trials("odrd", n=4, seed=seed, n_eachring=5)
        directions = np.random.RandomState(seed).rand(4) * 2 * np.pi
        shown = np.array(trial.distract_loc)
        fitting = {k for k in range(5) if np.allclose(shown, bump(directions + k * 2 * np.pi / 5, 5), atol=1e-9)}
        assert len(fitting) == 1
        offsets |= fitting
    assert offsets == {1, 2, 3, 4}


@pytest.mark.parametrize("n_ring", [2, 5, 8])
@pytest.mark.parametrize("rule", ["odr", "odrd", "gap"])
def test_test_mode_shows_each_location_16_times(rule, n_ring):
    hp = make_hp(rule, n_eachring=n_ring)
    trial = generate_trials(rule, hp, "test", noise_on=False)
    locations = 2 * np.pi * np.repeat(np.arange(n_ring), 16) / n_ring
    assert trial.batch_size == 16 * n_ring
    np.testing.assert_allclose(np.array(trial.input_loc), bump(locations, n_ring), atol=1e-12)
    np.testing.assert_array_equal(np.array(trial.input_loc).argmax(axis=1), np.repeat(np.arange(n_ring), 16))
    if rule == "odrd":
        np.testing.assert_allclose(np.array(trial.distract_loc), bump(locations + np.pi, n_ring), atol=1e-12)
    assert same_state(hp["rng"], np.random.RandomState(0))


@pytest.mark.parametrize("pair", [(0, 0), (3, 7), (11, 10)])
def test_a_pair_of_locations_can_be_prescribed(pair):
    trial = generate_trials("odrd", make_hp(n_eachring=12), f"test-{pair[0]}-{pair[1]}", noise_on=False)
    assert trial.batch_size == 16 * 12
    for ring, epoch, index in zip((trial.input_loc, trial.distract_loc), ("stim1", "distract1"), pair, strict=True):
        want = np.broadcast_to(bump(2 * np.pi * index / 12, 12), (192, 12))
        np.testing.assert_allclose(np.array(ring), want, atol=1e-12)
        np.testing.assert_allclose(ring_of(trial, epoch)[0], want, atol=1e-6)
    np.testing.assert_allclose(trial.y_loc[-1], 2 * np.pi * pair[0] / 12, rtol=1e-6)


def test_noise_free_test_trials_need_no_generator():
    hp = complete_hp({"ruleset": "all_new"})
    assert generate_trials("odrd", hp, "test", noise_on=False).batch_size == 128


def test_one_hot_input_is_the_nearest_unit():
    trial = random_trials("odrd", n=50, in_loc_type="one_hot")
    stimulus = np.random.RandomState(0).rand(50) * 2 * np.pi
    nearest = np.round(stimulus * 8 / (2 * np.pi)).astype(int) % 8
    np.testing.assert_array_equal(ring_of(trial, "stim1")[-1], np.eye(8)[nearest])
    np.testing.assert_array_equal(ring_of(trial, "distract1").sum(axis=2), 1)
    np.testing.assert_allclose(trial.y[-1, :, 1:], 0.05 + bump(stimulus), atol=1e-6)


def test_the_hyper_parameters_are_left_alone():
    hp = make_hp()
    before = dict(hp)
    generate_trials("odrd", hp, "random", batch_size=2)
    assert hp == before


# ------------------------------------------------------------------------------------------------------- match or non


def match_draws(rng, n, n_ring=8):
    stimulus, nonmatch = rng.rand(n) * 2 * np.pi, rng.randint(0, 2, n)
    return stimulus, nonmatch, rng.randint(1, n_ring) * 2 * np.pi / n_ring, rng.randint(0, 2, n)


@pytest.mark.parametrize("rule", MATCH_RULES)
def test_match_or_non_draws_in_order_from_the_seeded_generator(rule):
    trial = random_trials(rule, n=40, seed=3, noise_on=True)
    rng = np.random.RandomState(3)
    stimulus, nonmatch, deviation, side = match_draws(rng, 40)
    want = np.concatenate([bump(stimulus), bump(stimulus + nonmatch * deviation)])
    np.testing.assert_allclose(np.array(trial.input_loc), want, atol=1e-12)
    response = {"match_or_non": np.abs(nonmatch - side) * np.pi, "match_or_non_easy": nonmatch * np.pi}.get(rule, 0)
    np.testing.assert_allclose(trial.y_loc[-1], response, rtol=1e-6)
    match = 0 if rule == "match_or_non_easy" else np.where(side == 0, np.pi / 4, 7 * np.pi / 4)
    choices = ring_of(random_trials(rule, n=40, seed=3), "go1")
    want = np.broadcast_to(bump(match) + bump(match + np.pi), choices.shape)
    np.testing.assert_allclose(choices, want, atol=1e-6)
    rng.randn(*trial.x.shape)
    assert same_state(rng, trial.rng)


@pytest.mark.parametrize("rule", MATCH_RULES)
def test_one_hot_input_is_for_stimuli_and_not_for_choices(rule):
    trial, bumps = (random_trials(rule, n=40, seed=3, **one_hot) for one_hot in ({"in_loc_type": "one_hot"}, {}))
    stimulus, nonmatch, deviation, _ = match_draws(np.random.RandomState(3), 40)
    for epoch, direction in (("stim1", stimulus), ("stim2", stimulus + nonmatch * deviation)):
        nearest = np.round(direction * 8 / (2 * np.pi)).astype(int) % 8
        np.testing.assert_array_equal(ring_of(trial, epoch)[-1], np.eye(8)[nearest])
    np.testing.assert_array_equal(ring_of(trial, "go1"), ring_of(bumps, "go1"))


@pytest.mark.parametrize("rule", MATCH_RULES)
def test_match_or_non_alternates_in_test_mode(rule):
    hp = make_hp(rule, seed=6)
    trial = generate_trials(rule, hp, "test", noise_on=False)
    first, second = np.array(trial.input_loc).reshape(2, 128, 8).argmax(axis=2)
    nonmatch = np.tile(np.repeat([0, 1], 8), 8)
    np.testing.assert_array_equal(first, np.repeat(np.arange(8), 16))
    np.testing.assert_array_equal(second, (first + 4 * nonmatch) % 8)
    side = np.random.RandomState(6).randint(0, 2, 128)
    response = {"match_or_non": np.abs(nonmatch - side) * np.pi, "match_or_non_easy": nonmatch * np.pi}.get(rule, 0)
    np.testing.assert_allclose(trial.y_loc[-1], response, rtol=1e-6)


# ----------------------------------------------------------------------------------------------------------- keywords


def rule_input(**keywords):
    hp = make_hp()
    trial = generate_trials("odr", hp, "random", noise_on=False, batch_size=2, **keywords)
    return dict(zip(rules_dict["all_new"], trial.x[:, 0, hp["rule_start"] :].T, strict=True))


def test_rule_input_can_be_limited_in_time_and_strength():
    shown = rule_input(rule_on=10, rule_off=60, rule_strength=0.5)
    want = np.zeros(175)
    want[10:60] = 0.5
    np.testing.assert_array_equal(shown.pop("odr"), want)
    assert not any(other.any() for other in shown.values())


def test_rule_input_can_be_replaced():
    shown = rule_input(replace_rule="gap")
    assert (shown.pop("gap") == 1).all() and not any(other.any() for other in shown.values())


def test_rule_input_can_be_a_mixture():
    shown = rule_input(replace_rule=["odr", "odrd"], rule_strength=[0.25, 0.75], rule_on=5)
    assert (shown["odr"][5:] == 0.25).all() and (shown["odrd"][5:] == 0.75).all()
    assert not shown["odr"][:5].any() and not shown["odrd"][:5].any() and not shown["gap"].any()
    shown = rule_input(replace_rule=["odr", "odrd"], rule_strength=0.5)
    assert (shown["odr"] == 0.5).all() and (shown["odrd"] == 0.5).all()


# --------------------------------------------------------------------------------------------------------- evaluation


@pytest.mark.parametrize("loss_type", LOSSES)
@pytest.mark.parametrize("rule", [rule for rule in RULES if rule != "odr15000"])
def test_evaluation_is_the_separate_batches_side_by_side(rule, loss_type):
    one, many = (make_hp(rule, seed=5, loss_type=loss_type) for _ in range(2))
    whole = generate_evaluation(rule, one, batch_size=3, n_batches=4)
    parts = [generate_trials(rule, many, "random", batch_size=3) for _ in range(4)]
    for name in ("x", "y", "y_loc"):
        want = np.concatenate([getattr(part, name) for part in parts], axis=1)
        np.testing.assert_array_equal(getattr(whole, name), want, err_msg=name)
    masks = [part.c_mask.reshape(part.tdim, 3, -1) for part in parts]
    np.testing.assert_array_equal(whole.c_mask.reshape(whole.tdim, 12, -1), np.concatenate(masks, axis=1))
    for kind, rings in whole.rings.items():
        assert list(rings) == list(parts[0].rings[kind])
        for name, ring in rings.items():
            np.testing.assert_array_equal(ring, np.concatenate([part.rings[kind][name] for part in parts]))
    assert whole.epochs == parts[0].epochs and whole.batch_size == 12
    assert same_state(one["rng"], many["rng"])


def test_evaluation_has_16_batches_by_default():
    assert generate_evaluation("overlap", make_hp(), 2).x.shape[1] == 32


# ---------------------------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize("rule, mode, keywords, message", [
    ("odd", "random", {"batch_size": 2}, "Unknown rule odd: choose one of odr, odr500"),
    (["odr"], "random", {"batch_size": 2}, "Unknown rule"),
    ("odr500", "random", {"batch_size": 2}, "rule set all_new.*odr500: choose one of overlap, zero_gap"),
    ("odr", "train", {}, "Mode 'train' .* choose random, test"),
    ("odr", None, {}, "Mode None"),
    ("odr", list(range(10_000)), {}, r"Mode \[0, 1, 2"),
    ("odr", "test-1-2", {}, "Mode 'test-1-2' is not possible for rule odr"),
    ("odrd", "test-1", {}, "Mode 'test-1' "),
    ("odrd", "test-8-0", {}, "Mode 'test-8-0' .* from 0 to 7"),
    ("odrd", "test-0-8", {}, "Mode 'test-0-8' .* from 0 to 7"),
    ("odrd", "test--1-0", {}, "Mode 'test--1-0'"),
    ("odrd", "random", {}, "batch_size must be .*, not None"),
    ("odrd", "random", {"batch_size": 0}, "batch_size must be .* at least 1, not 0"),
    ("odrd", "random", {"batch_size": -3}, "batch_size must be .*, not -3"),
    ("odrd", "random", {"batch_size": 2.0}, "batch_size must be a whole number .*, not 2.0"),
    ("odrd", "random", {"batch_size": True}, "batch_size must be .*, not True"),
    ("odr", "random", {"batchsize": 2}, "Unknown keyword batchsize: choose one of batch_size, rule_on"),
    ("odr", "test", {"n_batches": 2}, "Unknown keyword n_batches"),
    ("odr", "random", {"batch_size": 2, "replace_rule": "odr500"}, "odr500"),
    ("odr", "random", {"batch_size": 2, "replace_rule": 3}, "Unknown rule .* 3"),
    ("odr", "random", {"batch_size": 2, "replace_rule": ["odr", "gap"], "rule_strength": [1]}, "1 values.* rules is 2"),
    ("odr", "random", {"batch_size": 2, "rule_on": 1.5}, "rule_on is 1.5"),
    ("odr", "random", {"batch_size": 2, "rule_off": "end"}, "rule_off is 'end'"),
    ("odr", "random", {"batch_size": 2, "rule_on": list(range(10_000))}, r"rule_on is \[0, 1, 2"),
])  # fmt: skip
def test_bad_input_is_named_and_nothing_is_drawn(rule, mode, keywords, message):
    hp = make_hp()
    with pytest.raises(ValueError, match=message) as error:
        generate_trials(rule, hp, mode, **keywords)
    assert len(str(error.value)) < 600
    assert same_state(hp["rng"], np.random.RandomState(0))


@pytest.mark.parametrize("changes, message", [
    ({"ruleset": "everything"}, "Unknown rule set everything: choose one of ozg"),
    ({"loss_type": "mse"}, "Unknown loss_type mse: choose one of lsq, cross_entropy"),
    ({"dt": 200}, "dt of 200 ms is too long for rule gap: its delay1 lasts 100 ms. Choose a smaller dt"),
    ({"rng": None}, r"hp\['rng'\] is missing"),
    ({"rng": np.random.default_rng(0)}, r"hp\['rng'\] is missing or is not a RandomState"),
    ({"n_rule": 2}, "Rule gap has no input in a network of 2 rules .n_rule.: choose one of overlap, zero_gap"),
])  # fmt: skip
def test_bad_hyper_parameters_are_named(changes, message):
    with pytest.raises(ValueError, match=message):
        generate_trials("gap", {**make_hp(), **changes}, "random", batch_size=2)


@pytest.mark.parametrize(
    "sizes, message", [((0, 4), "batch_size must be .*, not 0"), ((4, 0), "n_batches must be .*, not 0")]
)
def test_bad_evaluation_sizes_are_named(sizes, message):
    with pytest.raises(ValueError, match=message):
        generate_evaluation("odr", make_hp(), *sizes)


def test_unknown_names_of_the_helpers():
    with pytest.raises(ValueError, match="Unknown rule set all: choose one of ozg"):
        get_num_rule("all")
    with pytest.raises(ValueError, match="odr500"):
        get_rule_index("odr500", make_hp())


def test_an_old_network_without_channel_for_the_last_rule_does_the_others():
    hp = {**make_hp(n_rule=5)}
    assert hp["n_input"] == 14
    assert generate_trials("odrd", hp, "test").x.shape == (175, 128, 14)
    with pytest.raises(ValueError, match="Rule gap500 has no input in a network of 5 rules"):
        generate_trials("gap500", hp, "test")


# -------------------------------------------------------------------------------------------------------------- by hand


def test_a_bare_trial_is_at_rest():
    trial = Trial(make_hp(), 10, 3)
    assert trial.x.shape == (10, 3, 15) and not trial.x.any()
    assert (trial.y == np.float32(0.05)).all() and (trial.y_loc == -1).all()
    assert trial.input_loc == trial.output_loc == trial.distract_loc == []
    with pytest.raises(ValueError, match="batch_size must be .*, not 0"):
        Trial(make_hp(), 10, 0)
    with pytest.raises(ValueError, match="tdim must be .*, not 10.5"):
        Trial(make_hp(), 10.5, 3)


def by_hand(hp, rule, directions):
    task = TASKS[rule]
    epochs, n_time = timing(task.epochs, hp["dt"], task.response_on)
    trial = Trial(hp, n_time, len(directions), epochs)
    trial.add_fixation(task.fixation_off)
    trial.add_rule(rule)
    trial.add_stimulus("stim1", directions)
    trial.add_response(directions + np.pi * (rule in ANTI_SACCADES))
    trial.add_c_mask()
    trial.add_x_noise()
    return trial


@pytest.mark.parametrize("loss_type", LOSSES)
@pytest.mark.parametrize("rule", ["odr", *ANTI_SACCADES])
def test_a_trial_built_by_hand_is_the_generated_one(rule, loss_type):
    table = random_trials(rule, n=4, seed=2, noise_on=True, loss_type=loss_type)
    hp = make_hp(rule, seed=2, loss_type=loss_type)
    hand = by_hand(hp, rule, hp["rng"].rand(4) * 2 * np.pi)
    for name in ("x", "y", "y_loc", "c_mask"):
        np.testing.assert_array_equal(getattr(hand, name), getattr(table, name))
    assert hand.epochs == table.epochs


def test_a_stimulus_can_be_weak_in_another_epoch_and_at_any_angle():
    epochs, n_time = timing({"fix1": 100, "a": 100, "b": 60}, 20)
    trial = Trial(make_hp(), n_time, 2, epochs)
    trial.add_stimulus("first", [-np.pi / 2, 5 * np.pi / 2], "a", strength=0.5)
    trial.add_stimulus("cue", np.pi, (6, 8), kind="other")
    ring = trial.x[:, :, 1:9]
    weak = 0.5 * bump([3 * np.pi / 2, np.pi / 2])
    np.testing.assert_allclose(ring[5], weak, atol=1e-6)
    np.testing.assert_allclose(ring[6], weak + bump(np.pi), atol=1e-6)
    assert not ring[:5].any() and not ring[10:].any()
    np.testing.assert_allclose(trial.input_loc, weak, atol=1e-12)
    trial.add_response(-np.pi / 2)
    np.testing.assert_allclose(trial.y_loc[-1], 3 * np.pi / 2, rtol=1e-6)
    assert (trial.y_loc[:13] == -1).all() and trial.y_loc.shape == (13 + 25, 2)


@pytest.mark.parametrize("arguments, message", [
    (("stim9", 0.0), "Unknown epoch stim9: choose one of fix1, stim1"),
    (("s", 0.0, "delay9"), "Unknown epoch delay9"),
    (("stim1", 0.0, None, "light"), "Unknown kind of stimulus light: choose one of stimulus"),
    (("stim1", [0.0, 1.0]), r"directions of stim1 are array\(\[0., 1.\]\).* each of the 3 trials"),
    (("stim1", np.nan), "directions of stim1 are .*finite"),
])  # fmt: skip
def test_bad_stimuli_are_named(arguments, message):
    epochs, n_time = timing(TASKS["odr"].epochs, 20)
    with pytest.raises(ValueError, match=message):
        Trial(make_hp(), n_time, 3, epochs).add_stimulus(*arguments)


def test_the_response_needs_its_time():
    with pytest.raises(ValueError, match="Unknown epoch go1"):
        Trial(make_hp(), 10, 3).add_response(0.0)
