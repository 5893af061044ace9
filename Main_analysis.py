"""Analyze a trained network: draw the figures of the paper and of the network's dynamics, and write a report.

    python Main_analysis.py [--modeldir data/6tasks]
    python Main_analysis.py --formats png pdf svg                    also save pdf and svg, for a manuscript
    python Main_analysis.py --jobs 4 --keep_H                        use 4 processes, and save the activity
    python Main_analysis.py --scheduler tcp://host:8786 --keep_H     the same on a Dask cluster

Without --modeldir, the script analyzes data/6tasks if this folder exists, and the bundled pretrained network
data/6tasks_pretrained if it does not. Figures are saved in figure/figure_<name of the model directory>. To choose the
analyses, edit the function `analyze` in this file: remove or add the # before a call.
"""

import argparse
import sys
import time
from pathlib import Path

from tqdm import tqdm

from rnn_maturation import analysis, figures
from rnn_maturation.hyperparameters import PAPER_RULESET
from rnn_maturation.model_directory import checkpoint_trials, figure_dir, load_hp, load_log
from rnn_maturation.sweep.analysis import analyze_checkpoints
from rnn_maturation.task import TASKS, load_tasks, rules_dict

# ---- what to analyze ---------------------------------------------------------------------------------------------
MODEL_DIRS = ["data/6tasks", "data/6tasks_pretrained"]  # without --modeldir: the first of these that exists
MAX_CHECKPOINTS = 30  # maximum number of checkpoints per rule and stage
SOME_CHECKPOINTS = 6  # the same for saccades
FEW_CHECKPOINTS = 4  # the same for distractors, whose analysis takes seconds per checkpoint
COURSE_CHECKPOINTS = 40  # checkpoints from the first to the last one, for curves over the whole training
MAX_SAMPLE_UNITS = 1  # single units drawn per checkpoint, one page each
ODR_EPOCHS = ["stim1", "delay1"]
ODRD_EPOCHS = ["stim1", "delay1", "delay2"]
PERIODS_MS = {
    "overlap": (1000, 1250),
    "zero_gap": (1000, 1250),
    "gap": (1100, 1350),
}  # start and end in the trial, ms: the first 250 ms after stimulus onset
GROWTHS = {  # rule: (epoch in which the units are selective, epoch in which their activity is shown)
    "odr": [("stim1", "stim1"), ("delay1", "delay1"), ("stim1", "delay1")],
    "odrd": [("stim1", "stim1"), ("delay1", "delay1"), ("delay2", "delay2"), ("stim1", "delay1"), ("stim1", "delay2")],
}
SHARED_UNITS = [  # rule, epoch, rule, epoch: units that are selective in both
    ("odr", "stim1", "odrd", "stim1"), ("odr", "delay1", "odrd", "delay1"), ("odr", "stim1", "odr", "delay1"),
    ("odrd", "stim1", "odrd", "delay2"), ("odr", "stim1", "gap", "stim1"),
]  # fmt: skip
UNIT_TYPES = ("exh_neurons", "mix_neurons")


def analyze(model_dir, keep_activity=False, jobs=None, scheduler=None):
    """Analyze one trained network, save all figures, and write the report.

    Parameters
    ----------
    model_dir : str
        Model directory of the run.
    keep_activity : bool
        Save the activity of all units in files (H_<rule>.pkl).
    jobs : int, optional
        Number of parallel processes that classify the units; by default this process does all the work.
    scheduler : str, optional
        Address of the Dask scheduler of a cluster that classifies the units instead.
    """
    hp, log = load_hp(model_dir), load_log(model_dir)

    # Growth of performance (Fig. S7). The checkpoints of each stage are chosen by the performance of this run.
    ranges = analysis.print_basic_info(hp, log, model_dir, auto_range_select=True, max_trial_num_limit=MAX_CHECKPOINTS)
    ranges = analysis.kept_to_disk(ranges, model_dir)
    # ranges = {"odr": {"early": range(390400, 405760, 1280), "mid": [...], "mature": [...]}}  # or choose them yourself
    some, few = analysis.spread_over(ranges, SOME_CHECKPOINTS), analysis.spread_over(ranges, FEW_CHECKPOINTS)
    course = analysis.evenly_thinned(checkpoint_trials(model_dir), COURSE_CHECKPOINTS)
    rules = [rule for rule, of_stages in ranges.items() if any(of_stages.values())]
    other_rules = {}  # tasks that are not in the paper, for example your own: {rule: epochs from the stimulus on}
    for rule in ranges:
        if rule not in rules:
            tqdm.write(f"{rule}: its activity is not analyzed, because no checkpoint on disk is early, mid or mature")
        elif rule not in rules_dict[PAPER_RULESET]:
            try:
                analysis.gen_task_info(hp, log, model_dir, rule)
                other_rules[rule] = [epoch for epoch in TASKS[rule].epochs if epoch != "fix1"]
            except ValueError as error:  # a task without a stimulus
                tqdm.write(f"{rule}: its activity is not analyzed. {error}")
    analysis.gen_task_info(hp, log, model_dir, [rule for rule in rules if rule in rules_dict[PAPER_RULESET]])
    if keep_activity or jobs is not None or scheduler:  # a file of activity takes 23 MB (odr)
        epochs = {"odr": ODR_EPOCHS, "odrd": ODRD_EPOCHS, **dict.fromkeys(PERIODS_MS, ["stim1"]), **other_rules}
        units = {rule: epochs[rule] for rule in rules if rule in epochs}
        analyze_checkpoints(model_dir, units, ranges, keep_activity=keep_activity, jobs=jobs, scheduler=scheduler)

    # Delayed response tasks: PSTHs (Fig. 4E-G), growth of epoch activity (Fig. S2B), tuning (Fig. S3B)
    for rule, epochs in (("odr", ODR_EPOCHS), ("odrd", ODRD_EPOCHS)):
        if rule not in rules:
            continue
        tqdm.write(f"{rule}: activity of selective units")
        analysis.generate_neuron_info(hp, model_dir, epochs, ranges, [rule])
        psths = {epoch: analysis.gen_PSTH_log(hp, ranges, model_dir, rule, epoch) for epoch in epochs}
        for epoch, log_of_epoch in psths.items():
            analysis.plot_PSTH(hp, log, model_dir, rule, epoch, ranges, plot_oppo_dir=True, PSTH_log=log_of_epoch)
            analysis.plot_period_ttest_heatmap(hp, log, ranges, model_dir, rule, epoch, epoch, PSTH_log=log_of_epoch)
            analysis.tunning_analysis(hp, log, model_dir, rule, epoch, ranges)
            # analysis.plot_PSTH_neuron_selected(hp, log, model_dir, rule, epoch, ranges, plot_oppo_dir=True)
            # analysis.neuron_period_activity_analysis(hp, log, ranges, model_dir, rule, epoch, epoch)
        for selective, shown in GROWTHS[rule]:
            analysis.plot_epoch_mean_growth(
                hp, log, ranges, model_dir, rule, selective, shown, PSTH_log=psths[selective], course=course
            )

    # Anti-saccade tasks: activity after the stimulus (Fig. S1), tuning, saccades
    for rule, period in PERIODS_MS.items():
        if rule not in rules:
            continue
        tqdm.write(f"{rule}: activity of selective units, saccades")
        analysis.generate_neuron_info(hp, model_dir, ["stim1"], ranges, [rule])
        psths = analysis.gen_PSTH_log(hp, ranges, model_dir, rule, "stim1")
        analysis.plot_PSTH(hp, log, model_dir, rule, "stim1", ranges, plot_oppo_dir=True, PSTH_log=psths)
        analysis.neuron_period_activity_analysis(hp, log, ranges, model_dir, rule, "stim1", period, PSTH_log=psths)
        analysis.tunning_analysis(hp, log, model_dir, rule, "stim1", ranges)
        analysis.saccade_distribut_analysis(hp, log, rule, model_dir, some)

    # Other tasks: PSTHs and tuning of the units that are selective in each epoch
    for rule, epochs in other_rules.items():
        tqdm.write(f"{rule}: activity of selective units")
        analysis.generate_neuron_info(hp, model_dir, epochs, ranges, [rule])
        for epoch in epochs:
            analysis.plot_PSTH(hp, log, model_dir, rule, epoch, ranges, plot_oppo_dir=True)
            analysis.tunning_analysis(hp, log, model_dir, rule, epoch, ranges)

    # Single units (Fig. 3B), population (Fig. 5E and S5E): one checkpoint of each stage
    if "odr" in rules:
        tqdm.write("odr: single units, demixed PCA, decoding")
        chosen = analysis.nearest_to_target(hp, log, "odr", ranges["odr"])
        samples = {rule: {stage: [trial_num] for stage, trial_num in chosen.items()} for rule in ("odr", "odrd")}
        for unit_type in UNIT_TYPES:
            for rule, epoch in (("odr", "stim1"), ("odr", "delay1"), ("odrd", "stim1")):
                if rule in rules:
                    analysis.sample_neuron_by_trial(
                        hp, log, model_dir, rule, epoch, samples, unit_type, max_units=MAX_SAMPLE_UNITS
                    )
        for trial_num in chosen.values():
            analysis.neuron_dPCA(hp, log, model_dir, trial_num, "odr")
            analysis.Decoder_analysis(hp, model_dir, trial_num, "odr", window_size=10)
            # analysis.Decoder_analysis(hp, model_dir, trial_num, "odr", window_size=10, holdout="everywhere")
            # analysis.Decoder_analysis(hp, model_dir, trial_num, "odrd", window_size=10)
            # analysis.neuron_dPCA(hp, log, model_dir, trial_num, "odrd", "test", True, [1, 5])  # two locations only
            # analysis.neuron_dPCA(hp, log, model_dir, trial_num, "overlap", "test", True, [0, 4])
            # analysis.neuron_PCA(hp, log, model_dir, trial_num, "odr")

    # Distractors; saccades; units that are selective in two tasks or epochs
    if {"odr", "odrd"} <= set(rules):
        tqdm.write("odrd: distractors; odr and odrd: shared units")
        analysis.odrd_distractor_analysis(hp, log, model_dir, few)
        analysis.saccade_distribut_analysis(hp, log, "odr", model_dir, some)
        for rule1, epoch1, rule2, epoch2 in SHARED_UNITS:
            if rule2 in rules:
                analysis.seldir_analysis(model_dir, rule1, epoch1, rule2, epoch2, ranges, UNIT_TYPES)

    # Dynamics of the delay: growth of the memory time, saccades after delays of other lengths, states that are reached
    # when a delay does not end
    if "odr" in rules:
        tqdm.write("odr: dynamics of the delay")
        analysis.eigenvalue_growth_analysis(hp, log, model_dir, course, "odr")
        analysis.delay_generalization_analysis(hp, log, model_dir, course, "odr")
        for trial_num in chosen.values():
            analysis.end_state_analysis(hp, model_dir, trial_num, "odr")
        # analysis.fixed_point_analysis(hp, model_dir, chosen["mature"], "odr")
        # analysis.lesion_analysis(hp, log, model_dir, list(chosen.values()), ["odr", "odrd", "gap"])
        # analysis.perturbation_analysis(hp, model_dir, chosen["mature"], "odr")

    # Reproduction report (report.html, .md and .json): which findings of the paper and of the dynamics hold here
    tqdm.write("reproduction report")
    analysis.reproduction_report(model_dir)
    # analysis.reproduction_report(["data/seed0", "data/seed1"])  # in how many of these each finding holds

    # Recorded neurons, if you have some. The docstrings of these functions describe the text files.
    # analysis.real_neuron_dPCA("data/adultFiringRate8trials.txt")
    # analysis.real_neuron_PCA("data/adultneuron.txt")
    # analysis.realneuron_Decoder_analysis("data/adultFiringRate8trials.txt", window_size=10)


def main():
    """Read the options and analyze the run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    there = next((folder for folder in MODEL_DIRS if Path(folder).is_dir()), MODEL_DIRS[0])
    parser.add_argument(
        "--modeldir", default=there, help="model directory of the run (default in this folder: %(default)s)"
    )
    parser.add_argument(
        "--formats",
        nargs="+",
        default=figures.FORMATS,
        choices=figures.KNOWN_FORMATS,
        help=f"file formats of the figures (default: {' '.join(figures.FORMATS)})",
    )
    parser.add_argument("--keep_H", action="store_true", help="save the activity of all units in files H_<rule>.pkl")
    parser.add_argument(
        "--jobs",
        type=int,
        help="number of parallel processes that classify units, each on one core (default: one process on all cores)",
    )
    parser.add_argument(
        "--scheduler", metavar="ADDRESS", help="address of the Dask scheduler of a cluster that classifies units"
    )
    parser.add_argument(
        "--tasks", nargs="+", default=[], metavar="FILE", help="Python files that register your own tasks"
    )
    options = parser.parse_args()
    model_dir = options.modeldir
    start = time.monotonic()
    try:
        tqdm.write(f"Analyzing {model_dir}")
        figures.use_formats(options.formats)
        load_tasks(options.tasks)
        analyze(model_dir, options.keep_H, options.jobs, options.scheduler)
    except (ValueError, OSError) as error:
        sys.exit(f"Main_analysis.py: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
    print(f"Done in {time.monotonic() - start:.0f} s. The figures and report.html are in {figure_dir(model_dir)}")


if __name__ == "__main__":
    main()
