"""Measure how much faster training is than in a plain implementation, and how much memory it takes.

    python -m benchmarks.training [--pairs 7] [--intervals 4]      speed, about 4 minutes on two cores
    python -m benchmarks.training --saves 500                      memory over 500 checkpoints (Linux)

The plain implementation is the network as it is usually written: one while_loop over the concatenated [x, h], noise
drawn in each step, gradients from tf.gradients, 16 separate batches to evaluate a rule, trials built one by one, and
the description of the graph written with every checkpoint. The plain implementation and the package run in two
processes and are measured in turn. The ratio (plain time / time of the package) is the median over pairs. The limit is
the time that the matrix products alone would take at the best rate of this machine; "at limit" is the ratio that a
program at this limit would have.
"""

import argparse
import contextlib
import json
import multiprocessing
import os
import resource
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from rnn_maturation.hyperparameters import (
    N_EVALUATION_BATCHES,
    PAPER_DISPLAY_STEP,
    PAPER_HP,
    PAPER_RULESET,
    complete_hp,
)
from rnn_maturation.task import TAIL, TASKS, generate_trials, get_dist, get_rule_index, rules_dict

RULES = rules_dict[PAPER_RULESET]
HP = {**PAPER_HP, "target_perf": 1.0}  # training does not end by itself


# ---------------------------------------------------------------------------------------- the plain implementation


def plain_trials(rule, hp, batch_size):
    """Return x, y and the cost mask of a batch, built trial by trial."""
    from rnn_maturation.task import TAIL, TASKS, antisaccade

    rng, dt, n_ring = hp["rng"], hp["dt"], hp["n_eachring"]
    task = TASKS[rule]
    start, epochs = 0, {}
    for name, duration in task.epochs.items():
        epochs[name] = (start, start + int(duration / dt))
        start = epochs[name][1]
    epochs["go1"] = (start, start + int(TAIL / dt))
    n_time = epochs["go1"][1]
    fixation_off, response_on = epochs[task.fixation_off][0], epochs[task.response_on or "go1"][0]
    preferred = np.arange(n_ring) * 2 * np.pi / n_ring
    locations = rng.rand(batch_size) * 2 * np.pi
    angular_offset = np.pi if task.draw is antisaccade else 0
    offset = rng.choice(np.arange(1, n_ring)) * 2 * np.pi / n_ring if rule == "odrd" else None
    x = np.zeros((n_time, batch_size, hp["n_input"]), np.float32)
    y = np.full((n_time, batch_size, hp["n_output"]), 0.05, np.float32)
    mask = np.zeros((n_time, batch_size, hp["n_output"]), np.float32)
    grace = int(100 / dt)

    def bump(direction):
        return 0.8 * np.exp(-((get_dist(direction - preferred) / (np.pi / 8)) ** 2) / 2)

    for i in range(batch_size):
        x[:fixation_off, i, 0] = 1
        y[:response_on, i, 0] = 0.8
        x[slice(*epochs["stim1"]), i, 1 : 1 + n_ring] += bump(locations[i])
        if offset is not None:
            x[slice(*epochs["distract1"]), i, 1 : 1 + n_ring] += bump(locations[i] + offset)
        y[response_on:, i, 1:] += bump(locations[i] + angular_offset)
        mask[grace:response_on, i, :] = 1
        mask[response_on + grace :, i, :] = 5
    mask[:, :, 0] *= 2
    x[:, :, get_rule_index(rule, hp)] = 1
    x += rng.randn(*x.shape) * hp["sigma_x"] * np.sqrt(2 / hp["alpha"])
    return x, y, mask.reshape(-1, hp["n_output"])


class PlainNetwork:
    """The leaky RNN of the package's `Model` in the plain implementation, with the same initial weights."""

    def __init__(self, hp):
        from rnn_maturation.network import Model
        from rnn_maturation.tensorflow1 import tf, tf1

        model = Model("unused", hp=hp)  # draws the initial weights
        with tf1.Session() as session:
            model.initialize()
            initial = session.run(model.var_list)
        tf1.reset_default_graph()
        self.hp = hp
        n_rnn, n_out, alpha = hp["n_rnn"], hp["n_output"], hp["alpha"]
        sigma = hp["sigma_rec"] * np.sqrt(2 / alpha)
        self.variables = [tf1.get_variable(f"v{i}", initializer=value) for i, value in enumerate(initial)]
        kernel, bias, w_out, b_out = self.variables
        self.x = tf1.placeholder(tf.float32, [None, None, hp["n_input"]])
        self.y = tf1.placeholder(tf.float32, [None, None, n_out])
        self.c_mask = tf1.placeholder(tf.float32, [None, n_out])
        n_time, n_trials = tf.shape(self.x)[0], tf.shape(self.x)[1]
        inputs = tf1.TensorArray(tf.float32, n_time).unstack(self.x)

        def body(t, h, outputs):
            z = tf.matmul(tf.concat([inputs.read(t), h], 1), kernel) + bias
            z += tf.random.normal(tf.shape(h), 0.0, sigma)
            h = (1 - alpha) * h + alpha * tf.nn.softplus(z)
            return t + 1, h, outputs.write(t, h)

        start = (0, tf.zeros([n_trials, n_rnn]), tf1.TensorArray(tf.float32, n_time))
        self.h = tf1.while_loop(lambda t, *_: t < n_time, body, start)[-1].stack()
        self.y_hat = tf.sigmoid(tf.matmul(tf.reshape(self.h, [-1, n_rnn]), w_out) + b_out)
        self.cost = tf.reduce_mean(tf.square((tf.reshape(self.y, [-1, n_out]) - self.y_hat) * self.c_mask))
        self.cost_reg = tf.constant(0.0)
        self.gradients = tf1.gradients(self.cost, self.variables)
        clipped = [(tf.clip_by_value(g, -1, 1), v) for g, v in zip(self.gradients, self.variables, strict=True)]
        self.train_step = tf1.train.AdamOptimizer(hp["learning_rate"]).apply_gradients(clipped)
        self.saver = tf1.train.Saver(max_to_keep=None)
        self.session = tf1.Session()
        self.session.run(tf1.global_variables_initializer())

    def feed(self, trials):
        return dict(zip((self.x, self.y, self.c_mask), trials, strict=True))

    def evaluate(self, rule):
        for _ in range(N_EVALUATION_BATCHES):
            trials = plain_trials(rule, self.hp, self.hp["batch_size_test"] // N_EVALUATION_BATCHES)
            self.session.run([self.cost, self.cost_reg, self.y_hat], self.feed(trials))

    def step(self, rule):
        self.session.run(self.train_step, self.feed(plain_trials(rule, self.hp, self.hp["batch_size_train"])))


# ------------------------------------------------------------------------------------------------ the two workers


def seconds(action):
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def run_hp():
    rng = np.random.RandomState(0)
    rules = {"rule_trains": RULES, "rules": RULES, "rule_probs": [1 / len(RULES)] * len(RULES)}
    return complete_hp({**HP, **rules, "ruleset": PAPER_RULESET, "seed": 0, "rng": rng})


def plain_worker(requests):
    hp = run_hp()
    network = PlainNetwork(hp)
    folder = tempfile.TemporaryDirectory()

    def interval():
        for rule in RULES:
            network.evaluate(rule)
        network.saver.save(network.session, os.path.join(folder.name, "model.ckpt"))
        for _ in range(PAPER_DISPLAY_STEP):
            network.step(hp["rng"].choice(RULES, p=hp["rule_probs"]))

    serve(
        requests,
        {
            "step": lambda rule: seconds(lambda: network.step(rule)),
            "evaluation": lambda rule: seconds(lambda: network.evaluate(rule)),
            "interval": lambda _: seconds(interval),
        },
    )


def fast_worker(requests):
    from rnn_maturation import train as training
    from rnn_maturation.network import Model, gen_feed_dict, session_config
    from rnn_maturation.tensorflow1 import tf1

    hp = run_hp()
    model = Model("unused", hp=hp)
    session = tf1.Session(config=session_config())
    with session.as_default():
        model.initialize()
    folder = tempfile.TemporaryDirectory()
    steps_done = [0]

    def step(rule):
        trial = generate_trials(rule, hp, "random", batch_size=hp["batch_size_train"])
        session.run([model.train_step, model.cost_lsq], {**gen_feed_dict(model, trial, hp), model.noise_seed: [0, 1]})

    def evaluate(rule):
        training.evaluate_rule(session, model, rule, training.evaluation_trials(rule, hp), step=0)

    def interval(n_intervals):
        """Return the times (s) of the next intervals of a run that each call resumes; the first one warms up."""
        steps_done[0] += PAPER_DISPLAY_STEP * (n_intervals + 1)
        with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere):
            log = training.train(folder.name, hp=HP, max_steps=steps_done[0], display_step=PAPER_DISPLAY_STEP)
        return np.diff(log["times"])[-n_intervals:].tolist()

    serve(
        requests,
        {
            "step": lambda rule: seconds(lambda: step(rule)),
            "evaluation": lambda rule: seconds(lambda: evaluate(rule)),
            "interval": interval,
        },
    )


def serve(requests, actions):
    """Answer each request (action, argument) with its result, and the last one, None, with the peak memory (MB)."""
    while (request := requests.recv()) is not None:
        action, argument = request
        requests.send(actions[action](argument))
    requests.send(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024**2 if sys.platform == "darwin" else 1024))


def matrix_rate():
    """Return the best rate of large float32 products on all cores, in operations per second."""
    from rnn_maturation.tensorflow1 import tf, tf1

    n, repeats = 2048, 8
    factor = tf1.placeholder(tf.float32, [n, n])
    product = factor
    for _ in range(repeats):
        product = tf.matmul(product, factor)
    with tf1.Session() as session:
        value = np.eye(n, dtype=np.float32)
        session.run(product.op, {factor: value})
        times = [seconds(lambda: session.run(product.op, {factor: value})) for _ in range(7)]
    return 2 * n**3 * repeats / statistics.median(times)


def matrix_worker(requests):
    requests.send(matrix_rate())


def operations(rule, hp, n_trials, training):
    """Return the number of floating-point operations in the matrix products of a training step or an evaluation."""
    n_time = sum(int(ms / hp["dt"]) for ms in (*TASKS[rule].epochs.values(), TAIL))
    forward = hp["n_rnn"] * (hp["n_rnn"] + hp["n_input"] + hp["n_output"])
    backward = hp["n_rnn"] * (2 * hp["n_rnn"] + hp["n_input"] + 2 * hp["n_output"]) if training else 0
    return 2 * n_time * n_trials * (forward + backward)


# ------------------------------------------------------------------------------------------------ reports


def start(worker):
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=worker, args=(there,), daemon=True)
    process.start()
    return here


def ask(worker, action, argument):
    worker.send((action, argument))
    return worker.recv()


def row(label, plain, fast, limit):
    ratio = statistics.median(p / f for p, f in zip(plain, fast, strict=True))
    plain, fast = statistics.median(plain), statistics.median(fast)
    times = f"{plain * 1e3:9.1f} {fast * 1e3:9.1f} {limit * 1e3:9.1f}"
    print(f"{label:22s} {times} {ratio:8.2f} {plain / limit:8.2f}", flush=True)


def compare_speed(n_pairs, n_intervals):
    hp = run_hp()
    rate = start(matrix_worker).recv()
    print(f"{os.cpu_count()} cores, large float32 products at {rate / 1e9:.0f} GFLOP/s; times in ms, medians")
    print(f"{'':22s} {'plain':>9s} {'package':>9s} {'limit':>9s} {'ratio':>8s} {'at limit':>8s}")
    plain, fast = start(plain_worker), start(fast_worker)
    limits = {}
    actions = [("step", hp["batch_size_train"], True), ("evaluation", hp["batch_size_test"], False)]
    for action, n_trials, training in actions:
        for rule in RULES:
            ask(plain, action, rule), ask(fast, action, rule)  # warm up
            pairs = [(ask(plain, action, rule), ask(fast, action, rule)) for _ in range(n_pairs)]
            limits[action, rule] = operations(rule, hp, n_trials, training) / rate
            row(f"{action} {rule}", *zip(*pairs, strict=True), limits[action, rule])
    ask(plain, "interval", None)
    pairs = []
    for _ in range(n_intervals):
        pairs.append((ask(plain, "interval", None), ask(fast, "interval", 1)[0]))
    steps = PAPER_DISPLAY_STEP * statistics.mean(limits["step", rule] for rule in RULES)
    row("1,280-trial interval", *zip(*pairs, strict=True), steps + sum(limits["evaluation", rule] for rule in RULES))
    for name, worker in (("plain", plain), ("package", fast)):
        worker.send(None)
        print(f"peak memory, {name}: {worker.recv():.0f} MB")


def resident_mb():
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024


def measure_memory(n_saves):
    """Print the resident memory during a run of 256 units with a checkpoint after every step."""
    from rnn_maturation import model_directory
    from rnn_maturation.train import train

    memory = []
    save_log = model_directory.save_log

    def save_log_and_measure(log, *arguments):
        save_log(log, *arguments)
        memory.append(resident_mb())

    model_directory.save_log = save_log_and_measure
    with tempfile.TemporaryDirectory() as folder, open(os.devnull, "w") as nowhere:
        with contextlib.redirect_stdout(nowhere):
            train(folder, hp={**HP, "batch_size_test": 64}, max_steps=n_saves, display_step=1)
    early = min(50, n_saves // 2)
    print(json.dumps({"saves": n_saves, f"MB after {early}": round(memory[early]), "MB at the end": round(memory[-1])}))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=7, help="pairs of measurements per row (default: %(default)s)")
    parser.add_argument(
        "--intervals", type=int, default=4, help="pairs of measured 1,280-trial intervals (default: %(default)s)"
    )
    parser.add_argument("--saves", type=int, help="measure memory over this number of checkpoints instead of speed")
    options = parser.parse_args()
    if options.saves:
        measure_memory(options.saves)
    else:
        compare_speed(options.pairs, options.intervals)


if __name__ == "__main__":
    main()
