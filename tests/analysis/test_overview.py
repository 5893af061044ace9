from pathlib import Path

import numpy as np

from rnn_maturation.analysis import gen_PSTH_log, kept_to_disk, nearest_to_target, print_basic_info, spread_over
from rnn_maturation.analysis.overview import compute_growth_of_performance
from rnn_maturation.stages import present_stages, range_name, stage_by_trial


def test_basic_info(run, capsys):
    hp, log, model_dir = run
    assert print_basic_info(hp, log, model_dir) is None
    printed = capsys.readouterr().out
    assert "rules trained: overlap, zero_gap, gap, odr, odrd, gap500" in printed
    assert "last trial number: 6400, trials between evaluations: 1280, evaluations: 6" in printed
    ranges = print_basic_info(hp, log, model_dir, auto_range_select=True, avr_window=0, max_trial_num_limit=2)
    assert set(ranges) == {"overlap", "zero_gap", "gap", "odr", "odrd", "gap500"}
    assert ranges["odr"] == {"early": [1280], "mid": [3840], "mature": [6400]}
    assert [file.name for file in Path("figure/figure_run").iterdir()] == ["growth_of_performance.png"]


def test_chosen_stages_are_a_trial_list_and_a_table(run):
    hp, log, model_dir = run
    options = {"auto_range_select": True, "avr_window": 0, "max_trial_num_limit": 2, "save": False}
    ranges = print_basic_info(hp, log, model_dir, **options)
    assert not Path("figure").exists()
    assert list(gen_PSTH_log(hp, kept_to_disk(ranges, model_dir), model_dir, "odr", "stim1")) == [1280, 3840]
    assert range_name(ranges, "odr") == ("auto_choose", None)
    table = ranges.to_frame()
    assert list(table) == ["rule", "trial", "performance", "early", "mid", "mature"] and len(table) == 36
    assert table[table["mid"]]["trial"].unique().tolist() == [3840]


def test_only_the_chosen_checkpoints_are_shaded():
    trials = np.arange(0, 100, 10)
    ranges = {"odr": {"early": [10, 20, 50], "mid": [], "mature": [90]}}
    ax = compute_growth_of_performance(trials, {"odr": np.linspace(0, 1, 10)}, None, ranges).plot().axes[0]
    extents = [patch.get_extents().transformed(ax.transData.inverted()) for patch in ax.patches]
    shaded = sorted((extent.x0 * 1000, extent.x1 * 1000) for extent in extents)
    np.testing.assert_allclose(shaded, [(5, 25), (45, 55), (85, 90)])
    assert [text.get_text() for text in ax.get_legend().get_texts()] == [
        "early, 3 checkpoints",
        "mature, 1 checkpoint",
    ]


def test_curves_are_smoothed_if_asked_for():
    raw = compute_growth_of_performance([0, 1, 2], {"odr": [0, 1, 0.5]})
    assert raw.curves["odr"].tolist() == [0, 1, 0.5] and raw == {}
    assert compute_growth_of_performance([0, 1, 2], {"odr": [0, 1, 0.5]}, 1).curves["odr"].tolist() == [0.5, 0.75, 0.5]


def test_checkpoints_for_scripts(run, trials):
    hp, log, model_dir = run
    ranges = {"odr": {"early": trials[:3], "mid": [], "mature": [trials[4], 6400]}}
    on_disk = kept_to_disk(ranges, model_dir)
    assert on_disk == {"odr": {"early": trials[:3], "mid": [], "mature": [trials[4]]}}
    assert spread_over(ranges, 2) == {"odr": {"early": [0, 2560], "mid": [], "mature": [5120, 6400]}}
    assert spread_over(ranges, 1)["odr"]["early"] == [2560]
    assert nearest_to_target(hp, log, "odr", on_disk["odr"]) == {"early": 1280, "mature": 5120}


def test_stages_of_what_is_on_disk(run, trials):
    hp, log, model_dir = run
    stages = present_stages(hp, log, model_dir, "odr", trials)
    assert stages == {"early": trials[:2], "mid": trials[2:4], "mature": trials[4:]}
    assert list(stage_by_trial(stages).items())[2] == (trials[2], "mid")


def test_names_of_ranges():
    assert range_name(range(0, 50, 10), "odr") == ("(0, 40)", 10)
    assert range_name([7], "odr") == ("(7, 7)", None)
    assert range_name({"odr": {"mid": [1, 2]}}, "odr") == ("auto_choose", None)
