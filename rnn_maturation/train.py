"""Training with a checkpoint each few steps, so that a network's maturation can be followed; resuming; evaluation."""

import contextlib
import json
import math
import numbers
import queue
import shutil
import signal
import sys
import threading
import time
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from rnn_maturation import model_directory
from rnn_maturation.files import lock, refuse_link
from rnn_maturation.hyperparameters import changed_keys, complete_hp, get_default_hp
from rnn_maturation.network import Model, gen_feed_dict, get_perf, session_config, slim_checkpoint
from rnn_maturation.task import Trial, generate_evaluation, generate_trials, rule_name, rules_dict

__all__ = ["TrainingDiverged", "do_eval", "get_default_hp", "train"]

N_EVALUATION_BATCHES = 16  # a rule's evaluation: so many batches, each with a distractor offset of its own
STATE_FILE = "training_state.json"  # beside each checkpoint: all else that is needed to go on from it
INTERRUPTED = "interrupted"  # folder of the checkpoint of a run that was stopped between two evaluations
CHECKPOINT_FILES = ("checkpoint", "*.ckpt.*", STATE_FILE, "H_*.pkl", "neuron_info_*.pkl", ".partial-*")
TRAINABLES = {  # which variables train, by name
    "all": lambda name: True,
    "input": lambda name: "input" in name and "rnn" not in name,
    "rule": lambda name: "rule_input" in name,
}


class TrainingDiverged(ArithmeticError):
    """The cost is no longer a finite number."""


@dataclass
class _Work:
    """A batch to train on, or a rule to evaluate, with the trial generator's state before and after its draws."""

    step: int
    rule: str
    is_evaluation: bool
    trial: Trial
    rng_before: tuple
    rng_after: tuple


def train(
    model_dir,
    hp=None,
    max_steps=1e7,
    display_step=500,
    ruleset="all_new",
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

    Every display_step steps the network is evaluated, logged (log.json) and saved in a folder named by the number of
    trials seen. Called again with the same arguments, an unfinished run goes on from its last checkpoint, exactly as if
    it had not been interrupted; a finished one is left as it is.

    Parameters
    ----------
    model_dir : str
    hp : dict, optional
        What differs from `get_default_hp(ruleset)`.
    max_steps : int
        Optimizer steps after which training ends in any case.
    display_step : int
        Steps between two checkpoints.
    ruleset : str
    rule_trains : list of str, optional
        Rules to train; default all of the set.
    rule_prob_map : dict, optional
        {rule: relative frequency}, 1 for rules that are not in it.
    seed : int
        Of initial weights, trials and noise.
    load_dir : str, optional
        Checkpoint folder to start from: weights and optimizer state; steps and log start anew.
    trainables : {'all', 'input', 'rule'}, optional
        Which variables train; the last two need use_separate_input.
    overwrite : bool
        Delete a run that is in model_dir and start anew.
    threads : int, optional
        Processor cores to use, default all.
    slim : bool
        Keep the optimizer's state only in the newest checkpoint, from which training goes on, and take it out of the
        others that this call writes: a third of the disk. The numbers are the same.

    Returns
    -------
    dict
        The log: see `do_eval`.

    Raises
    ------
    ValueError
        For settings that are wrong or differ from those the run in model_dir was started with.
    TrainingDiverged
        When the cost is not finite any more. The last good checkpoint is kept.
    ModelDirectoryInUse
        When another process trains in model_dir.
    KeyboardInterrupt, SystemExit
        After Ctrl-C or SIGTERM, when the run is saved where it stands.
    """
    hp = _complete_settings(hp, ruleset, rule_trains, rule_prob_map, seed)
    _check_counts(display_step=display_step, max_steps=max_steps, threads=1 if threads is None else threads)
    _check_trainables(trainables or "all", hp)
    settings = {
        "display_step": int(display_step), "trainables": trainables or "all", "load_dir": load_dir and str(load_dir)
    }  # fmt: skip
    with lock(model_dir):
        if overwrite:
            _delete_run(model_dir, load_dir)
        _remove_leftovers(model_dir)
        log = _begin(model_dir, hp)
        if log["trials"] and log["perf_min"][-1] > hp["target_perf"]:
            shutil.rmtree(Path(model_dir) / INTERRUPTED, ignore_errors=True)  # if killed at its very end
            print(
                f"{model_dir}: trained to its target already, in {log['trials'][-1]} trials; --overwrite "
                "(overwrite=True) starts anew"
            )
            return log
        model = Model(model_dir, hp=hp)
        with tf.compat.v1.Session(config=session_config(threads)) as sess:
            step = _restore_or_initialize(model, log, settings)
            _run(_Run(sess, model, log, settings, slim), step, int(max_steps))
    return log


# ------------------------------------------------------------------------------------------------ settings


def _complete_settings(hp, ruleset, rule_trains, rule_prob_map, seed):
    """The whole hp of a run, as hp.json keeps it, and its generator of trials."""
    if hp is not None and not isinstance(hp, dict):
        raise ValueError(f"hp must be a dict of hyper-parameters, got {hp!r}")
    given = {"ruleset": ruleset, **(hp or {}), "seed": seed}
    for key in ("rules", "rule_probs", "rng"):  # follow from the others
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
    """Probability of each rule, from relative frequencies."""
    if not isinstance(rule_prob_map, dict):
        raise ValueError(f"rule_prob_map must be a dict of a number for each rule, got {rule_prob_map!r}")
    unknown = sorted(set(rule_prob_map) - set(rules))
    if unknown:
        raise ValueError(f"rule_prob_map names {', '.join(unknown)}; the rules to train are {', '.join(rules)}")
    weights = [rule_prob_map.get(rule, 1.0) for rule in rules]
    if not all(isinstance(w, numbers.Real) and 0 <= w < math.inf for w in weights) or sum(weights) == 0:
        raise ValueError(f"rule_prob_map must hold numbers from 0 on, not all 0; got {rule_prob_map}")
    weights = np.array(weights, dtype=float)
    return weights / weights.sum()


def _check_counts(**counts):
    for name, value in counts.items():
        if isinstance(value, bool) or not isinstance(value, numbers.Real) or not value >= 1 or value % 1 != 0:
            raise ValueError(f"{name} must be a whole number from 1 on, got {value!r}")


def _check_trainables(trainables, hp):
    if trainables not in list(TRAINABLES):
        raise ValueError(f"trainables is {trainables!r}; known are {', '.join(TRAINABLES)}")
    if trainables != "all" and not hp["use_separate_input"]:
        raise ValueError(f"trainables {trainables!r} needs a network with use_separate_input=True")


# ------------------------------------------------------------------------------------------------ begin, resume


def _begin(model_dir, hp):
    """Write hp.json, or compare it with that of the run that is there; the log, empty for a new run."""
    saved = model_directory.load_hp(model_dir) if model_directory.has_hp(model_dir) else None
    log = model_directory.load_log(model_dir) if model_directory.has_log(model_dir) else None
    if saved is None:
        if log is not None or model_directory.checkpoint_trials(model_dir):
            raise ValueError(f"{model_dir} has a run without its hp.json: put the file back, or --overwrite")
        model_directory.save_hp(hp, model_dir)
    else:
        changed = changed_keys(complete_hp(saved), hp)
        if changed:
            differences = ", ".join(f"{key} {old!r} (now {new!r})" for key, (old, new) in changed.items())
            raise ValueError(
                f"{model_dir} holds a run with other hyper-parameters: {differences}. "
                "Use these, another model directory, or --overwrite (overwrite=True)"
            )
    if log is None:
        if any(model_directory.checkpoint_trials(model_dir)):  # checkpoint 0 comes before the first log
            raise ValueError(f"{model_dir} has a run without its log.json: put the file back, or --overwrite")
        return {"model_dir": str(model_dir), "trials": [], "times": [], "growth": []}
    _check_complete(log, hp["rules"])
    return log


def _check_complete(log, rules):
    """Refuse a log that does not have every list of such a run."""
    wanted = ["times", "growth", "perf_avg", "perf_min"]
    wanted += [f"{what}_{rule}" for rule in rules for what in ("cost", "creg", "perf")]
    missing = [key for key in wanted if not isinstance(log.get(key), list)]
    if missing:
        raise ValueError(
            f"{log['model_dir']}/log.json is damaged: it has no {', '.join(missing)}. Restore it from a copy, or "
            "--overwrite (overwrite=True)"
        )


def _delete_run(model_dir, load_dir):
    """Delete what `train` and the analyses wrote into model_dir, and nothing else."""
    folder = Path(model_dir)
    if load_dir is not None and folder.resolve() in Path(load_dir).resolve().parents:
        raise ValueError(f"load_dir {load_dir} is a part of the run to overwrite: copy it elsewhere first")
    for checkpoint in [*folder.glob("[0-9]*"), folder / INTERRUPTED]:
        if checkpoint.is_symlink():
            checkpoint.unlink()  # what it leads to belongs to another run
        elif checkpoint.name.isdigit() or checkpoint.name == INTERRUPTED:
            for file in [file for pattern in CHECKPOINT_FILES for file in checkpoint.glob(pattern)]:
                file.unlink()
            with contextlib.suppress(OSError):  # not there, or something of the user's stays in it
                checkpoint.rmdir()
    for name in ("log.json", "task_info.pkl", "hp.json", "hparams.json"):
        (folder / name).unlink(missing_ok=True)


def _remove_leftovers(model_dir):
    """Remove the checkpoints that killed processes have half written."""
    for pattern in (".[0-9]*-*", f".{INTERRUPTED}-*"):
        for leftover in Path(model_dir).glob(pattern):
            shutil.rmtree(leftover, ignore_errors=True)


def _checkpoints_to_go_on_from(model_dir, log):
    """Folders, newest first: that of an interruption, which may be out of date, and the logged ones."""
    names = [INTERRUPTED, *map(str, log["trials"][::-1])]
    return [folder for folder in (Path(model_dir) / name for name in names) if (folder / STATE_FILE).exists()]


def _read_state(folder):
    path = folder / STATE_FILE
    try:
        state = json.loads(path.read_bytes())
        if state.pop("checksum") == _checksum(state) and _is_sound(**state):
            return state
    except (ValueError, AttributeError, TypeError, KeyError, RecursionError):
        pass
    raise ValueError(f"{path} is damaged; without {folder}, training goes on from the one before")


def _is_sound(step, settings, rng):
    """Whether a state is one that `_state_text` can have written; numpy does not look at where a generator stands."""
    name, keys, position, has_gauss, gauss = rng
    return (
        _is_int(step, 0, 2**53)
        and isinstance(settings, dict)
        and name == "MT19937"
        and len(keys) == 624
        and all(_is_int(key, 0, 2**32 - 1) for key in keys)
        and _is_int(position, 0, 624)
        and _is_int(has_gauss, 0, 1)
        and isinstance(gauss, float)
        and np.isfinite(gauss)
    )


def _is_int(value, low, high):
    return type(value) is int and low <= value <= high


def _checksum(state):
    return zlib.crc32(json.dumps(state).encode())


def _restore_or_initialize(model, log, settings):
    """Bring model, hp['rng'] and log to where the run stands; the step number there."""
    hp, model_dir, batch_size = model.hp, Path(model.model_dir), model.hp["batch_size_train"]
    model.initialize()
    if log["trials"] and _holds_weights(hp):
        model.restore(model_dir / str(log["trials"][0]))
    elif not log["trials"] and settings["load_dir"] is not None:
        model.restore(settings["load_dir"])
    _set_training(model, settings["trainables"])
    if not log["trials"]:
        return 0
    for folder in _checkpoints_to_go_on_from(model_dir, log):
        try:
            state = _read_state(folder)
            trials = state["step"] * batch_size
            if folder.name == INTERRUPTED and trials <= log["trials"][-1]:
                continue  # left by a process that was killed right after logging what came later
            if folder.name not in (INTERRUPTED, str(trials)):
                raise ValueError(f"{folder / STATE_FILE} is of trial {trials}: this checkpoint is damaged")
            model.restore(folder, whole=True)
        except (ValueError, FileNotFoundError) as error:
            print(f"{error}\nGoing back to the checkpoint before it.")
            continue
        if state["settings"] != settings:
            raise ValueError(
                f"{model_dir} holds a run with {state['settings']}, now {settings}: use the same, another model "
                "directory, or --overwrite (overwrite=True)"
            )
        name, keys, *rest = state["rng"]
        hp["rng"].set_state((name, np.array(keys, np.uint32), *rest))
        _cut_log(log, trials)
        print(f"{model_dir}: going on from trial {trials}")
        return state["step"]
    raise ValueError(
        f"{model_dir} has a log but no checkpoint to go on from (a whole one with {STATE_FILE}): start a new run from "
        "one of its checkpoints with load_dir in another directory, or --overwrite (overwrite=True)"
    )


def _cut_log(log, trials):
    """Drop what was logged after a trial number: it will be computed again."""
    n = int(np.searchsorted(log["trials"], trials, side="right"))
    for key, values in log.items():
        if model_directory.is_log_list(key):  # not a list that the user added
            del values[n:]


def _holds_weights(hp):
    """Whether weights are held near their initial values."""
    return hp["l2_weight_init"] > 0 or (hp["p_weight_train"] is not None and hp["p_weight_train"] < 1)


def _set_training(model, trainables):
    """Choose what trains; hold weights near their present values where hp says so."""
    hp = model.hp
    var_list = [v for v in model.var_list if TRAINABLES[trainables](v.op.name)]
    p_train = hp["p_weight_train"]
    extra_cost = None
    if _holds_weights(hp):
        initial = tf.compat.v1.get_default_session().run(model.weight_list)
        moved = [w - value for w, value in zip(model.weight_list, initial, strict=True)]
        extra_cost = hp["l2_weight_init"] * tf.add_n([tf.nn.l2_loss(w) for w in moved])
        if p_train is not None and p_train < 1:
            held = [_held_weights(hp["rng"], value.shape, p_train) for value in initial]
            extra_cost += tf.add_n([tf.nn.l2_loss(w * mask) for w, mask in zip(moved, held, strict=True)])
    if extra_cost is not None or trainables != "all":
        model.set_optimizer(extra_cost, var_list)


def _held_weights(rng, shape, p_train):
    """0.1 for a random part 1 - p_train of the weights, else 0."""
    order = np.linspace(0, 1, int(np.prod(shape)))
    rng.shuffle(order)
    return np.where(order > p_train, 0.1, 0.0).reshape(shape).astype(np.float32)


# ------------------------------------------------------------------------------------------------ the run


def _schedule(hp, display_step, step, evaluated, max_steps):
    """All batches of a run in the order of their draws from hp['rng'], without end before max_steps."""
    rng = hp["rng"]

    def work(generate, is_evaluation):
        before = rng.get_state()
        rule, trial = generate()
        return _Work(step, rule, is_evaluation, trial, before, rng.get_state())

    def training_batch():
        rule = rng.choice(hp["rule_trains"], p=hp["rule_probs"])
        return rule, generate_trials(rule, hp, "random", batch_size=hp["batch_size_train"])

    while True:
        if step % display_step == 0 and not evaluated:
            for rule in hp["rules"]:
                yield work(lambda rule=rule: (rule, _evaluation_trials(rule, hp)), True)
        evaluated = False
        if step >= max_steps:
            return
        yield work(training_batch, False)
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


class _StopRequests:
    """Ctrl-C and SIGTERM let the current session run end and act at the end of the block; a second one acts at once."""

    def __init__(self):
        self.signal = None

    def __enter__(self):
        self._previous = {}
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._previous[number] = signal.signal(number, self._request)
        return self

    def __exit__(self, error_type, *_):
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        if error_type is None and self.signal == signal.SIGINT:
            raise KeyboardInterrupt
        if error_type is None and self.signal is not None:
            sys.exit(128 + self.signal)

    def _request(self, number, _):
        if self.signal is not None:
            raise KeyboardInterrupt
        self.signal = number


def _run(run, step, max_steps):
    """Train from a step on, until the target, max_steps, or a request to stop."""
    log, hp, batch_size = run.log, run.model.hp, run.batch_size
    evaluated = bool(log["trials"]) and log["trials"][-1] == step * batch_size
    schedule = _schedule(hp, run.settings["display_step"], step, evaluated, max_steps)
    last = None
    progress = tqdm(initial=step * batch_size, unit=" trials", unit_scale=True, disable=None, dynamic_ncols=True)
    with _StopRequests() as stop, _ahead(schedule) as works, progress:
        for work in works:
            if stop.signal is not None:
                run.interrupt(work)
                return
            if not work.is_evaluation:
                run.train_step(work)
                progress.update(batch_size)
            elif run.evaluate(work):
                progress.set_postfix({rule: f"{log['perf_' + rule][-1]:.2f}" for rule in hp["rules"]})
                if log["perf_min"][-1] > hp["target_perf"]:
                    tqdm.write(f"every rule performs better than {hp['target_perf']}: training is complete")
                    return
            last = work
        if last is not None and not last.is_evaluation:
            run.save_interruption(max_steps, last.rng_after)
        tqdm.write(
            f"{run.folder}: ended at max_steps, {max(step, max_steps) * batch_size} trials, before its target "
            f"{hp['target_perf']}; a larger max_steps (--max_trials) goes on from here"
        )


class _Run:
    """What each batch of a run does to its network, log and files."""

    def __init__(self, sess, model, log, settings, slim):
        self.sess, self.model, self.log, self.settings, self.slim = sess, model, log, settings, slim
        self.folder, self.batch_size = Path(model.model_dir), model.hp["batch_size_train"]
        self._start = time.monotonic() - (log["times"][-1] if log["times"] else 0)
        self._evaluations = []  # of the rules evaluated so far at this step: work, numbers

    def train_step(self, work):
        hp, model = self.model.hp, self.model
        feed = {**gen_feed_dict(model, work.trial, hp), model.noise_seed: [hp["seed"], work.step]}
        _, cost = self.sess.run([model.train_step, model.cost_lsq], feed)
        _check_finite(model, cost, work)

    def evaluate(self, work):
        """Evaluate a rule; after the last one, log and save. Whether it was the last one."""
        self._evaluations.append((work, _evaluate(self.sess, self.model, work)))
        if len(self._evaluations) < len(self.model.hp["rules"]):
            return False
        self.log["trials"].append(work.step * self.batch_size)
        self.log["times"].append(time.monotonic() - self._start)
        do_eval(self.sess, self.model, self.log, self.model.hp["rule_trains"], [n for _, n in self._evaluations])
        self._evaluations = []
        self._save(work)
        return True

    def _save(self, work):
        """Checkpoint first, then log: a log never speaks of a checkpoint that is not there."""
        self._check_folder()
        folder = self.folder / str(self.log["trials"][-1])
        state = _state_text(self.settings, work.step, work.rng_after)
        self.model.save(folder, {STATE_FILE: state}, slimmable=self.slim)
        model_directory.save_log(self.log)
        shutil.rmtree(self.folder / INTERRUPTED, ignore_errors=True)
        if self.slim:
            for trials in self.log["trials"][-3:-1]:  # two: a kill may have left the earlier one half done
                older = self.folder / str(trials)
                refuse_link(older)
                (older / STATE_FILE).unlink(missing_ok=True)  # first: nothing goes on from a checkpoint without slots
                slim_checkpoint(older)

    def interrupt(self, work):
        """Save where the run stands before this work; of an evaluation that has begun, before all of it."""
        self.save_interruption(work.step, (self._evaluations[0][0] if self._evaluations else work).rng_before)
        tqdm.write(
            f"{self.folder}: stopped and saved at trial {work.step * self.batch_size}; the same command goes on "
            "from here"
        )

    def _check_folder(self):
        """Not half a run in a new folder, when the old one was taken away."""
        if not self.folder.is_dir():
            raise FileNotFoundError(
                f"{self.folder} was removed or renamed while this run wrote to it. Put it back to go on from its last "
                "checkpoint, or start anew; run the same command again"
            )

    def save_interruption(self, step, rng_state):
        self._check_folder()
        folder = self.folder / INTERRUPTED
        shutil.rmtree(folder, ignore_errors=True)
        self.model.save(folder, {STATE_FILE: _state_text(self.settings, step, rng_state)})


def _check_finite(model, cost, work):
    if np.isfinite(cost):
        return
    when = "" if work.step is None else f" after {work.step * model.hp['batch_size_train']} trials"
    raise TrainingDiverged(
        f"{model.model_dir}: the cost of {work.rule} is {cost}{when}; the last good checkpoint is kept. Try a smaller "
        "learning_rate or another seed"
    )


def _state_text(settings, step, rng_state):
    name, keys, *rest = rng_state
    state = {"step": step, "settings": settings, "rng": [name, keys.tolist(), *rest]}
    return json.dumps({**state, "checksum": _checksum(state)})


# ------------------------------------------------------------------------------------------------ evaluation


def _evaluation_trials(rule, hp):
    return generate_evaluation(rule, hp, hp["batch_size_test"] // N_EVALUATION_BATCHES, N_EVALUATION_BATCHES)


def _evaluate(sess, model, work):
    """(cost, regularisation, performance) of a rule, the means over its batches."""
    hp = model.hp
    feed = gen_feed_dict(model, work.trial, hp)
    if work.step is not None:  # counted below zero: the steps' seeds are from zero on
        feed[model.noise_seed] = [hp["seed"], -1 - work.step * len(hp["rules"]) - hp["rules"].index(work.rule)]
    (cost, y_hat, l2_h), cost_reg = sess.run([model.evaluation, model.cost_reg], feed)
    _check_finite(model, cost + cost_reg, work)
    # the one cost that is a sum over trials: its mean over the batches is wanted
    cost_reg -= l2_h * (1 - 1 / N_EVALUATION_BATCHES)
    return float(cost), float(cost_reg), float(get_perf(y_hat, work.trial.y_loc).mean())


def do_eval(sess, model, log, rule_train, evaluations=None):
    """Evaluate every rule of hp['rules'], print it and append it to the log.

    Parameters
    ----------
    sess : tf.compat.v1.Session
    model : Model
    log : dict
        Its lists trials and times must have the entry of this evaluation already.
    rule_train : list of str
        Rules of which perf_min and perf_avg are taken.
    evaluations : list of (cost, regularisation, performance), optional
        Of each rule, if they have been computed already.

    Returns
    -------
    dict
        The log: trials, times (s), cost_<rule>, creg_<rule>, perf_<rule>, perf_avg, perf_min and growth, lists with an
        entry an evaluation; and model_dir.
    """
    hp = model.hp
    rule_train = [rule_train] if isinstance(rule_train, str) else list(rule_train)
    if evaluations is None:
        works = (_Work(None, rule, True, _evaluation_trials(rule, hp), None, None) for rule in hp["rules"])
        evaluations = [_evaluate(sess, model, work) for work in works]
    names = ", ".join(rule_name.get(rule, rule) for rule in rule_train)
    tqdm.write(f"Trial {log['trials'][-1]:7d}  | Time {log['times'][-1]:0.2f} s  | Now training {names}")
    growth = {}
    for rule, (cost, cost_reg, performance) in zip(hp["rules"], evaluations, strict=True):
        log.setdefault("cost_" + rule, []).append(cost)
        log.setdefault("creg_" + rule, []).append(cost_reg)
        log.setdefault("perf_" + rule, []).append(performance)
        growth[rule] = _growth(performance, hp)
        tqdm.write(f"{rule:15s}| cost {cost:0.6f}| c_reg {cost_reg:0.6f}  | perf {performance:0.2f}  | {growth[rule]}")
    sys.stdout.flush()  # for those who follow a file
    performances = [log["perf_" + rule][-1] for rule in rule_train]
    log.setdefault("perf_avg", []).append(float(np.mean(performances)))
    log.setdefault("perf_min", []).append(float(np.min(performances)))
    log.setdefault("growth", []).append(growth)
    return log


def _growth(performance, hp):
    """Name of the stage that a performance has reached or is on the way to, as log.json has it."""
    if performance <= hp["early_target_perf"]:
        return "=>E"
    if performance <= hp["mid_target_perf"]:
        return "E=>MID"
    return "MID=>A" if performance <= hp["mature_target_perf"] else "MATURE"
