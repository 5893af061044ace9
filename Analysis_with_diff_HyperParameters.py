"""Analyse the variants and seeds that are on disk, each as the table of variants (rnn_maturation/variants.py) says.

    python Analysis_with_diff_HyperParameters.py
    python Analysis_with_diff_HyperParameters.py --only set1_* --seeds 0-4 --jobs 4
    python Analysis_with_diff_HyperParameters.py --scheduler tcp://host:8786 --keep_H

Figures go to figure/figure_<name of the model directory>, those over runs to figure/figure_sweep.
"""

import argparse
import os
import signal
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from rnn_maturation.jobs import connect  # noqa: E402
from rnn_maturation.sweep import choose_runs, find_runs, parse_seeds, plot_sweep_summary  # noqa: E402
from rnn_maturation.sweep_analysis import MAX_CHECKPOINTS, analyse_run  # noqa: E402
from rnn_maturation.task import load_tasks  # noqa: E402


def main():
    options = parse_options()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    failed, in_part = [], []
    try:
        load_tasks(options.tasks)
        runs = runs_on_disk(options)
        check(options)
        for run in runs:
            print(f"---- {run.name}")
            try:
                if analyse_run(run, options.keep_H, options.jobs, options.scheduler, options.max_checkpoints):
                    in_part.append(run.name)
            except (ValueError, OSError) as error:
                print(f"{run.name}: {error}")
                failed.append(run.name)
        plot_sweep_summary(options.root, options.only)
    except (ValueError, OSError) as error:
        sys.exit(f"Analysis_with_diff_HyperParameters.py: {error}")
    except KeyboardInterrupt:
        return 130
    print(f"{len(runs) - len(failed) - len(in_part)} of {len(runs)} runs analysed"
          + (f"; without rules that are not learned yet: {', '.join(in_part)}" if in_part else "")
          + (f"; not {', '.join(failed)}" if failed else ""))  # fmt: skip
    return 1 if failed else 0


def check(options):
    """What is wrong for every run is said once, before the first."""
    for name in ("jobs", "max_checkpoints"):
        if getattr(options, name) is not None and getattr(options, name) < 1:
            raise ValueError(f"--{name} must be 1 or more, got {getattr(options, name)}")
    if options.scheduler:
        with connect(None, options.scheduler):
            pass


def runs_on_disk(options):
    """The runs that are asked for and on disk."""
    wanted = {run.variant for run in choose_runs(options.only or ["*"])}
    seeds = None if options.seeds is None else parse_seeds(options.seeds)
    runs = [r for r in find_runs(options.root) if r.variant in wanted and (seeds is None or r.seed in seeds)]
    if not runs:
        raise FileNotFoundError(f"none of these runs is below {options.root}: train some, or name their folder: --root")
    return runs


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--only", nargs="+", default=[], metavar="NAME", help="variants, with * (default: all)")
    add("--seeds", help="like 0-4 or 0,2,5-7 (default: all)")
    add("--root", default="data", help="folder of the model directories (default: %(default)s)")
    add("--jobs", type=int, help="processes that analyse checkpoints (default: this one, on all its cores)")
    add("--scheduler", metavar="ADDRESS", help="of a Dask cluster that analyses the checkpoints")
    add("--keep_H", action="store_true", help="keep the activity in files; 23 MB a checkpoint of odr")
    add("--max_checkpoints", type=int, default=MAX_CHECKPOINTS, help="of each rule and stage (default: %(default)s)")
    add("--tasks", nargs="+", default=[], metavar="FILE", help="files that register tasks and variants of your own")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
