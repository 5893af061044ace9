"""Runs made by hand so that a finding is there, or is not: logs, and checkpoints whose variables are set."""

import numpy as np

from rnn_maturation.analysis.report.data import ANTI_SACCADE_RULES, DELAYED_RULES, TrainedRun, maturation_course
from rnn_maturation.hyperparameters import complete_hp
from rnn_maturation.model_directory import save_hp, save_log
from rnn_maturation.network import Model, tf1
from rnn_maturation.stages import trials_by_stage
from rnn_maturation.task import rules_dict

STEP = 1280
TRIALS = list(range(0, 300 * STEP, STEP))
ANTI_RISE = (30e3, 40e3, 60e3)  # trials at which a curve is at .35, .65, .95
DELAYED_RISE = (260e3, 280e3, 300e3)


def curve(rise, noise, end=1.0):
    """Performance at chance that rises through .35, .65 and .95 at three trial numbers."""
    early, mid, mature = rise
    trials = [0, early - 15e3, early, mid, mature, mature + 10e3]
    levels = np.interp(TRIALS, trials, [0.2, 0.2, 0.35, 0.65, 0.95, end])
    return np.clip(levels + noise * np.random.RandomState(0).randn(len(TRIALS)), 0, 1)


def write_log(folder, curves, **hp):
    rules = rules_dict["all_new"]
    save_hp(complete_hp({"ruleset": "all_new", "n_rnn": 32, "activation": "softplus", "seed": 1, **hp}), folder)
    known = {rule: list(map(float, curves[rule])) for rule in rules if rule in curves}
    lowest = np.min(list(known.values()), axis=0).tolist()
    length = len(lowest)
    save_log({"trials": TRIALS[:length], "perf_min": lowest, **{f"perf_{r}": c for r, c in known.items()}}, folder)
    return folder


def all_curves(anti=ANTI_RISE, delayed=DELAYED_RISE, noise=0.018):
    anti_curves = {rule: curve(anti, noise) for rule in ANTI_SACCADE_RULES}
    return {**anti_curves, **{rule: curve(delayed, noise) for rule in DELAYED_RULES}}


def answers(right_share):
    """Where the read-out sends each location: a share of them to itself, the others at least 90 degrees away."""
    sent = np.arange(8)
    wrong = sent[round(8 * right_share) :]
    sent[len(sent) - len(wrong) :] = np.roll(wrong, len(wrong) // 2)
    return sent


def set_variables(session, variables, values):
    feed = {v.initializer.inputs[1]: value for v, value in zip(variables, values, strict=True)}
    session.run([v.initializer for v in variables], feed)


def made_network(folder, gains, right_share, answers_opposite):
    """A run whose checkpoints are set by hand: units with a memory, their gain and read-out a function of the stage.

    Four units a location take up the ring with a gain and forget with a time constant of 500 ms. The read-out sends
    each location's units to it, or to the opposite one; a share of the locations is sent to a wrong one.
    """
    write_log(folder, all_curves(noise=0))
    run = TrainedRun(folder)
    model = Model(str(folder), hp=run.hp)
    location = np.repeat(np.arange(8), 4)
    with tf1.Session() as session:
        model.initialize()
        for rule in ("odr", "gap"):
            course = maturation_course(TRIALS, run.performance(rule), run.hp)
            for stage, trials in trials_by_stage(course, run.hp, run.log, rule).items():
                for number, trial in enumerate([trials[i] for i in (0, len(trials) // 2, -1)]):
                    kernel, bias, w_out, b_out = (np.zeros(v.shape.as_list(), "float32") for v in model.var_list)
                    kernel[1 + location, np.arange(32)] = gains[stage] * (1 + 0.02 * number)
                    kernel[run.hp["n_input"] + np.arange(32), np.arange(32)] = 0.8
                    bias[:] = 1
                    answer = answers(right_share[stage]) + (4 if answers_opposite else 0)
                    w_out[np.arange(32), 1 + answer[location] % 8] = 0.3
                    b_out[0] = -5
                    set_variables(session, model.var_list, (kernel, bias, w_out, b_out))
                    model.save(folder / str(trial))
    return folder
