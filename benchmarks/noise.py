"""What a normal random number costs, drawn in the ways that the program uses and in ways that were tried instead.

    python -m benchmarks.noise [--repeats 9]      half a minute on one core

Recurrent noise, as an evaluation draws it, block by block in a graph: with 32 and with 16 random bits per number, and
with 16 bits that choose a value from a table of the normal distribution's quantiles. Noise of the input, as the trials
draw it: NumPy's own generator, and the same numbers from array operations. Processor time of one thread in ns per
number, medians over repeats in which all ways take turns.
"""

import argparse
import statistics
import time

import numpy as np
from scipy.special import xlogy
from scipy.stats import norm

from rnn_maturation.recurrence import BLOCK, normal_noise
from rnn_maturation.tensorflow1 import tf, tf1

N_STEPS, N_TRIALS, N_UNITS = 185, 256, 256  # a part of an evaluation of odr
N_INPUT_NUMBERS = 2_000_000
CHUNK = 16_384  # pairs of input numbers that are computed at once, so that they stay in the cache


def noise_from_table(shape, seed):
    """Draw normal noise by looking 16 random bits up in a table of quantiles."""
    n_levels = 2**16
    table = tf.constant(norm.ppf((np.arange(n_levels) + 0.5) / n_levels).astype(np.float32))
    size = tf.reduce_prod(shape)
    bits = tf.random.stateless_uniform([(size + 3) // 4], seed, minval=None, maxval=None, dtype=tf.int64)
    levels = tf.cast(tf.reshape(tf.bitcast(bits, tf.uint16), [-1]), tf.int32)
    return tf.reshape(tf.gather(table, levels)[:size], shape)


def recurrent_noise(draw, seed):
    """Return the graph that draws the noise of all steps, a block at a time; it keeps one number of each block."""
    shape = [BLOCK, N_TRIALS, N_UNITS]

    def body(t, total):
        noise = draw(shape, seed + tf.stack([0, tf.cast(t, tf.int64)]))
        return t + BLOCK, total + noise[0, 0, 0]

    return tf1.while_loop(lambda t, _: t < N_STEPS, body, (0, 0.0))[1]


def randn_from_arrays(rng, size):
    """Return rng.randn(size), for an even size, from array operations: the polar method, with the C library's log."""
    numbers = np.empty((size // 2, 2))
    done = 0
    while done < len(numbers):
        n_pairs = min(len(numbers) - done, CHUNK)  # never more than are missing: the generator ends where randn ends
        pairs = 2 * rng.random_sample((n_pairs, 2)) - 1
        squared = pairs[:, 0] ** 2 + pairs[:, 1] ** 2
        accepted = (squared < 1) & (squared != 0)
        pairs, squared = pairs[accepted], squared[accepted]
        factor = np.sqrt(-2 * xlogy(1.0, squared) / squared)
        numbers[done : done + len(pairs)] = pairs[:, ::-1] * factor[:, None]
        done += len(pairs)
    return numbers.ravel()


def measure(ways, repeats):
    """Return {name: median ns per number} of {name: (function, numbers that it draws)}."""
    times = {name: [] for name in ways}
    for _ in range(repeats + 1):
        for name, (draw, n_numbers) in ways.items():
            start = time.process_time()
            draw()
            times[name].append((time.process_time() - start) / n_numbers * 1e9)
    return {name: statistics.median(values[1:]) for name, values in times.items()}  # the first one warms up


def main():
    """Measure all ways and print them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=9, help="default: %(default)s")
    options = parser.parse_args()
    own, arrays = np.random.RandomState(0), np.random.RandomState(0)
    same = np.array_equal(own.randn(N_INPUT_NUMBERS), randn_from_arrays(arrays, N_INPUT_NUMBERS))
    print(f"array operations give NumPy's numbers: {same}")
    seed = tf1.placeholder_with_default(np.array([0, 1], np.int64), [2])
    graphs = {
        "recurrent noise, 32 bits (training)": recurrent_noise(lambda s, k: normal_noise(s, 1.0, k), seed),
        "recurrent noise, 16 bits (evaluation)": recurrent_noise(lambda s, k: normal_noise(s, 1.0, k, True), seed),
        "recurrent noise, 16 bits and a table": recurrent_noise(noise_from_table, seed),
    }
    one_thread = tf1.ConfigProto(intra_op_parallelism_threads=1, inter_op_parallelism_threads=1)
    with tf1.Session(config=one_thread) as session:
        n_recurrent = N_STEPS * N_TRIALS * N_UNITS
        ways = {name: (lambda graph=graph: session.run(graph), n_recurrent) for name, graph in graphs.items()}
        ways["input noise, NumPy's generator"] = (lambda: own.randn(N_INPUT_NUMBERS), N_INPUT_NUMBERS)
        ways["input noise, array operations"] = (lambda: randn_from_arrays(arrays, N_INPUT_NUMBERS), N_INPUT_NUMBERS)
        for name, ns in measure(ways, options.repeats).items():
            print(f"{name:40s} {ns:6.2f} ns per number")


if __name__ == "__main__":
    main()
