"""Measure how much faster the fixed points of a checkpoint are found than by a separate Newton iteration per start.

    python -m benchmarks.dynamics [--modeldir data/6tasks_pretrained] [--pairs 5]      about a minute on one core

Both methods use the same 64 starts in delay1 of ODR, the same tolerance and the same line search, and both compute the
eigenvalues at a fixed point. The plain method treats each start separately and factorizes its Jacobian in each Newton
step. The two are measured in turn. Times are processor time on one core, medians over pairs of measurements.
"""

import argparse
import os
import statistics
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np  # noqa: E402
from threadpoolctl import threadpool_limits  # noqa: E402

from rnn_maturation.analysis.dynamics.fixed_points import (  # noqa: E402
    MAX_ITERATIONS,
    SMALLEST_STEP,
    TOLERANCE,
    fixed_points_at,
    starts_of,
)
from rnn_maturation.analysis.dynamics.spectrum import sorted_eigenvalues  # noqa: E402
from rnn_maturation.analysis.dynamics.step import network_at  # noqa: E402
from rnn_maturation.analysis.dynamics.task_input import task_input  # noqa: E402
from rnn_maturation.model_directory import checkpoint_trials, load_hp  # noqa: E402

RULE, EPOCH = "odr", "delay1"


def plain_newton(network, drive, start):
    """Return the end of Newton's method with a line search from one start, and whether it converged."""
    state, identity = start, np.eye(network.n_state)
    residual = network.residual(state, drive)
    for _ in range(MAX_ITERATIONS):
        norm = np.linalg.norm(residual)
        if norm <= TOLERANCE:
            return state, True
        jacobian = (network.jacobian(state, drive) - identity) / network.alpha
        direction, step = np.linalg.solve(jacobian, -residual), 1.0
        while step >= SMALLEST_STEP:
            tried = network.residual(state + step * direction, drive)
            if np.linalg.norm(tried) < (1 - 1e-4 * step) * norm:
                break
            step /= 2
        else:
            return state, False
        state, residual = state + step * direction, tried
    return state, False


def plain(network, task):
    """Return the eigenvalues of one fixed point and the number of starts that converged, by the plain method."""
    states = network.run(task.inputs)
    starts, drive = starts_of(network, task, EPOCH, states[:, ::8]), network.drive(task.held(EPOCH))
    ends = [plain_newton(network, drive, start) for start in starts]
    found = [end for end, converged in ends if converged]
    return sorted_eigenvalues(network.jacobian(found[0], drive)), len(found)


def shared(network, task):
    """Return the same as `plain`, computed by `fixed_points_at`."""
    found = fixed_points_at(network, task, EPOCH, network.run(task.inputs), with_slow_points=False)
    return found.eigenvalues[0], found.n_converged


def seconds(function, *arguments):
    """Return a result and its processor time."""
    start = time.process_time()
    return function(*arguments), time.process_time() - start


def main():
    """Run both methods on two checkpoints and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--modeldir", default="data/6tasks_pretrained", help="model directory (default: %(default)s)")
    parser.add_argument("--pairs", type=int, default=5, help="pairs of measurements (default: %(default)s)")
    options = parser.parse_args()
    hp, trials = load_hp(options.modeldir), checkpoint_trials(options.modeldir)
    task = task_input(RULE, hp)
    print(f"{'trial':>8s} {'eigenvalues s':>14s} {'plain s':>9s} {'here s':>9s} {'ratio':>7s}  converged plain, here")
    for trial_num in (trials[len(trials) // 2], trials[-1]):
        with threadpool_limits(1, user_api="blas"):
            network, pairs = network_at(hp, options.modeldir, trial_num), []
            shared(network, task)
            for _ in range(options.pairs):
                (values, n_plain), plain_s = seconds(plain, network, task)
                (own_values, n_here), here_s = seconds(shared, network, task)
                pairs.append((plain_s, here_s, plain_s / here_s))
                assert np.abs(values[:2] - own_values[:2]).max() < 1e-8
            drive = network.drive(task.held(EPOCH))
            end, _ = plain_newton(network, drive, network.run(task.inputs)[task.go - 1, 0])
            jacobian = network.jacobian(end, drive)
            eigen_s = statistics.median(seconds(sorted_eigenvalues, jacobian)[1] for _ in range(options.pairs))
        plain_s, here_s, ratio = (statistics.median(column) for column in zip(*pairs, strict=True))
        print(f"{trial_num:8d} {eigen_s:14.3f} {plain_s:9.3f} {here_s:9.3f} {ratio:6.1f}x  {n_plain}, {n_here}")


if __name__ == "__main__":
    main()
