"""Train a network, with a checkpoint every few steps so that its maturation can be followed, and evaluate it."""

import contextlib
import math
import numbers
import os
import queue
import shutil
import sys
import threading
import time
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from rnn_maturation import model_directory, resume
from rnn_maturation.checkpoint import slim_checkpoint
from rnn_maturation.checks import check_path, check_whole_number, quoted
from rnn_maturation.files import lock, refuse_link
from rnn_maturation.hyperparameters import N_EVALUATION_BATCHES, PAPER_RULESET, complete_hp, get_default_hp
from rnn_maturation.network import Model, gen_feed_dict, get_perf, session_config
from rnn_maturation.stages import STAGES
from rnn_maturation.task import Trial, generate_evaluation, generate_trials, rule_name, rules_dict
from rnn_maturation.tensorflow1 import tf, tf1

__all__ = ["TrainingDiverged", "do_eval", "get_default_hp", "train"]

TRAINABLES = {  # which variables are trained: a test of the name of a variable
    "all": lambda name: True,
    "input": lambda name: "input" in name and "rnn" not in name,
    "rule": lambda name: "rule_input" in name,
}
GROWTH = ("=>E", "E=>MID", "MID=>A", "MATURE")  # by the number of stage targets that performance exceeds


class TrainingDiverged(ArithmeticError):
    """The cost is no longer a finite number."""


def train(
    model_dir,
    hp=None,
    max_steps=1e7,
    display_step=500,
    ruleset=PAPER_RULESET,
    rule_trains=None,
    rule_prob_map=None,
    seed=0,
    load_dir=None,
    trainables=None,
    overwrite=False,
    threads=None,
    slim=False,
):
    """Train a network until every rule performs better than hp['target_perf'].

    Every `display_step` steps the network is evaluated, the results are added to log.json, and a checkpoint is saved in
    a folder named after the number of training trials. If `train` is called again with the same arguments, an
    unfinished run is resumed from its last checkpoint and gives the same numbers as a run without interruption. A
    finished run is left as it is.

    Parameters
    ----------
    model_dir : str or Path
        Folder of the run.
    hp : dict, optional
        Hyper-parameters that differ from `get_default_hp(ruleset)`.
    max_steps : int
        Maximum number of training steps, after which training ends even if the target is not reached.
    display_step : int
        Number of training steps between two checkpoints.
    ruleset : str
        Key of `task.rules_dict`.
    rule_trains : list of str, optional
        Rules to train; by default all rules of the rule set.
    rule_prob_map : dict, optional
        {rule: relative frequency}. A rule without an entry has the relative frequency 1. Rules that are not trained are
        ignored with a warning.
    seed : int
        Seed of initial weights, trials and noise.
    load_dir : str or Path, optional
        Checkpoint folder from which the initial weights and the optimizer's state are read. The run begins with step 0
        and an empty log.
    trainables : {'all', 'input', 'rule'}, optional
        Variables to train: all; the sensory and rule input weights; or the rule input weights. The last two need
        use_separate_input.
    overwrite : bool
        Delete the run that is in model_dir and train it again from the beginning.
    threads : int, optional
        Number of processor cores to use; by default all.
    slim : bool
        Keep the optimizer's state only in the newest checkpoint, from which training can be resumed. The other
        checkpoints that this call writes then take a third of the disk space. Results do not change.

    Returns
    -------
    dict
        The log: see `do_eval`.

    Raises
    ------
    ValueError
        If settings are wrong, or differ from the settings with which the run in model_dir was started.
    FileNotFoundError
        If load_dir has no checkpoint.
    TrainingDiverged
        If the cost is no longer finite. The last good checkpoint is kept.
    ModelDirectoryInUse
        If another process trains in model_dir.
    KeyboardInterrupt, SystemExit
        After Ctrl-C or SIGTERM. The run has been saved in its present state.
    """
    check_path("model_dir", model_dir)
    if load_dir is not None:
        check_path("load_dir", load_dir)
    hp = _complete_settings(hp, ruleset, rule_trains, rule_prob_map, seed)
    max_steps = check_whole_number("max_steps", max_steps, floats=True)
    display_step = check_whole_number("display_step", display_step, floats=True)
    if threads is not None:
        threads = check_whole_number("threads", threads)
    trainables = trainables or "all"
    if trainables not in list(TRAINABLES):
        raise ValueError(f"trainables is {quoted(trainables)}: choose one of {', '.join(TRAINABLES)}")
    if trainables != "all" and not hp["use_separate_input"]:
        raise ValueError(f"trainables {trainables!r} needs a network with use_separate_input=True: set it in hp")
    settings = {
        "display_step": display_step, "trainables": trainables, "load_dir": load_dir and os.fspath(load_dir)
    }  # fmt: skip

    with lock(model_dir):
        if overwrite:
            resume.delete_run(model_dir, load_dir)
        log = resume.begin(model_dir, hp)
        if log["trials"] and log["perf_min"][-1] > hp["target_perf"]:
            shutil.rmtree(
                Path(model_dir) / resume.INTERRUPTED, ignore_errors=True
            )  # left by a process that was killed just before its end
            print(
                f"{model_dir}: this run has already reached its target, after {log['trials'][-1]} trials. To train it "
                "again from the beginning, use --overwrite (overwrite=True)"
            )
            return log
        model = Model(model_dir, hp=hp)
        with tf1.Session(config=session_config(threads)) as sess:
            _set_start(model, log, load_dir)
            _set_trained_variables(model, trainables)
            step = resume.go_on(model, log, settings) if log["trials"] else 0
            TrainingLoop(sess, model, log, settings, slim).run(step, max_steps)
    return log


# ------------------------------------------------------------------------------------------------ settings


def _complete_settings(hp, ruleset, rule_trains, rule_prob_map, seed):
    """Return the complete hp of a run, with its random generator of trials."""
    if hp is not None and not isinstance(hp, dict):
        raise ValueError(f"hp must be a dict of hyper-parameters, got {quoted(hp)}")
    given = {"ruleset": ruleset, **(hp or {}), "seed": seed}
    for key in ("rules", "rule_probs", "rng"):  # they follow from the arguments of train
        given.pop(key, None)
    if rule_trains is not None:
        given["rule_trains"] = [rule_trains] if isinstance(rule_trains, str) else rule_trains
    given = complete_hp(given)
    rules = given.get("rule_trains") or rules_dict[given["ruleset"]]
    return complete_hp({
        **given,
        "rule_trains": rules,
        "rules": rules,
        "rule_probs": _rule_probs(rules, {} if rule_prob_map is None else rule_prob_map),
        "rng": np.random.RandomState(seed),
    })  # fmt: skip


def _rule_probs(rules, rule_prob_map):
    """Return the probability of each rule, (number of rules,), from relative frequencies."""
    if not isinstance(rule_prob_map, dict):
        raise ValueError(f"rule_prob_map must be a dict {{rule: relative frequency}}, not {quoted(rule_prob_map)}")
    unknown = [rule for rule in rule_prob_map if rule not in rule_name]
    if unknown:
        raise ValueError(
            f"rule_prob_map names {quoted(unknown)}, which are not rules; the rules to train are {', '.join(rules)}"
        )
    untrained = [rule for rule in rule_prob_map if rule not in rules]
    if untrained:
        warnings.warn(
            f"rule_prob_map names {', '.join(untrained)}, which this run does not train: ignored.", stacklevel=4
        )
    weights = [rule_prob_map.get(rule, 1.0) for rule in rules]
    if not all(isinstance(w, numbers.Real) and 0 <= w < math.inf for w in weights) or sum(weights) == 0:
        raise ValueError(
            f"rule_prob_map must have frequencies of at least 0 that are not all 0, not {quoted(rule_prob_map)}"
        )
    weights = np.array(weights, dtype=float)
    return weights / weights.sum()


def _holds_weights(hp):
    """Return whether weights are held near their initial values."""
    return hp["l2_weight_init"] > 0 or (hp["p_weight_train"] is not None and hp["p_weight_train"] < 1)


def _set_start(model, log, load_dir):
    """Set the variables to the values with which the run started, if the run still needs these."""
    model.initialize()
    if log["trials"]:
        if _holds_weights(model.hp):
            model.restore(Path(model.model_dir) / str(log["trials"][0]))
    elif load_dir is not None:
        model.restore(load_dir)


def _set_trained_variables(model, trainables):
    """Choose the variables to train, and add to cost_reg the penalties that hold weights near their present values.

    If hp['p_weight_train'] is p, a random fraction 1 - p of the weights is held. It is drawn with hp['rng'].
    """
    hp, p_train = model.hp, model.hp["p_weight_train"]
    if _holds_weights(hp):
        initial = tf1.get_default_session().run(model.weight_list)
        moved = [w - value for w, value in zip(model.weight_list, initial, strict=True)]
        extra_cost = hp["l2_weight_init"] * tf.add_n([tf.nn.l2_loss(w) for w in moved])
        if p_train is not None and p_train < 1:
            held = []
            for weights in moved:
                order = np.linspace(0, 1, weights.shape.num_elements())
                hp["rng"].shuffle(order)
                strength = np.where(order > p_train, 0.1, 0.0).reshape(weights.shape).astype(np.float32)
                held.append(tf.nn.l2_loss(weights * strength))
            extra_cost += tf.add_n(held)
        model.cost_reg += extra_cost
    if _holds_weights(hp) or trainables != "all":
        model.set_optimizer(var_list=[v for v in model.var_list if TRAINABLES[trainables](v.op.name)])


# ------------------------------------------------------------------------------------------------ the loop


@dataclass
class Work:
    """One batch to train on, or the trials on which one rule is evaluated.

    Attributes
    ----------
    step : int
        Number of training steps that precede it.
    rule : str
        Rule of the trials.
    is_evaluation : bool
    trial : Trial
    rng_before, rng_after : tuple
        State of the random generator of the trials before and after `trial` was drawn.
    """

    step: int
    rule: str
    is_evaluation: bool
    trial: Trial
    rng_before: tuple
    rng_after: tuple


class TrainingLoop:
    """The loop of a run: training steps, evaluations, log and checkpoints.

    Parameters
    ----------
    sess : tf.compat.v1.Session
    model : Model
    log : dict
    settings : dict
        display_step, trainables and load_dir, see `train`. They are saved with each checkpoint.
    slim : bool
        See `train`.
    """

    def __init__(self, sess, model, log, settings, slim):
        self.sess, self.model, self.log, self.settings, self.slim = sess, model, log, settings, slim
        self.folder, self.batch_size = Path(model.model_dir), model.hp["batch_size_train"]
        self._start = time.monotonic() - (log["times"][-1] if log["times"] else 0)
        self._evaluations = []  # in this evaluation: (work, (cost, regularization, performance)) of each rule so far

    def run(self, step, max_steps):
        """Train from a step on, until the target or max_steps is reached, or a stop is requested.

        Parameters
        ----------
        step : int
            Number of training steps that have been done.
        max_steps : int
            Maximum number of training steps, those before `step` included.
        """
        log, hp, batch_size = self.log, self.model.hp, self.batch_size
        evaluated = bool(log["trials"]) and log["trials"][-1] == step * batch_size
        schedule = _schedule(hp, self.settings["display_step"], step, evaluated, max_steps)
        last = None
        progress = tqdm(initial=step * batch_size, unit=" trials", unit_scale=True, disable=None, dynamic_ncols=True)
        with resume.StopRequests() as stop, _ahead(schedule) as works, progress:
            for work in works:
                if stop.signal is not None:
                    self._interrupt(work)
                    return
                if not work.is_evaluation:
                    self._train_step(work)
                    progress.update(batch_size)
                elif self._evaluate(work):
                    progress.set_postfix({rule: f"{log['perf_' + rule][-1]:.2f}" for rule in hp["rules"]})
                    if log["perf_min"][-1] > hp["target_perf"]:
                        tqdm.write(f"every rule performs better than {hp['target_perf']}: training is complete")
                        return
                last = work
            if last is not None and not last.is_evaluation:
                self._save_interruption(max_steps, last.rng_after)
            tqdm.write(
                f"{self.folder}: ended at max_steps ({max(step, max_steps) * batch_size} trials) without reaching its "
                f"target {hp['target_perf']}; to continue from here, give a larger max_steps (--max_trials)"
            )

    def _train_step(self, work):
        model, hp = self.model, self.model.hp
        feed = {**gen_feed_dict(model, work.trial, hp), model.noise_seed: [hp["seed"], work.step]}
        _, cost = self.sess.run([model.train_step, model.cost_lsq], feed)
        _check_finite(model, cost, work.rule, work.step)

    def _evaluate(self, work):
        """Evaluate a rule; after the last one, log and save. Return whether it was the last one."""
        hp, log = self.model.hp, self.log
        self._evaluations.append((work, evaluate_rule(self.sess, self.model, work.rule, work.trial, work.step)))
        if len(self._evaluations) < len(hp["rules"]):
            return False
        log["trials"].append(work.step * self.batch_size)
        log["times"].append(time.monotonic() - self._start)
        do_eval(self.sess, self.model, log, hp["rule_trains"], [result for _, result in self._evaluations])
        self._evaluations = []
        self._save(work)
        return True

    def _save(self, work):
        """Write the checkpoint first and then the log, so that the log never names a missing checkpoint."""
        self._write(str(self.log["trials"][-1]), work.step, work.rng_after, self.slim)
        model_directory.save_log(self.log)
        shutil.rmtree(self.folder / resume.INTERRUPTED, ignore_errors=True)
        if self.slim:
            for trials in self.log["trials"][-3:-1]:  # two, because a kill may have interrupted slimming the first
                older = self.folder / str(trials)
                refuse_link(older)
                # the state file is deleted first: training must not resume without the optimizer's variables
                (older / resume.STATE_FILE).unlink(missing_ok=True)
                slim_checkpoint(older)

    def _interrupt(self, work):
        """Save the run as it was before `work` or, if an evaluation has begun, before that evaluation."""
        self._save_interruption(work.step, (self._evaluations[0][0] if self._evaluations else work).rng_before)
        tqdm.write(
            f"{self.folder}: stopped and saved at trial {work.step * self.batch_size}; the same command resumes the run"
        )

    def _save_interruption(self, step, rng_state):
        shutil.rmtree(self.folder / resume.INTERRUPTED, ignore_errors=True)
        self._write(resume.INTERRUPTED, step, rng_state)

    def _write(self, name, step, rng_state, slimmable=False):
        """Write a checkpoint with everything that is needed to resume from it."""
        if not self.folder.is_dir():  # a new folder would get only a part of the run
            raise FileNotFoundError(
                f"{self.folder} was removed or renamed while this run wrote to it. Put it back and give the same "
                "command again to resume from its last checkpoint. If the folder is lost, this command starts a new run"
            )
        state = resume.state_text(self.settings, step, rng_state)
        self.model.save(self.folder / name, {resume.STATE_FILE: state}, slimmable)


def _schedule(hp, display_step, step, evaluated, max_steps):
    """Yield all batches of a run in the order of their draws from hp['rng'], up to max_steps."""
    rng = hp["rng"]

    def work(rule, is_evaluation):
        before = rng.get_state()
        if is_evaluation:
            trial = evaluation_trials(rule, hp)
        else:
            rule = rng.choice(hp["rule_trains"], p=hp["rule_probs"])
            trial = generate_trials(rule, hp, "random", batch_size=hp["batch_size_train"])
        return Work(step, rule, is_evaluation, trial, before, rng.get_state())

    while True:
        if step % display_step == 0 and not evaluated:
            for rule in hp["rules"]:
                yield work(rule, True)
        evaluated = False
        if step >= max_steps:
            return
        yield work(None, False)
        step += 1


@contextlib.contextmanager
def _ahead(items, n_ahead=3):
    """Iterate over items while a thread computes the next n_ahead of them."""
    waiting, stopped, end = queue.Queue(n_ahead), threading.Event(), object()

    def put(item):
        while not stopped.is_set():
            try:
                return waiting.put(item, timeout=0.1)
            except queue.Full:
                continue

    def produce():
        try:
            for item in items:
                put((item, None))
                if stopped.is_set():
                    return
            put((end, None))
        except BaseException as error:  # raised again where the items are used
            put((end, error))

    def consume():
        while True:
            item, error = waiting.get()
            if error is not None:
                raise error
            if item is end:
                return
            yield item

    thread = threading.Thread(target=produce, daemon=True)
    thread.start()
    try:
        yield consume()
    finally:
        stopped.set()
        thread.join()


# ------------------------------------------------------------------------------------------------ evaluation


def evaluation_trials(rule, hp):
    """Draw the trials on which a rule is evaluated, all batches in one Trial.

    Parameters
    ----------
    rule : str
    hp : dict

    Returns
    -------
    task.Trial
    """
    return generate_evaluation(rule, hp, hp["batch_size_test"] // N_EVALUATION_BATCHES, N_EVALUATION_BATCHES)


def evaluate_rule(sess, model, rule, trial, step=None):
    """Compute cost, regularization and performance of a rule.

    Parameters
    ----------
    sess : tf.compat.v1.Session
    model : Model
    rule : str
    trial : task.Trial
        See `evaluation_trials`.
    step : int, optional
        Number of training steps that have been done. It determines the recurrent noise, which by default is drawn anew.

    Returns
    -------
    tuple of three floats
        Cost, regularization and performance: means over the batches.

    Raises
    ------
    TrainingDiverged
        If the cost is not finite.
    """
    hp = model.hp
    feed = gen_feed_dict(model, trial, hp)
    if step is not None:  # negative, because the seeds of training steps are 0, 1, 2 …
        feed[model.noise_seed] = [hp["seed"], -1 - step * len(hp["rules"]) - hp["rules"].index(rule)]
    (cost, y_hat, l2_h), cost_reg = sess.run([model.evaluation, model.cost_reg], feed)
    _check_finite(model, cost + cost_reg, rule, step)
    # l2_h is the only cost that is a sum over trials; this makes it the mean over the batches
    cost_reg -= l2_h * (1 - 1 / N_EVALUATION_BATCHES)
    return float(cost), float(cost_reg), float(get_perf(y_hat, trial.y_loc).mean())


def _check_finite(model, cost, rule, step):
    if np.isfinite(cost):
        return
    when = "" if step is None else f" after {step * model.hp['batch_size_train']} trials"
    raise TrainingDiverged(
        f"{model.model_dir}: the cost of {rule} is {cost}{when}; the last good checkpoint is kept. Try a smaller "
        "learning_rate or another seed"
    )


def do_eval(sess, model, log, rule_train, evaluations=None):
    """Evaluate every rule of hp['rules'], print the result and append it to the log.

    Parameters
    ----------
    sess : tf.compat.v1.Session
    model : Model
    log : dict
        Log of the run. The lists 'trials' and 'times' must already contain the entry of this evaluation.
    rule_train : list of str
        Rules over which perf_min and perf_avg are taken.
    evaluations : list of (cost, regularization, performance), optional
        Results of each rule in hp['rules'], if they have been computed already.

    Returns
    -------
    dict
        The log: model_dir, and lists with one entry per evaluation: trials, times (s), cost_<rule>, creg_<rule>,
        perf_<rule>, perf_avg, perf_min, and growth, a dict {rule: one of GROWTH}.
    """
    hp = model.hp
    rule_train = [rule_train] if isinstance(rule_train, str) else list(rule_train)
    if evaluations is None:
        evaluations = [evaluate_rule(sess, model, rule, evaluation_trials(rule, hp)) for rule in hp["rules"]]
    names = ", ".join(rule_name.get(rule, rule) for rule in rule_train)
    tqdm.write(f"Trial {log['trials'][-1]:7d}  | Time {log['times'][-1]:0.2f} s  | Now training {names}")
    growth = {}
    for rule, (cost, cost_reg, performance) in zip(hp["rules"], evaluations, strict=True):
        log.setdefault("cost_" + rule, []).append(cost)
        log.setdefault("creg_" + rule, []).append(cost_reg)
        log.setdefault("perf_" + rule, []).append(performance)
        growth[rule] = GROWTH[sum(performance > hp[f"{stage}_target_perf"] for stage in STAGES)]
        tqdm.write(f"{rule:15s}| cost {cost:0.6f}| c_reg {cost_reg:0.6f}  | perf {performance:0.2f}  | {growth[rule]}")
    sys.stdout.flush()  # so that a file with the output is up to date
    performances = [log["perf_" + rule][-1] for rule in rule_train]
    log.setdefault("perf_avg", []).append(float(np.mean(performances)))
    log.setdefault("perf_min", []).append(float(np.min(performances)))
    log.setdefault("growth", []).append(growth)
    return log
