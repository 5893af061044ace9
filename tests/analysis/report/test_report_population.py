"""What the report measures of the population code: activity made so that a code is dynamic, stable, or leaks."""

import numpy as np
import pytest

from rnn_maturation.analysis.decoding import cross_temporal_scores, window_rates
from rnn_maturation.analysis.dpca import demixed_pca
from rnn_maturation.analysis.report.finding import judge
from rnn_maturation.analysis.report.findings import FINDINGS
from rnn_maturation.analysis.report.population import decoder_numbers, separation_ratio

FINDING = {finding.key: finding for finding in FINDINGS}
EPOCHS = {"fix1": (None, 50), "stim1": (50, 75), "delay1": (75, 150), "go1": (150, None)}
LOCATIONS = np.repeat(np.arange(8), 8)


def population(rotating, leak=0.0, noise=0.3):
    """Activity (175, 64, 40) with the location in it from the cue on, in the same units all the time, or in others."""
    rng = np.random.RandomState(0)
    patterns = rng.randn(20, 8, 40)  # one every 140 ms
    activity = noise * rng.randn(175, 64, 40)
    for step in range(175):
        pattern = patterns[(step - 50) // 7 if rotating and step >= 50 else 0]
        activity[step] += (1 if step >= 50 else leak) * pattern[LOCATIONS]
    return activity


@pytest.mark.parametrize(
    "rotating, leak, expected",
    [(True, 0, (True, True, True)), (False, 0, (True, True, False)), (True, 1, (False, True, True))],
)
def test_decoder_tells_dynamic_from_stable_codes_and_finds_leaks(rotating, leak, expected):
    scores = cross_temporal_scores(window_rates(population(rotating, leak), 10, 3), LOCATIONS, 4, "everywhere")
    lags = {f"lag{lag}": lag // 60 for lag in (60, 120, 180, 300, 600)}
    numbers = {**decoder_numbers(scores, EPOCHS, 10, 3, lags), "chance": 0.125}
    keys = ("decoder_before", "decoder_delay", "decoder_dynamic")
    assert tuple(judge(FINDING[key], numbers) for key in keys) == expected


def test_decoder_numbers_take_windows_that_lie_within_their_period():
    n_windows = (175 - 10) // 3 + 1
    starts = np.arange(n_windows) * 3
    scores = np.full((n_windows, n_windows), 0.5)
    np.fill_diagonal(scores, np.where(starts + 10 <= 50, 0.1, np.where((starts >= 75) & (starts <= 140), 1.0, 0.7)))
    numbers = decoder_numbers(scores, EPOCHS, 10, 3, {"lag60": 1, "lag60000": 1000})
    assert numbers["before"] == pytest.approx(0.1) and numbers["diagonal"] == 1 and numbers["lag60"] == 0.5
    assert np.isnan(numbers["lag60000"])


@pytest.mark.parametrize("leak, expected", [(0.0, True), (1.0, False)])
def test_demixed_components_apart_before_the_cue_are_noticed(leak, expected):
    trials = population(rotating=False, leak=leak, noise=0.1).reshape(175, 8, 8, 40).transpose(2, 3, 1, 0)
    ratio = separation_ratio(demixed_pca(trials).components["s"], EPOCHS)
    assert judge(FINDING["dpca"], {"ratio": ratio}) is expected
