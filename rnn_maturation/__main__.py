"""Check that this installation works: ``python -m rnn_maturation``.

This command prints the versions, cores and GPUs in use. Then it restores the bundled pretrained network and runs it on
512 trials of each rule. Performance in each rule must be close to the performance that was logged during training.
"""

import argparse
import platform
import sys
import time
from importlib.metadata import version

import numpy as np

from rnn_maturation.cpu import n_cores
from rnn_maturation.model_directory import load_hp, load_log
from rnn_maturation.network import Model, gen_feed_dict, get_perf
from rnn_maturation.stages import performance_at
from rnn_maturation.task import generate_evaluation, rule_name
from rnn_maturation.tensorflow1 import tf, tf1

MODEL_DIR = "data/6tasks_pretrained"
PACKAGES = ("tensorflow", "numpy", "scipy", "pandas", "statsmodels", "scikit-learn", "matplotlib")
TOLERANCE = 0.06  # six standard errors of the difference between two evaluations of 512 trials, at performance .975


def main():
    """Print what this installation consists of and whether the bundled network works.

    Returns
    -------
    int
        Exit status: 0 when every rule performs as logged, else 1.
    """
    print(f"Python {platform.python_version()} on {platform.system()} ({platform.machine()})")
    print(", ".join(f"{package} {version(package)}" for package in PACKAGES))
    gpus = [device.name for device in tf.config.list_physical_devices("GPU")]
    print(f"processor cores: {n_cores()}; GPU: {', '.join(gpus) or 'none (none is needed)'}")
    try:
        return 0 if all(list(_works(load_hp(MODEL_DIR), load_log(MODEL_DIR)))) else 1
    except (FileNotFoundError, ValueError) as error:
        print(f"The bundled network cannot be read: {error}")
        print("Run this command in the folder of the program, where Main_training.py is.")
        return 1


def _works(hp, log):
    """Yield for each rule whether the bundled network, at its last checkpoint, performs as logged."""
    trial_num = log["trials"][-1]
    print(f"Bundled network {MODEL_DIR}, checkpoint {trial_num}: performance in 512 trials, measured now and logged")
    print(f"during training. Trials and noise are random, so the two may differ by up to {TOLERANCE}:")
    model = Model(MODEL_DIR, hp=hp)
    with tf1.Session() as session:
        model.restore(f"{MODEL_DIR}/{trial_num}")
        for rule in hp["rules"]:
            start = time.perf_counter()
            trial = generate_evaluation(rule, {**hp, "rng": np.random.RandomState(0)}, batch_size=32)
            y_hat = session.run(model.y_hat, gen_feed_dict(model, trial, hp))
            now, logged = get_perf(y_hat, trial.y_loc).mean(), performance_at(log, rule, trial_num)
            agrees = abs(now - logged) <= TOLERANCE
            seconds = time.perf_counter() - start
            print(
                f"  {rule_name[rule]:9s} {now:.3f}   {logged:.3f}   {'as logged' if agrees else 'NOT AS LOGGED'}"
                f"   ({seconds:.1f} s)"
            )
            yield agrees


if __name__ == "__main__":
    argparse.ArgumentParser(prog="python -m rnn_maturation", description=__doc__).parse_args()
    status = main()
    if status == 0:
        print("The installation works.")
    else:
        print("The installation does not work, see above. If the performance in a rule is not as logged, install")
        print("requirements.txt in a new environment and try again.")
    sys.exit(status)
