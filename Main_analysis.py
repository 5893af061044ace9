"""Draw the figures of the paper from a trained run.

    python Main_analysis.py [--modeldir data/6tasks]
    python Main_analysis.py --jobs 4 --keep_H                        checkpoints in processes side by side
    python Main_analysis.py --scheduler tcp://host:8786 --keep_H     or on a Dask cluster

Without --modeldir: data/6tasks, or data/6tasks_pretrained as long as there is no run of your own. Figures go to
figure/figure_<name of the model directory>. Activity is computed where it is needed, and kept only if asked for.
"""

import argparse
import os
import sys
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from tqdm import tqdm  # noqa: E402

from rnn_maturation import analysis  # noqa: E402
from rnn_maturation.model_directory import figure_dir, load_hp, load_log  # noqa: E402
from rnn_maturation.sweep.analysis import analyze_checkpoints  # noqa: E402
from rnn_maturation.task import load_tasks  # noqa: E402

# ---- what to analyse ---------------------------------------------------------------------------------------------
MODEL_DIRS = ["data/6tasks", "data/6tasks_pretrained"]  # the first one that exists, unless --modeldir is given
MAX_CHECKPOINTS = 30  # of each rule and stage
FEW_CHECKPOINTS = 5  # of each stage, where a checkpoint takes seconds (distractors)
SOME_CHECKPOINTS = 10  # of each stage, for saccades
MAX_SAMPLE_UNITS = 2  # pages of single units
ODR_EPOCHS = ["stim1", "delay1"]
ODRD_EPOCHS = ["stim1", "delay1", "delay2"]
PERIODS_MS = {"overlap": (1000, 1250), "zero_gap": (1000, 1250), "gap": (1100, 1350)}  # after the stimulus comes on


def analyse(model_dir, keep_activity=False, jobs=None, scheduler=None):
    hp, log = load_hp(model_dir), load_log(model_dir)

    # Growth of performance (Fig. S7). The stages are chosen from this run itself.
    ranges = analysis.print_basic_info(hp, log, model_dir, auto_range_select=True, max_trial_num_limit=MAX_CHECKPOINTS)
    ranges = analysis.kept_to_disk(ranges, model_dir)
    # ranges = {"odr": {"early": range(390400, 405760, 1280), "mid": [...], "mature": [...]}}  # or choose them yourself
    rules = [rule for rule in ("odr", "odrd", "overlap", "zero_gap", "gap") if any(ranges.get(rule, {}).values())]
    analysis.gen_task_info(hp, log, model_dir, rules)
    if keep_activity or jobs is not None or scheduler:  # the activity in files takes 23 MB a checkpoint of odr
        epochs = {"odr": ODR_EPOCHS, "odrd": ODRD_EPOCHS, **dict.fromkeys(PERIODS_MS, ["stim1"])}
        units = {rule: epochs[rule] for rule in rules}
        analyze_checkpoints(model_dir, units, ranges, keep_activity=keep_activity, jobs=jobs, scheduler=scheduler)

    # Delayed response tasks: PSTHs (Fig. 4E-G), growth of epoch activity (Fig. S2B), tuning (Fig. S3B)
    for rule, epochs in (("odr", ODR_EPOCHS), ("odrd", ODRD_EPOCHS)):
        if rule not in rules:
            continue
        tqdm.write(f"{rule}: activity of selective units")
        analysis.generate_neuron_info(hp, model_dir, epochs, ranges, [rule])
        for epoch in epochs:
            psths = analysis.gen_PSTH_log(hp, ranges, model_dir, rule, epoch)
            analysis.plot_PSTH(hp, log, model_dir, rule, epoch, ranges, plot_oppo_dir=True, PSTH_log=psths)
            analysis.plot_epoch_mean_growth(hp, log, ranges, model_dir, rule, epoch, epoch, PSTH_log=psths)
            analysis.plot_period_ttest_heatmap(hp, log, ranges, model_dir, rule, epoch, epoch, PSTH_log=psths)
            analysis.tunning_analysis(hp, log, model_dir, rule, epoch, ranges)
            # analysis.plot_PSTH_neuron_selected(hp, log, model_dir, rule, epoch, ranges, plot_oppo_dir=True)
            # analysis.neuron_period_activity_analysis(hp, log, ranges, model_dir, rule, epoch, epoch, PSTH_log=psths)

    # Anti-saccade tasks: activity after the stimulus (Fig. S1), saccades
    for rule, period in PERIODS_MS.items():
        if rule not in rules:
            continue
        tqdm.write(f"{rule}: activity of selective units, saccades")
        analysis.generate_neuron_info(hp, model_dir, ["stim1"], ranges, [rule])
        psths = analysis.gen_PSTH_log(hp, ranges, model_dir, rule, "stim1")
        analysis.plot_PSTH(hp, log, model_dir, rule, "stim1", ranges, plot_oppo_dir=True, PSTH_log=psths)
        analysis.neuron_period_activity_analysis(hp, log, ranges, model_dir, rule, "stim1", period, PSTH_log=psths)
        analysis.saccade_distribut_analysis(hp, log, rule, model_dir, analysis.spread_over(ranges, SOME_CHECKPOINTS))
        # analysis.tunning_analysis(hp, log, model_dir, rule, "stim1", ranges)

    # Single units (Fig. 3B), population (Fig. 5E and S5E): one checkpoint of each stage
    if "odr" in rules:
        tqdm.write("odr: single units, demixed PCA, decoding")
        chosen = analysis.nearest_to_target(hp, log, "odr", ranges["odr"])
        samples = {"odr": {stage: [trial_num] for stage, trial_num in chosen.items()}}
        for unit_type in ("exh_neurons", "mix_neurons"):
            analysis.sample_neuron_by_trial(
                hp, log, model_dir, "odr", "stim1", samples, unit_type, max_units=MAX_SAMPLE_UNITS
            )
        for trial_num in chosen.values():
            analysis.neuron_dPCA(hp, log, model_dir, trial_num, "odr")
            analysis.Decoder_analysis(hp, model_dir, trial_num, "odr", window_size=10)
            # analysis.Decoder_analysis(hp, model_dir, trial_num, "odr", window_size=10, holdout="everywhere")
            # analysis.Decoder_analysis(hp, model_dir, trial_num, "odrd", window_size=10)
            # analysis.neuron_dPCA(hp, log, model_dir, trial_num, "odrd", "test", True, [1, 5])  # two locations only
            # analysis.neuron_dPCA(hp, log, model_dir, trial_num, "overlap", "test", True, [0, 4])
            # analysis.neuron_PCA(hp, log, model_dir, trial_num, "odr")

    # Distractors, saccades, and the same units in two tasks
    if {"odr", "odrd"} <= set(rules):
        tqdm.write("odrd: distractors; odr and odrd: shared units")
        analysis.odrd_distractor_analysis(hp, log, model_dir, analysis.spread_over(ranges, FEW_CHECKPOINTS))
        analysis.saccade_distribut_analysis(hp, log, "odr", model_dir, analysis.spread_over(ranges, SOME_CHECKPOINTS))
        analysis.seldir_analysis(model_dir, "odr", "stim1", "odrd", "stim1", ranges, ("exh_neurons", "mix_neurons"))

    # Which findings of the paper this network reproduces: report.html, report.md, report.json
    tqdm.write("reproduction report")
    analysis.reproduction_report(model_dir)
    # analysis.reproduction_report(["data/seed0", "data/seed1"])  # counts over several networks

    # Recorded neurons, where you have them (the text format is in the docstrings)
    # analysis.real_neuron_dPCA("data/adultFiringRate8trials.txt")
    # analysis.real_neuron_PCA("data/adultneuron.txt")
    # analysis.realneuron_Decoder_analysis("data/adultFiringRate8trials.txt", window_size=10)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    there = next((folder for folder in MODEL_DIRS if Path(folder).is_dir()), MODEL_DIRS[0])
    parser.add_argument("--modeldir", default=there, help="the trained run (default here: %(default)s)")
    parser.add_argument("--keep_H", action="store_true", help="keep the activity in files")
    parser.add_argument("--jobs", type=int, help="processes that compute checkpoints (default: this one, on all cores)")
    parser.add_argument("--scheduler", metavar="ADDRESS", help="of a Dask cluster that computes the checkpoints")
    parser.add_argument("--tasks", nargs="+", default=[], metavar="FILE", help="files that register tasks of your own")
    options = parser.parse_args()
    model_dir = options.modeldir
    start = time.monotonic()
    try:
        load_tasks(options.tasks)
        analyse(model_dir, options.keep_H, options.jobs, options.scheduler)
    except (ValueError, OSError) as error:
        sys.exit(f"Main_analysis.py: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
    print(f"Done in {time.monotonic() - start:.0f} s. The figures and report.html are in {figure_dir(model_dir)}")


if __name__ == "__main__":
    main()
