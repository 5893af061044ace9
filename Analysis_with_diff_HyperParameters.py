"""Analyze the trained variants and seeds on disk.

The table of variants, rnn_maturation/sweep/variants.py, says which analyses each variant gets.

    python Analysis_with_diff_HyperParameters.py
    python Analysis_with_diff_HyperParameters.py --only set1_* --seeds 0-4 --jobs 4
    python Analysis_with_diff_HyperParameters.py --scheduler tcp://host:8786 --keep_H

The figures of a run are saved in figure/figure_<name of its model directory>, and figures that compare runs in
figure/figure_sweep. The table figure/figure_sweep/delays.csv lists delay activity, leading eigenvalues and performance
after other delays of each run that learned ODR.
"""

import argparse
import signal
import sys

from rnn_maturation.checks import check_whole_number
from rnn_maturation.sweep import choose_runs, find_runs, parse_seeds, plot_sweep_summary
from rnn_maturation.sweep.analysis import MAX_CHECKPOINTS, analyze_run
from rnn_maturation.sweep.cluster import connect
from rnn_maturation.sweep.delays import save_delay_table
from rnn_maturation.task import load_tasks


def main():
    """Analyze the selected runs; return the exit status: 1 if a run could not be analyzed, 130 after Ctrl-C, else 0."""
    options = parse_options()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    failed, in_part, delays = [], [], []
    try:
        load_tasks(options.tasks)
        runs = runs_on_disk(options)
        check(options)
        for run in runs:
            print(f"---- {run.name}")
            try:
                left_out, found = analyze_run(
                    run, options.keep_H, options.jobs, options.scheduler, options.max_checkpoints
                )
                delays += found
                if left_out:
                    in_part.append(run.name)
            except (ValueError, OSError) as error:
                print(f"{run.name}: {error}")
                failed.append(run.name)
        plot_sweep_summary(options.root, options.only)
        if delays:
            save_delay_table(delays)
    except (ValueError, OSError) as error:
        sys.exit(f"Analysis_with_diff_HyperParameters.py: {error}")
    except KeyboardInterrupt:
        return 130
    print(f"{len(runs) - len(failed) - len(in_part)} of {len(runs)} runs were analyzed completely"
          + (f"; analyzed in part (see above): {', '.join(in_part)}" if in_part else "")
          + (f"; not analyzed (see above): {', '.join(failed)}" if failed else ""))  # fmt: skip
    return 1 if failed else 0


def check(options):
    """Raise a ValueError for options that would fail in every run, before the first run is analyzed."""
    check_whole_number("--max_checkpoints", options.max_checkpoints)
    if options.jobs is not None:
        check_whole_number("--jobs", options.jobs)
    if options.scheduler:
        with connect(None, options.scheduler):
            pass


def runs_on_disk(options):
    """Return the runs on disk that --only and --seeds select."""
    wanted = {run.variant for run in choose_runs(options.only or ["*"])}
    seeds = None if options.seeds is None else parse_seeds(options.seeds)
    runs = [r for r in find_runs(options.root) if r.variant in wanted and (seeds is None or r.seed in seeds)]
    if not runs:
        raise FileNotFoundError(
            f"the folder {options.root} has no run that --only and --seeds select: train one with "
            "Training_with_diff_HyperParameters.py, or name the folder of your runs with --root"
        )
    return runs


def parse_options():
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add(
        "--only",
        nargs="+",
        default=[],
        metavar="NAME",
        help="names of variants; * stands for any characters (default: all)",
    )
    add("--seeds", help="seeds to analyze, such as 0-4 or 0,2,5-7 (default: all)")
    add("--root", default="data", help="folder that holds the model directories (default: %(default)s)")
    add(
        "--jobs",
        type=int,
        help="number of parallel processes that classify units, each on one core (default: one process on all cores)",
    )
    add(
        "--scheduler",
        metavar="ADDRESS",
        help="address of the Dask scheduler of a cluster that classifies units",
    )
    add(
        "--keep_H",
        action="store_true",
        help="save the activity of all units in files H_<rule>.pkl (23 MB per checkpoint of odr)",
    )
    add(
        "--max_checkpoints",
        type=int,
        default=MAX_CHECKPOINTS,
        help="maximum number of checkpoints per rule and stage (default: %(default)s)",
    )
    add("--tasks", nargs="+", default=[], metavar="FILE", help="Python files that register your own tasks and variants")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
