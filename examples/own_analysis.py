"""An analysis of your own: how many units share the delay activity, and does this change as the network matures?

    python -m examples.own_analysis --modeldir data/6tasks_pretrained

For each checkpoint, this script computes the population sparseness (Treves & Rolls, Network 2:371, 1991) of the
activity in an epoch. The sparseness is 1 if all units fire at the same rate, and 1 / (number of units) if a single unit
fires.
"""

import argparse
from pathlib import Path

import matplotlib

matplotlib.use("Agg")  # draw into files, open no window

import matplotlib.pyplot as plt  # noqa: E402
import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402

from rnn_maturation import analysis  # noqa: E402
from rnn_maturation.tools import load_hp, load_log  # noqa: E402


def compute_sparseness(activity, steps):
    """Compute the population sparseness of the activity in an epoch.

    Parameters
    ----------
    activity : (n_time, n_trials, n_units) array
        Firing rates.
    steps : slice
        Time steps of the epoch.

    Returns
    -------
    float
        Sparseness, the mean over trials.
    """
    firing_rate = np.asarray(activity)[steps].mean(axis=0)  # (n_trials, n_units)
    return float((firing_rate.mean(axis=1) ** 2 / (firing_rate**2).mean(axis=1)).mean())


def draw_sparseness(table, title):
    """Draw a point per checkpoint, in the color of its stage."""
    figure, ax = plt.subplots(figsize=(5, 3.5))
    for stage, color in (("early", "green"), ("mid", "blue"), ("mature", "red")):
        rows = table[table["stage"] == stage]
        ax.plot(rows["trial"], rows["sparseness"], "o", color=color, label=stage)
    ax.set(xlabel="Training trials", ylabel="Population sparseness", title=title)
    ax.legend()
    figure.tight_layout()
    return figure


def sparseness_analysis(hp, log, model_dir, ranges, rule, epoch, folder):
    """Compute and draw the sparseness at each checkpoint, save the figure, and return a table with one row each."""
    trial = analysis.gen_task_info(hp, log, model_dir, [rule], return_trial_store=True)[rule]
    steps = slice(*trial.epochs[epoch])
    rows = []
    for stage, trial_nums in ranges[rule].items():
        for trial_num in trial_nums:
            activity = analysis.Get_H(hp, model_dir, trial_num, rule)
            rows.append((trial_num, stage, compute_sparseness(activity, steps)))
    table = pd.DataFrame(rows, columns=["trial", "stage", "sparseness"]).sort_values("trial", ignore_index=True)
    folder.mkdir(parents=True, exist_ok=True)
    draw_sparseness(table, f"{rule}, {epoch}").savefig(folder / f"{rule}_{epoch}_sparseness.png", dpi=150)
    return table


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--modeldir", default="data/6tasks_pretrained", help="model directory (default: %(default)s)")
    parser.add_argument(
        "--checkpoints", type=int, default=10, help="maximum number of checkpoints per stage (default: %(default)s)"
    )
    options = parser.parse_args()
    hp, log = load_hp(options.modeldir), load_log(options.modeldir)
    ranges = analysis.print_basic_info(hp, log, options.modeldir, auto_range_select=True)
    ranges = analysis.spread_over(analysis.kept_to_disk(ranges, options.modeldir), options.checkpoints)
    table = sparseness_analysis(hp, log, options.modeldir, ranges, "odr", "delay1", Path("figure/own_analysis"))
    print(table.groupby("stage")["sparseness"].agg(["mean", "count"]))


if __name__ == "__main__":
    main()
