"""Train variants of the network, each with one or more seeds, in parallel on this machine or on a Dask cluster.

    python Training_with_diff_HyperParameters.py --list
    python Training_with_diff_HyperParameters.py --only set1_exp1 indi_* --seeds 0-4
    python Training_with_diff_HyperParameters.py --only 6tasks --seeds 0-9 --jobs 4
    python Training_with_diff_HyperParameters.py --scheduler tcp://host:8786

To resume runs that were stopped, give the same command again. The table <root>/sweep.csv (default: data/sweep.csv)
lists how far each run has come and how it ended. The variants are defined in rnn_maturation/sweep/variants.py.
"""

import argparse
import json
import signal
import sys

from rnn_maturation.hyperparameters import PAPER_DISPLAY_STEP, PAPER_RULESET
from rnn_maturation.sweep import VARIANTS, choose_runs, parse_seeds, plot_sweep_summary, train_runs
from rnn_maturation.sweep.variants import MAIN_RUN
from rnn_maturation.task import load_tasks


def main():
    """Train the runs that the options select and return the exit status.

    Returns
    -------
    int
        0 if every run reached its target or its maximum number of trials, or diverged; 1 if a run was refused, failed,
        or is being trained by another process; 130 if the runs were stopped.
    """
    options = parse_options()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # batch systems send SIGTERM: treat it like Ctrl-C
    try:
        load_tasks(options.tasks)
        if options.list:
            print_variants()
            return 0
        runs = choose_runs(options.only, parse_seeds(options.seeds), options.root)
        table = train_runs(
            runs,
            jobs=options.jobs,
            threads=options.threads,
            scheduler=options.scheduler,
            max_trials=options.max_trials,
            slim=options.slim,
            hp=dict(map(parse_hp, options.hp)),
            display_step=options.display_step,
        )
        if table["trials"].notna().any():
            plot_sweep_summary(options.root, options.only)
    except (ValueError, OSError) as error:
        sys.exit(f"Training_with_diff_HyperParameters.py: {error}")
    except KeyboardInterrupt:
        return 130
    if {"stopped", "waiting"} & set(table["state"]):
        return 130
    return 1 if {"refused", "failed", "running"} & set(table["state"]) else 0


def parse_options():
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--list", action="store_true", help="print the variants and exit")
    add(
        "--only",
        nargs="+",
        default=[],
        metavar="NAME",
        help=f"names of variants; * stands for any characters (default: all except the main run, {MAIN_RUN})",
    )
    add("--seeds", default="0", help="seeds to train, such as 0-4 or 0,2,5-7 (default: 0)")
    add("--root", default="data", help="folder that holds the model directories (default: %(default)s)")
    add("--jobs", type=int, help="number of runs at the same time (default: as many as cores and memory allow)")
    add("--threads", type=int, help="number of processor cores per run (default: an equal share)")
    add(
        "--scheduler", metavar="ADDRESS", help="address of the Dask scheduler of a cluster that trains the runs instead"
    )
    add("--max_trials", type=int, help="maximum number of trials of each run (default: as in the table of variants)")
    add("--slim", action=argparse.BooleanOptionalAction, default=True,
        help="keep the optimizer's state only in the newest checkpoint, which saves two thirds of the disk space "
        "(default: --slim)")  # fmt: skip
    add(
        "--hp",
        nargs="+",
        default=[],
        metavar="KEY=VALUE",
        help="hyper-parameters to change in all runs, such as n_rnn=128",
    )
    add(
        "--display_step",
        type=int,
        default=PAPER_DISPLAY_STEP,
        help="training steps between two checkpoints (default: %(default)s)",
    )
    add("--tasks", nargs="+", default=[], metavar="FILE", help="Python files that register your own tasks and variants")
    return parser.parse_args()


def parse_hp(text):
    """Split KEY=VALUE; the value is read as JSON, as in hp.json, or else taken as a string."""
    key, separator, value = text.partition("=")
    if not separator:
        raise ValueError(f"--hp takes KEY=VALUE, such as n_rnn=128, not {text!r}")
    try:
        return key, json.loads(value)
    except ValueError:
        return key, value


def print_variants():
    """Print how each variant differs from the common settings, and its maximum number of trials."""
    for name, variant in VARIANTS.items():
        differs = [f"{key} {value}" for key, value in variant.hp.items()]
        if variant.ruleset != PAPER_RULESET:
            differs.append(f"rule set {variant.ruleset}")
        differs.append("rules " + " ".join(variant.trained_rules))
        note = "; trained only if --only names it" if name == MAIN_RUN else ""
        print(f"{name:15s}{', '.join(differs)} (at most {variant.max_trials:,} trials{note})")


if __name__ == "__main__":
    sys.exit(main())
