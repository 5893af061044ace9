import numpy as np
import pytest

from rnn_maturation.analysis.recorded import artificial_trials, load_recorded_means, load_recorded_trials


def test_trials_are_read_in_their_order(tmp_path):
    rows = [(where, 100 * where + 10 * trial + t, -t) for where in (1, 2) for trial in range(3) for t in range(4)]
    np.savetxt(tmp_path / "cells.txt", rows, delimiter=",")
    trials = load_recorded_trials(tmp_path / "cells.txt", time_len=4, trial_per_loc=3)
    assert trials.shape == (3, 2, 2, 4)
    assert trials[1, 0, 1].tolist() == [210, 211, 212, 213] and trials[2, 1, 0].tolist() == [0, -1, -2, -3]


def test_means_are_read_in_their_order(tmp_path):
    np.savetxt(tmp_path / "means.txt", np.arange(2 * 3 * 4).reshape(2, 12), delimiter=",")
    means = load_recorded_means(tmp_path / "means.txt", time_len=4, direc_num=3)
    assert means.shape == (3, 4, 2) and means[2, :, 1].tolist() == [20, 21, 22, 23]


@pytest.mark.parametrize(
    "content, problem",
    [
        ("1,2\n1,3\n", "has 2 rows and 2 columns"),
        ("2,1\n1,2\n", "first column must be the location, 1 to 2"),
        ("1,x\n2,3\n", "not a table of comma-separated numbers"),
        ("1,nan\n2,3\n", "NaN or infinity"),
    ],
)
def test_wrong_files_are_named(tmp_path, content, problem):
    file = tmp_path / "cells.txt"
    file.write_text(content)
    length = 3 if "rows" in problem else 1
    with pytest.raises(ValueError, match=f"cells.txt.*{problem}"):
        load_recorded_trials(file, time_len=length, trial_per_loc=1)


def test_missing_files_are_named():
    with pytest.raises(FileNotFoundError, match="recorded neurons named nowhere.txt"):
        load_recorded_trials("nowhere.txt")


def test_artificial_trials_keep_units_locations_and_windows_apart():
    locations = np.repeat([0, 1], 3)
    window, trial, unit = np.indices((2, 6, 4))
    rates = 1000 * window + 100 * locations[trial] + 10 * unit + trial % 3
    made, made_locations = artificial_trials(rates, locations, 50, np.random.default_rng(0))
    assert made.shape == (2, 100, 4) and made_locations.tolist() == [0] * 50 + [1] * 50
    window, trial, unit = np.indices(made.shape)
    np.testing.assert_array_equal(made // 10 * 10, 1000 * window + 100 * made_locations[trial] + 10 * unit)
    drawn = made % 10
    assert set(drawn.ravel().tolist()) == {0, 1, 2}
    assert (drawn[0] != drawn[1]).any() and (drawn[:, :, 0] != drawn[:, :, 1]).any()
