"""The analyses of many runs and checkpoints, here, in processes and on a cluster."""

import os
import shutil
import signal
import subprocess
import sys

import pytest
from processes import ENVIRONMENT, ROOT
from small_runs import TINY, change_log, put_run

import Analysis_with_diff_HyperParameters
from rnn_maturation.model_directory import load_hp, load_pickle, neuron_info_file
from rnn_maturation.sweep.variants import COMMON


@pytest.mark.parametrize("option", ["--jobs", "--max_checkpoints"])
def test_bad_options_of_the_analysis_are_told_once(tmp_path, monkeypatch, option):
    for name in ("6tasks", "indi_gap"):
        put_run(tmp_path, name)
    monkeypatch.setattr(sys, "argv", ["Analysis_with_diff_HyperParameters.py", "--root", str(tmp_path), option, "0"])
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    with pytest.raises(
        SystemExit,
        match=f"^Analysis_with_diff_HyperParameters.py: {option} must be a whole number of at least 1, not 0.$",
    ):
        Analysis_with_diff_HyperParameters.main()


def test_checkpoints_are_analyzed_alike_here_in_processes_and_on_a_cluster(cluster, tmp_path):
    from rnn_maturation.sweep.analysis import analyze_checkpoints

    hp = {**COMMON, **TINY}
    from rnn_maturation.train import train

    train(tmp_path / "here", hp=hp, max_steps=40, display_step=20, rule_trains=["gap", "overlap"], threads=1)
    copies = {"jobs": {"jobs": 1}, "cluster": {"scheduler": cluster.address}}
    for name in copies:
        shutil.copytree(tmp_path / "here", tmp_path / name)
    units, trials = {"gap": ["stim1", "delay1"], "overlap": ["stim1"]}, [0, 80, 160]
    for name, where in {"here": {}, **copies}.items():
        analyze_checkpoints(tmp_path / name, units, trials, keep_activity=True, **where)
    assert neuron_info_file(tmp_path / "here", 160, "gap", "delay1").exists()
    files = {path.relative_to(tmp_path / "here") for path in (tmp_path / "here").rglob("*.pkl")}
    assert len(files) == 1 + 3 * (2 + 3)
    for name in copies:
        assert {path.relative_to(tmp_path / name) for path in (tmp_path / name).rglob("*.pkl")} == files
        for file in files:
            assert (tmp_path / name / file).read_bytes() == (tmp_path / "here" / file).read_bytes(), file
    assert load_pickle(tmp_path / "cluster" / "task_info.pkl").keys() == {"gap", "overlap"}


def test_an_error_at_a_checkpoint_reaches_the_caller(cluster, tmp_path):
    from rnn_maturation.sweep.analysis import analyze_checkpoints
    from rnn_maturation.train import train

    train(tmp_path, hp={**COMMON, **TINY}, max_steps=1, rule_trains=["gap"], threads=1)
    with pytest.raises(ValueError, match="has no epoch 'delay7'"):
        analyze_checkpoints(tmp_path, {"gap": ["delay7"]}, [0], scheduler=cluster.address)


def test_the_analysis_script_analyses_what_is_on_disk_and_tells_what_it_cannot(tmp_path):
    hp = {**TINY, "early_target_perf": 0.0, "mid_target_perf": 0.2, "mature_target_perf": 0.4}
    from rnn_maturation.train import train

    train(tmp_path / "data" / "indi_gap", hp={**COMMON, **hp}, max_steps=60, display_step=10,
          rule_trains=["gap"], threads=1)  # fmt: skip
    put_run(tmp_path / "data", "set1_exp1")  # without checkpoints
    (put_run(tmp_path / "data", "indi_odr") / "log.json").write_text("{")
    change_log(put_run(tmp_path / "data", "set1_exp2"), perf_odr="no")
    (tmp_path / "data" / "indi_odrd").mkdir()
    script = ROOT / "Analysis_with_diff_HyperParameters.py"
    done = subprocess.run(
        [sys.executable, str(script)], cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 1 and done.stdout.endswith(
        "1 of 4 runs were analyzed completely; analyzed in part (see above): set1_exp1, set1_exp2; "
        "not analyzed (see above): indi_odr\n"
    ), done.stdout + done.stderr
    figures_of_gap = {path.name for path in (tmp_path / "figure" / "figure_indi_gap").rglob("*.png")}
    assert "growth_of_performance.png" in figures_of_gap
    assert "gap_stim1_auto_choose_step_None_PSTH.png" in figures_of_gap
    assert "saccade_distribut_analysis_by_growth.png" in figures_of_gap
    assert os.listdir(tmp_path / "figure" / "figure_set1_exp1") and "no checkpoint on disk" in done.stdout
    assert "log.json has no rule odr; the analyses of this rule are left out" in done.stdout
    assert load_hp(tmp_path / "data" / "indi_gap")["n_rnn"] == 8
