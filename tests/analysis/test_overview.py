from pathlib import Path

from rnn_maturation.analysis import kept_to_disk, nearest_to_target, print_basic_info, spread_over
from rnn_maturation.stages import present_stages, range_name, stage_by_trial


def test_basic_info(run, capsys):
    hp, log, model_dir = run
    assert print_basic_info(hp, log, model_dir) is None
    printed = capsys.readouterr().out
    assert "rules trained: overlap, zero_gap, gap, odr, odrd, gap500" in printed
    assert "last trial number: 6400, step: 1280, count: 6" in printed
    ranges = print_basic_info(hp, log, model_dir, auto_range_select=True, avr_window=0, max_trial_num_limit=2)
    assert set(ranges) == {"overlap", "zero_gap", "gap", "odr", "odrd", "gap500"}
    assert ranges["odr"] == {"early": [1280], "mid": [3840], "mature": [6400]}
    assert all(Path(f"figure/figure_run/growth_of_performance.{ending}").exists() for ending in ("png", "pdf", "svg"))


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
