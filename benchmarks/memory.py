"""Measure whether memory grows while one process analyzes 500 checkpoints of five rules.

    python -m benchmarks.memory [--checkpoints 500] [--units 256]

A network is trained for one step. All checkpoints are links to its two checkpoints, because their content does not
matter here. For each checkpoint and rule, the activity is computed and units are classified; only neuron_info is kept.
The memory of a training run is measured with: python -m benchmarks.training --saves 1000
"""

import argparse
import contextlib
import io
import os
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from benchmarks.training import resident_mb  # noqa: E402
from rnn_maturation.analysis import generate_neuron_info  # noqa: E402
from rnn_maturation.model_directory import checkpoint_dir, load_hp  # noqa: E402
from rnn_maturation.train import train  # noqa: E402

RULES = ["odr", "odrd", "overlap", "zero_gap", "gap"]
ROUND = 50  # checkpoints between two measurements
LIMIT_MB = 100  # growth after the first round


def many_checkpoints(model_dir, n_checkpoints, n_units):
    """Make a model directory with checkpoints; return their trial numbers."""
    hp = {"n_rnn": n_units, "activation": "softplus", "batch_size_train": 1, "batch_size_test": 16, "target_perf": 1}
    with contextlib.redirect_stdout(io.StringIO()):
        trials = train(model_dir, hp, 1, 1, rule_trains=RULES)["trials"]
    for trial in range(len(trials), n_checkpoints):
        folder, source = checkpoint_dir(model_dir, trial), checkpoint_dir(model_dir, trials[trial % len(trials)])
        folder.mkdir()
        for file in source.iterdir():
            os.link(file, folder / file.name)
    return list(range(n_checkpoints))


def main():
    """Analyze round after round; exit with status 1 if memory grows by `LIMIT_MB` or more."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--checkpoints", type=int, default=500, help="number of checkpoints (default: %(default)s)")
    parser.add_argument("--units", type=int, default=256, help="units of the network (default: %(default)s)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        model_dir = Path(folder) / "run"
        trials = many_checkpoints(model_dir, options.checkpoints, options.units)
        hp, start, memory = load_hp(model_dir), time.time(), []
        for first in range(0, len(trials), ROUND):
            generate_neuron_info(hp, model_dir, ["stim1"], trials[first : first + ROUND], RULES, verbose=False)
            memory.append(resident_mb())
            print(f"{first + ROUND:4d} checkpoints: {memory[-1]:5.0f} MB, {time.time() - start:4.0f} s", flush=True)
    growth = max(memory) - memory[0]
    print(f"growth after the first {ROUND}: {growth:.0f} MB (limit {LIMIT_MB})")
    raise SystemExit(growth >= LIMIT_MB)


if __name__ == "__main__":
    main()
