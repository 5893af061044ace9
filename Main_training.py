"""Train the network of the paper on its six tasks; save its checkpoints and its log in a model directory.

    python Main_training.py [--modeldir data/6tasks] [--seed 0] [--max_trials N] [--threads N] [--overwrite]

To resume a run that was stopped, give the same command again.
"""

import argparse
import sys
from pathlib import Path

from rnn_maturation.files import ModelDirectoryInUse
from rnn_maturation.hyperparameters import complete_hp
from rnn_maturation.task import load_tasks
from rnn_maturation.train import TrainingDiverged, train

# ---- settings of the main run; a run with other settings needs another model directory (--modeldir) --------------
RULESET = "all_new"  # rule set: the rules that have an input channel; all_new has the six rules of the next line
RULES = ["overlap", "zero_gap", "gap", "odr", "odrd", "gap500"]  # rules to train; each batch is of one rule
DISPLAY_STEP = 20  # training steps between two checkpoints; with 64 trials per step, 1,280 trials
HP = {
    "activation": "softplus",
    "n_rnn": 256,  # units
    "learning_rate": 0.001,
    "mix_rule": True,
    "l1_h": 0.0,
    "use_separate_input": False,
    "target_perf": 0.995,  # training ends when every rule performs better than this
}
MAX_TRIALS = 10_000_000  # training ends after this many trials even if the target performance is not reached


def main():
    """Train with the options of the command line; exit with status 1 or 2 after an error, 130 after Ctrl-C."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--modeldir", default="data/6tasks", help="model directory, in which the run is saved (default: %(default)s)"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of initial weights, trials and noise (default: 0)")
    parser.add_argument(
        "--max_trials",
        type=int,
        default=MAX_TRIALS,
        help="maximum number of training trials (default: %(default)s)",
    )
    parser.add_argument("--threads", type=int, help="number of processor cores to use (default: all)")
    parser.add_argument(
        "--overwrite", action="store_true", help="delete the run in --modeldir and train it again from the beginning"
    )
    parser.add_argument(
        "--tasks", nargs="+", default=[], metavar="FILE", help="Python files that register your own tasks"
    )
    options = parser.parse_args()
    try:
        load_tasks(options.tasks)
        batch_size = complete_hp({"ruleset": RULESET, **HP})["batch_size_train"]
        if options.max_trials < batch_size:
            parser.error(
                f"--max_trials {options.max_trials} is less than the {batch_size} trials of one training step: "
                f"give at least {batch_size}"
            )
        print(f"Training in the model directory {Path(options.modeldir).resolve()}")
        train(
            options.modeldir,
            hp=HP,
            max_steps=options.max_trials // batch_size,
            display_step=DISPLAY_STEP,
            ruleset=RULESET,
            rule_trains=RULES,
            seed=options.seed,
            overwrite=options.overwrite,
            threads=options.threads,
        )
    except (ValueError, OSError, ModelDirectoryInUse, TrainingDiverged) as error:
        sys.exit(f"Main_training.py: {error}")
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
