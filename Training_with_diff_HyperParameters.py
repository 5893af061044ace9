"""Train variants of the network, and seeds, side by side on this machine or on a Dask cluster.

    python Training_with_diff_HyperParameters.py --list
    python Training_with_diff_HyperParameters.py --only set1_exp1 indi_* --seeds 0-4
    python Training_with_diff_HyperParameters.py --only 6tasks --seeds 0-9 --jobs 4
    python Training_with_diff_HyperParameters.py --scheduler tcp://host:8786

The same command again goes on with runs that were stopped. How each run ended is in <root>/sweep.csv. The table of
variants is in rnn_maturation/variants.py.
"""

import argparse
import json
import signal
import sys

from rnn_maturation.sweep import VARIANTS, choose_runs, parse_seeds, plot_sweep_summary, train_runs
from rnn_maturation.task import load_tasks
from rnn_maturation.variants import DISPLAY_STEP, MAIN_RUN


def main():
    options = parse_options()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ended by a batch system: as Ctrl-C
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
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--list", action="store_true", help="show the variants and end")
    add("--only", nargs="+", default=[], metavar="NAME", help="variants, with * (default: all but the main run)")
    add("--seeds", default="0", help="like 0-4 or 0,2,5-7 (default: 0)")
    add("--root", default="data", help="folder of the model directories (default: %(default)s)")
    add("--jobs", type=int, help="runs side by side (default: what cores and memory have room for)")
    add("--threads", type=int, help="processor cores of each run (default: the cores shared out)")
    add("--scheduler", metavar="ADDRESS", help="of a Dask cluster that trains the runs instead")
    add("--max_trials", type=int, help="trials at the most (default: as in the table of variants)")
    add("--slim", action=argparse.BooleanOptionalAction, default=True,
        help="keep the optimizer's state in the newest checkpoint only: a third of the disk")  # fmt: skip
    add("--hp", nargs="+", default=[], metavar="KEY=VALUE", help="hyper-parameters that differ in all runs")
    add("--display_step", type=int, default=DISPLAY_STEP, help="steps between checkpoints (default: %(default)s)")
    add("--tasks", nargs="+", default=[], metavar="FILE", help="files that register tasks and variants of your own")
    return parser.parse_args()


def parse_hp(text):
    """Key and value of KEY=VALUE; the value as in hp.json, or a word."""
    key, separator, value = text.partition("=")
    if not separator:
        raise ValueError(f"--hp takes KEY=VALUE, got {text!r}")
    try:
        return key, json.loads(value)
    except ValueError:
        return key, value


def print_variants():
    for name, variant in VARIANTS.items():
        differs = [f"{key} {value}" for key, value in variant.hp.items()]
        if variant.ruleset != "all_new":
            differs.append(f"rule set {variant.ruleset}")
        differs.append("rules " + " ".join(variant.trained_rules))
        note = "; only when named" if name == MAIN_RUN else ""
        print(f"{name:15s}{', '.join(differs)} (given up at {variant.max_trials:,} trials{note})")


if __name__ == "__main__":
    sys.exit(main())
