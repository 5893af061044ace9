import re
import subprocess
import sys
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from rnn_maturation import figures
from rnn_maturation.analysis.behavior import SaccadeResult
from rnn_maturation.analysis.overview import GrowthOfPerformance
from rnn_maturation.analysis.period import PeriodActivity
from rnn_maturation.analysis.psth import EpochGrowth, EpochTTests, PSTHLog, PSTHResult
from rnn_maturation.analysis.sample_neuron import SampleUnit
from rnn_maturation.analysis.seldir import SharedUnits
from rnn_maturation.analysis.selectivity import UNIT_TYPES, NeuronInfo
from rnn_maturation.analysis.tuning import TuningResult
from rnn_maturation.stages import STAGES

EPOCHS = {"fix1": (None, 50), "delay1": (50, 55), "stim1": (55, 60), "distract1": (60, 70), "go1": (55, None)}


def stage_results():
    curve = np.sin(np.arange(100) / 10)
    return {stage: {"PSTH": curve + i, "growth": 0.5, "n_num": 12.4} for i, stage in enumerate(STAGES)}


def psth_figure(norm=True):
    return figures.psth(PSTHResult(stage_results(), EPOCHS, 20, norm, "ODR"))


def test_every_stage_has_its_own_color_and_marker():
    assert list(figures.STAGE_COLORS) == list(STAGES)
    assert len(set(figures.STAGE_COLORS.values())) == len(set(figures.STAGE_MARKERS.values())) == len(STAGES)


def test_psth_is_labelled():
    figure = psth_figure()
    ax = figure.axes[0]
    assert isinstance(figure, Figure)
    assert ax.get_xlabel() == "Time in trial (s)" and "fixation rate" in ax.get_ylabel()
    assert [text.get_text() for text in ax.get_legend().get_texts()] == [f"{stage}_0.50_n12" for stage in STAGES]
    assert {text.get_text() for text in ax.texts} == {"fix1", "delay1", "stim1", "distract1", "go"}
    np.testing.assert_allclose(ax.lines[1].get_xdata()[:2], [0, 0.02])


def test_gaps_are_named():
    only = {"mid": stage_results()["mid"]}
    legend = figures.psth(PSTHResult(only, EPOCHS, 20, False, "ODR")).axes[0].get_legend()
    assert "no early, mature stage" in [text.get_text() for text in legend.get_texts()]


def test_figures_of_nothing_can_be_drawn(tmp_path):
    empty = {stage: {**result, "PSTH": np.full(100, np.nan)} for stage, result in stage_results().items()}
    nothing = pd.DataFrame({"inter": [np.nan], "samedir": [np.nan], "diffdir": [np.nan]}, index=[0])
    growth = pd.DataFrame({"trial": [0, 1], "mean_activity": [np.nan, np.nan], "stage": ["early", None]})
    p = pd.DataFrame(np.full((2, 2), np.nan), [0, 1280], [0, 1280])
    activity = {"mid": np.array([]), "early": np.array([np.nan])}
    curve = {"curve": np.full(9, np.nan), "fit": None, "width": np.nan, "n_units": 0.0, "growth": 0.1}
    unit = SampleUnit(np.zeros((8, 100)), np.zeros(8), 0, EPOCHS, 20)
    results = [
        PSTHResult(empty, EPOCHS, 20),
        PSTHLog({0: np.zeros((0, 100)), 1280: np.full((2, 100), np.nan)}, {}, EPOCHS, 20),
        EpochGrowth(growth),
        EpochTTests(p, {}),
        PeriodActivity({"F": np.nan, "p": np.nan, "df": [0.0, 0.0], "activity": activity}),
        TuningResult({"stages": {"mid": curve}, "height_ttest": {}}, 8),
        SharedUnits(nothing),
        GrowthOfPerformance({"odr": {"early": [], "mid": [0]}}, np.array([0]), {"odr": np.array([0.1])}, {}),
        unit,
        SaccadeResult({"early": np.array([])}, {"early": 0.1}),
        NeuronInfo({**dict.fromkeys(UNIT_TYPES, []), "firerate_loc_order": np.zeros((3, 8))}),
    ]
    drawn = [result.plot() for result in results]
    drawn.append(unit.plot_polar())
    for number, figure in enumerate(drawn):
        figures.save_figure(figure, tmp_path / str(number))


@pytest.mark.parametrize("width", [0.5, 1e-9])
def test_bins_have_the_width_asked_for_unless_too_many(width):
    edges = figures._bin_edges(np.array([-0.7, 3.2]), width)
    assert edges[0] <= -0.7 and edges[-1] >= 3.2 and len(edges) <= 402
    if width == 0.5:
        np.testing.assert_allclose(edges, np.arange(-1, 3.6, 0.5))


def test_one_png_by_default(tmp_path):
    assert figures.save_figure(psth_figure(), tmp_path / "x.y") == tmp_path / "x.y.png"
    assert [file.name for file in tmp_path.iterdir()] == ["x.y.png"]


def test_formats_are_chosen_once_for_all(tmp_path, monkeypatch):
    monkeypatch.setattr(figures, "FORMATS", figures.FORMATS)  # put back after the test
    figures.use_formats(["svg", "png", "svg"])
    assert figures.save_figure(psth_figure(), tmp_path / "x") == tmp_path / "x.svg"
    assert sorted(file.name for file in tmp_path.iterdir()) == ["x.png", "x.svg"]
    for wrong in (["png", "eps"], [], "jpg"):
        with pytest.raises(ValueError, match="Unknown figure format.*choose from png, pdf, svg"):
            figures.use_formats(wrong)
    with pytest.raises(ValueError, match="eps"):
        figures.save_figure(psth_figure(), tmp_path / "y", "eps")
    assert not list(tmp_path.glob("y*"))


def test_files_are_written_in_three_formats_and_always_the_same(tmp_path):
    contents = []
    for folder in ("a", "b"):
        png = figures.save_figure(psth_figure(), tmp_path / folder / "x.y", ("png", "pdf", "svg"))
        assert png == tmp_path / folder / "x.y.png"
        files = sorted((tmp_path / folder).iterdir())
        assert [file.name for file in files] == ["x.y.pdf", "x.y.png", "x.y.svg"]
        contents.append([file.read_bytes() for file in files])
    assert contents[0] == contents[1]


def test_style_is_set_for_the_figure_only():
    before = dict(matplotlib.rcParams)
    psth_figure()
    assert dict(matplotlib.rcParams) == before


def test_only_figures_draws_and_nothing_opens_a_window():
    package = Path(figures.__file__).parent
    users = {f.name for f in package.rglob("*.py") if re.search(r"^\s*(import|from) matplotlib", f.read_text(), re.M)}
    assert "figures.py" in users and all("figure" in name for name in users)
    assert not any("pyplot" in file.read_text() for file in package.rglob("*.py"))


def test_importing_sets_nothing():
    code = (
        "import matplotlib; before = dict(matplotlib.rcParams);"
        "import rnn_maturation.figures; assert dict(matplotlib.rcParams) == before"
    )
    root = Path(__file__).parents[1]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
