from pathlib import Path

import numpy as np
import pytest

from rnn_maturation.analysis import neuron_PCA, real_neuron_PCA
from rnn_maturation.analysis.pca import compute_pca


def test_pca_of_standardized_means():
    means = np.random.default_rng(0).random((4, 9, 6)) * 10 + 3
    result = compute_pca(means, 20, 2)
    flat = means.reshape(36, 6)
    values = np.linalg.svd((flat - flat.mean(axis=0)) / flat.std(axis=0), compute_uv=False) ** 2
    np.testing.assert_allclose(result["explained_variance_ratio"], values[:2] / values.sum())
    assert result["components"].shape == (2, 4, 9)
    np.testing.assert_allclose((result["components"] ** 2).sum(axis=(1, 2)), values[:2])
    with pytest.raises(ValueError, match="n_components must be 1 to 6"):
        compute_pca(means, 20, 7)


def test_neuron_pca(run, trials):
    hp, log, model_dir = run
    result = neuron_PCA(hp, log, model_dir, trials[-1], "gap", n_components=3)
    assert result["components"].shape == (3, 8, 85) and result["explained_variance_ratio"].shape == (3,)
    name = "gap_comp3_neuron_pca_trial_num_5120_all_loc_bycomp_conc_pref0.8000_std.png"
    assert Path("figure/figure_run/gap", name).exists()
    table = result.to_frame()
    assert len(table) == 3 * 8 * 85 and table["time_ms"].max() == 84 * 20
    row = table[(table["component"] == 2) & (table["location"] == 5) & (table["time_ms"] == 40)].iloc[0]
    assert row["value"] == result["components"][1, 5, 2]
    assert row["explained_variance_ratio"] == result["explained_variance_ratio"][1]
    assert [ax.get_title()[:11] for ax in result.plot().axes] == ["Component 1", "Component 2", "Component 3"]


def test_without_saving_nothing_is_drawn_to_files(run, trials):
    hp, log, model_dir = run
    other = neuron_PCA(hp, log, model_dir, trials[-1], "odrd", task_mode="test-1-2", save=False)
    assert other["components"].shape == (2, 8, 175) and not Path("figure").exists()


def test_recorded_neurons(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.savetxt("means.txt", np.random.default_rng(0).random((7, 8 * 11)), delimiter=",")
    result = real_neuron_PCA("means.txt", time_len=11)
    assert result["components"].shape == (2, 8, 11)
    assert Path("figure/real_neuron_pca/meanscomp2_all_loc_bycomp_conc_std.png").exists()
    with pytest.raises(ValueError, match="means.txt has 88 columns, but 8 locations x 12 steps are expected"):
        real_neuron_PCA("means.txt", time_len=12)
