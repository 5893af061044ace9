"""Train a mature network further with a delay of ODR that varies more and more: does the rotation disappear?

    python -m examples.widening_delay --start data/seeds/6tasks/448000 --folder data/widening_delay

The script starts from a checkpoint of a network that was trained with an ODR delay of 1,500 ms only. It continues the
training on the same six tasks, but draws the delay of ODR anew for each batch, from a range that widens from stage to
stage. Each stage is a run of its own, which starts from the last checkpoint of the previous stage. After each stage,
the script prints the performance after different delays, and the leading eigenvalues. To resume a run that was stopped,
give the same command again.
"""

import argparse
from functools import partial
from pathlib import Path

from rnn_maturation.analysis import delay_generalization_analysis, eigenvalue_growth_analysis
from rnn_maturation.hyperparameters import BATCH_SIZE, PAPER_DISPLAY_STEP, PAPER_HP
from rnn_maturation.model_directory import load_hp
from rnn_maturation.task import Task, register_ruleset, register_task, six_tasks_with
from rnn_maturation.train import train

RANGES_MS = ((1250, 1750), (1000, 2000), (500, 2500))  # both ends included
TRIALS_PER_STAGE = 256_000
SHOWN_DELAYS_MS = (500, 1000, 1500, 2000, 2500)


def draw_delay(rng, shortest, longest):
    """Draw the delay of a batch of trials, in whole ms."""
    return {"delay1": rng.randint(shortest, longest + 1)}


def rule_of(shortest, longest):
    """Return the name of ODR with delays from this range."""
    return f"odr_{shortest}_to_{longest}"


for span in RANGES_MS:
    register_task(
        rule_of(*span),
        # Tests and evaluations use the delay of this row, 1500 ms.
        Task(
            f"ODR {span[0]} to {span[1]} ms",
            {"fix1": 1000, "stim1": 500, "delay1": 1500},
            draw_epochs=partial(draw_delay, shortest=span[0], longest=span[1]),
        ),
    )
    register_ruleset(f"all_new_{rule_of(*span)}", six_tasks_with(rule_of(*span)))


def train_stages(start, folder, trials_per_stage=TRIALS_PER_STAGE, hp=PAPER_HP, threads=None):
    """Train one stage after the other; after each, print performance and eigenvalues.

    Parameters
    ----------
    start : str or Path
        Checkpoint folder from which the first stage starts.
    folder : str or Path
        Folder in which each stage gets a model directory.
    trials_per_stage : int
        Number of training trials in each stage.
    hp : dict
        Hyper-parameters of the checkpoint's run that differ from the defaults.
    threads : int, optional
        Number of processor cores to use; by default all.
    """
    for span in RANGES_MS:
        rule, model_dir = rule_of(*span), Path(folder) / rule_of(*span)
        log = train(
            model_dir,
            hp={**hp, "target_perf": 1.0},  # cannot be exceeded, so that every stage trains to its end
            ruleset=f"all_new_{rule}",
            load_dir=start,
            max_steps=trials_per_stage // hp.get("batch_size_train", BATCH_SIZE),
            display_step=PAPER_DISPLAY_STEP,
            threads=threads,
            slim=True,
        )
        last = log["trials"][-1]
        start = model_dir / str(last)
        settings = load_hp(model_dir), log, str(model_dir), [last], rule
        print(f"{rule} after {last:,} trials:")
        held = delay_generalization_analysis(*settings, delays_ms=SHOWN_DELAYS_MS, save=False)
        print(held.to_frame()[["delay_ms", "performance", "error_deg"]].to_string(index=False))
        values = eigenvalue_growth_analysis(*settings, save=False).to_frame()
        columns = ["n_fixed_points", "largest_modulus", "largest_is_complex", "frequency_hz"]
        print(values[columns].to_string(index=False))


def main():
    """Read the options and train all stages."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--start", default="data/seeds/6tasks/448000", help="checkpoint folder to start from (default: %(default)s)"
    )
    parser.add_argument(
        "--folder", default="data/widening_delay", help="folder of the model directories (default: %(default)s)"
    )
    parser.add_argument(
        "--trials_per_stage", type=int, default=TRIALS_PER_STAGE, help="training trials (default: %(default)s)"
    )
    parser.add_argument("--threads", type=int, help="number of processor cores (default: all)")
    options = parser.parse_args()
    train_stages(options.start, options.folder, options.trials_per_stage, threads=options.threads)


if __name__ == "__main__":
    main()
