from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rnn_maturation.analysis import neuron_dPCA, real_neuron_dPCA
from rnn_maturation.analysis.dpca import REGULARIZER_GRID, compute_demixed_pca, demixed_pca, trials_by_location

GOLDEN = Path(__file__).parents[1] / "golden"
PARTS = ("t", "s", "st")


def random_trials(n_trials=6, n_units=12, n_locations=4, n_time=20, noise=0.5, seed=0):
    rng = np.random.default_rng(seed)
    time, where = rng.normal(size=(n_units, 1, n_time)), rng.normal(size=(n_units, n_locations, 1))
    mixed = rng.normal(size=(n_units, n_locations, 1)) * np.sin(np.arange(n_time) / 4)
    return time + where + mixed + noise * rng.normal(size=(n_trials, n_units, n_locations, n_time))


def textbook_parts(mean):
    mean = mean - mean.mean(axis=(1, 2), keepdims=True)
    time, where = mean.mean(axis=1, keepdims=True) + 0 * mean, mean.mean(axis=2, keepdims=True) + 0 * mean
    parts = {"t": time, "s": where, "st": mean - time - where}
    return mean.reshape(len(mean), -1), {name: part.reshape(len(mean), -1) for name, part in parts.items()}


def textbook_fit(data, parts, regularizer, n_components):
    """Kobak's algorithm on the whole data: pseudo-inverse and full singular value decompositions."""
    ridge = regularizer * (data**2).sum() * np.eye(len(data))
    padded = np.hstack([data, ridge])
    fits = {}
    for name, part in parts.items():
        regression = np.hstack([part, 0 * ridge]) @ np.linalg.pinv(padded)
        encoder = np.linalg.svd(regression @ padded)[0][:, :n_components]
        fits[name] = regression.T @ encoder, encoder
    return fits


def textbook_regularizer(trials, n_components):
    errors = np.zeros(len(REGULARIZER_GRID))
    for held_out in np.linspace(0, len(trials), 3, endpoint=False).astype(int):
        data, parts = textbook_parts(np.delete(trials, held_out, axis=0).mean(axis=0))
        test, test_parts = textbook_parts(trials[held_out])
        for i, regularizer in enumerate(REGULARIZER_GRID):
            for name, (decoder, encoder) in textbook_fit(data, parts, regularizer, n_components).items():
                own = (encoder * decoder).sum(axis=1)[:, None]
                errors[i] += ((test_parts[name] - encoder @ decoder.T @ test + own * test) ** 2).sum()
    return REGULARIZER_GRID[errors.argmin()]


@pytest.mark.parametrize("part", PARTS)
def test_components_are_those_of_the_original(part):
    golden = np.load(GOLDEN / "analysis.npz")
    mean = golden["location_means"].transpose(2, 0, 1)[None]  # one trial: the mean itself
    mine = demixed_pca(mean, regularizer=1e-4, n_components=5).components[part][:2, :, ::5]
    wanted = golden[f"dpca|{part}"]
    sign = np.sign((mine * wanted).sum(axis=(1, 2), keepdims=True))
    np.testing.assert_allclose(mine * sign, wanted, atol=1e-4 * np.abs(wanted).max())


@pytest.mark.parametrize("shape", [{}, {"n_units": 30, "n_time": 9}, {"n_locations": 2, "n_units": 3}])
@pytest.mark.parametrize("regularizer", [0.0, 1e-6, 1e-3])
def test_fits_are_the_textbooks(shape, regularizer):
    trials = random_trials(**shape)
    n_components = 3
    data, parts = textbook_parts(trials.mean(axis=0))
    if regularizer == 0 and len(data) > np.linalg.matrix_rank(data):
        pytest.skip("without a penalty the activity has to have full rank")
    result = demixed_pca(trials, regularizer, n_components)
    wanted = textbook_fit(data, parts, regularizer, n_components)
    for name, (decoder, encoder) in wanted.items():
        rank = min(np.linalg.matrix_rank(parts[name]), n_components)
        sign = np.sign((encoder * result.encoders[name]).sum(axis=0))[:rank]
        np.testing.assert_allclose(result.encoders[name][:, :rank] * sign, encoder[:, :rank], atol=1e-6)
        np.testing.assert_allclose(result.decoders[name][:, :rank] * sign, decoder[:, :rank], atol=1e-6)
        assert not result.encoders[name][:, rank:].any()
        seen = result.decoders[name].T @ data
        np.testing.assert_allclose(result.components[name].reshape(seen.shape), seen)
        np.testing.assert_allclose(
            result.explained_variance_ratio[name], (seen**2).sum(axis=1) / (data**2).sum(), rtol=1e-9
        )


@settings(max_examples=30, deadline=None)
@given(
    n_trials=st.integers(1, 5),
    n_units=st.integers(2, 15),
    n_locations=st.integers(2, 6),
    n_time=st.integers(3, 25),
    noise=st.floats(0.1, 5),
    seed=st.integers(0, 2**32 - 1),
    regularizer=st.floats(-6, -1).map(lambda exponent: 10**exponent),
)
def test_any_activity_is_demixed_as_in_the_textbook(regularizer, **shape):
    """What the leading component of each part rebuilds: unlike the axes it has no sign."""
    trials = random_trials(**shape)
    data, parts = textbook_parts(trials.mean(axis=0))
    result = demixed_pca(trials, regularizer, n_components=2)
    for name, (decoder, encoder) in textbook_fit(data, parts, regularizer, 2).items():
        sizes = np.linalg.svd(encoder @ decoder.T @ data, compute_uv=False)
        if sizes[1] < 0.98 * sizes[0]:  # else the two components are in no order
            seen, wanted = result.encoders[name][:, :1] @ result.components[name][:1].reshape(1, -1), encoder[:, :1]
            wanted = wanted @ decoder[:, :1].T @ data
            np.testing.assert_allclose(seen, wanted, atol=1e-6 * np.abs(data).max(), err_msg=name)


@settings(max_examples=10, deadline=None)
@given(st.integers(3, 5), st.integers(3, 8), st.floats(0.2, 8), st.integers(0, 2**32 - 1))
def test_the_automatic_penalty_of_any_activity_is_the_textbooks(n_trials, n_units, noise, seed):
    trials = random_trials(n_trials, n_units, n_time=8, noise=noise, seed=seed)
    assert demixed_pca(trials, n_components=2).regularizer == pytest.approx(textbook_regularizer(trials, 2))


@pytest.mark.parametrize("noise", [0.5, 8.0])
def test_the_automatic_penalty_is_the_textbooks(noise):
    trials = random_trials(n_units=8, n_time=10, noise=noise)
    assert demixed_pca(trials, n_components=3).regularizer == pytest.approx(textbook_regularizer(trials, 3))


def test_results_are_deterministic_with_their_signs():
    trials = random_trials()
    first, second = demixed_pca(trials), demixed_pca(trials.copy())
    for part in PARTS:
        np.testing.assert_array_equal(first.components[part], second.components[part])
        largest = np.abs(first.encoders[part]).argmax(axis=0)
        assert (first.encoders[part][largest, range(10)] >= 0).all()


def test_what_cannot_be_analyzed_is_reported():
    trials = random_trials()
    with pytest.raises(ValueError, match=r"non-empty array \(n_trials, n_units, n_locations, n_time\)"):
        demixed_pca(trials[0])
    with pytest.raises(ValueError, match="contains NaN or infinity"):
        demixed_pca(np.where(trials > 2, np.nan, trials))
    with pytest.raises(ValueError, match="n_components must be 1 to 12"):
        demixed_pca(trials, n_components=13)
    with pytest.raises(ValueError, match="needs two or more trials"):
        demixed_pca(trials[:1])
    with pytest.raises(ValueError, match="no variance to explain"):
        demixed_pca(np.ones_like(trials))
    for wrong in ("strong", -1e-3, np.nan, None):
        with pytest.raises(ValueError, match="regularizer must be 'auto' or a number of at least 0"):
            demixed_pca(trials, regularizer=wrong)


def test_trials_are_sorted_by_location():
    in_loc = np.array([1, 0, 1, 0])
    activity = np.arange(3 * 4 * 2).reshape(3, 4, 2)
    trials = trials_by_location(activity, in_loc, [0, 1])
    assert trials.shape == (2, 2, 2, 3)
    np.testing.assert_array_equal(trials[1, :, 0, :], activity[:, 3].T)
    with pytest.raises(ValueError, match=r"same number of trials at each location; the numbers are \[2, 1\]"):
        trials_by_location(activity[:, :3], in_loc[:3], [1, 0])


def test_neuron_dpca(run, trials):
    hp, log, model_dir = run
    result = neuron_dPCA(hp, log, model_dir, trials[-1], "odr", tcomp_ylim=(-1, 1), invert_scomp_y=True)
    assert all(result.components[part].shape == (10, 8, 175) for part in PARTS)
    assert Path("figure/figure_run/odr/RNNneuron_dPCA_rule_odr_trialnum_5120.png").exists()
    two = neuron_dPCA(hp, log, model_dir, trials[-1], "odr", appoint_loc_analysis=True)
    assert two.components["s"].shape == (10, 2, 175)
    assert Path("figure/figure_run/odr/RNNneuron_dPCA_rule_odr_trialnum_5120_locs_[0, 4].png").exists()
    with pytest.raises(ValueError, match="Choose two or more different locations"):
        neuron_dPCA(hp, log, model_dir, trials[-1], "odr", appoint_loc_analysis=True, appoint_locs=[0, 8])


def test_recorded_neurons(tmp_path, monkeypatch, recorded_trials):
    monkeypatch.chdir(tmp_path)
    file = recorded_trials("cells.txt", n_units=12)
    result = real_neuron_dPCA(file, time_len=20)
    assert result.components["st"].shape == (10, 8, 20)
    assert 0.5 < sum(ratio.sum() for ratio in result.explained_variance_ratio.values()) < 1.5
    assert real_neuron_dPCA(file, 20, appoint_loc_analysis=True).components["s"].shape == (10, 2, 20)
    assert Path("figure/realneuron_dPCA_cells.png").exists()


def test_inverting_turns_the_axis_and_not_the_curve(run, trials):
    hp, log, model_dir = run
    settings = {"tcomp_ylim": (-1, 3), "scomp_ylim": (-2, 1)}
    upright = neuron_dPCA(hp, log, model_dir, trials[-1], "gap", save=False, **settings)
    turned = neuron_dPCA(
        hp, log, model_dir, trials[-1], "gap", invert_tcomp_y=True, invert_stcomp_y=True, save=False, **settings
    )
    assert not Path("figure").exists()
    first, second = upright.plot().axes, turned.plot().axes
    assert first[0].get_ylim() == (-1, 3) and second[0].get_ylim() == (3, -1)
    assert first[1].get_ylim() == second[1].get_ylim() == (-2, 1)
    assert second[2].yaxis_inverted() and not first[2].yaxis_inverted()
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a.lines[-1].get_ydata(), b.lines[-1].get_ydata())


def test_any_activity_is_demixed_and_gives_a_table_and_a_figure():
    rng = np.random.default_rng(0)
    labels = rng.permutation(np.repeat(["a", "b", "c", "d"], 5))
    activity = rng.normal(size=(12, 20, 6)) + 3 * (labels == "b")[:, None] + np.arange(12)[:, None, None]
    result = compute_demixed_pca(activity, labels, 50, n_components=2, title="Recording")
    plain = demixed_pca(trials_by_location(activity, labels, ["a", "b", "c", "d"]), n_components=2)
    np.testing.assert_array_equal(result["components"]["st"], plain.components["st"])
    assert result.regularizer == plain["regularizer"] and set(result) == set(plain)
    table = result.to_frame()
    assert len(table) == 3 * 2 * 4 * 12 and set(table["location"]) == {"0°", "90°", "180°", "270°"}
    row = table[(table.part == "s") & (table.component == 1) & (table.location == "90°") & (table.time_ms == 150)]
    assert row["value"].item() == result.components["s"][0, 1, 3]
    assert result.plot().axes[0].get_xlabel() == "Time in trial (s)"
    assert plain.plot().axes[0].get_xlabel() == "Time in trial (steps)" and "step" in plain.to_frame()
    two = compute_demixed_pca(activity, labels, 50, shown=["d", "a"], n_components=2)
    assert two.names == ["270°", "0°"] and two.components["t"].shape == (2, 2, 12)
    with pytest.raises(ValueError, match="Choose two or more different locations"):
        compute_demixed_pca(activity, labels, shown=["a", "e"])
