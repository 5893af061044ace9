"""Saccades: where they land, and what a distractor does to them."""

import numpy as np
import pandas as pd

from rnn_maturation import figures
from rnn_maturation.analysis.conditions import task_info
from rnn_maturation.analysis.parallel import in_order
from rnn_maturation.analysis.restored import network, noise_seed
from rnn_maturation.model_directory import checkpoint_dir, figure_dir
from rnn_maturation.network import get_perf, popvec
from rnn_maturation.stages import mean_performance, present_stages, stage_by_trial
from rnn_maturation.task import generate_trials, get_dist, rule_name


def odrd_distractor_analysis(hp, log, model_dir, trial_list):
    """Performance and saccade errors in ODR with a distractor, for all pairs of stimulus and distractor.

    At each checkpoint R x R batches of 16 R trials with input noise, the same at all checkpoints: 64 times the work of
    one activity, so a few checkpoints a stage are enough.

    Parameters
    ----------
    hp, log : dict
    model_dir : str
    trial_list : range, list, tuple, array or stage dict
        Stages are those of odrd.

    Returns
    -------
    dict
        'performance': DataFrame stage x circular distance (0 to R // 2 ring steps), share of correct trials;
        'errors': {stage: {distance: saccade errors in degrees}}.

    Raises
    ------
    ValueError
        A rule that the network never saw, or a damaged checkpoint; names it.
    FileNotFoundError
        None of the checkpoints is on disk. Some missing: one warning.
    """
    rule, n_ring = "odrd", hp["n_eachring"]
    stages = present_stages(hp, log, model_dir, rule, trial_list)
    pairs = [(i, j) for i in range(n_ring) for j in range(n_ring)]
    distance = np.array([min((i - j) % n_ring, (j - i) % n_ring) for i, j in pairs])
    inputs, targets = noisy_inputs(hp, rule, [[f"test-{i}-{j}" for j in range(n_ring)] for i in range(n_ring)])
    saccades = saccades_at(hp, model_dir, rule, inputs, targets, list(stage_by_trial(stages)), "distractor")
    distances = list(range(n_ring // 2 + 1))
    performance, errors = {}, {}
    for stage, trials in stages.items():
        correct = np.stack([saccades[trial][0] for trial in trials])  # (checkpoints, pairs, trials of a pair)
        error = np.stack([saccades[trial][1] for trial in trials])
        performance[stage] = [correct[:, distance == d].mean() for d in distances]
        errors[stage] = {d: error[:, distance == d].ravel() for d in distances}
    table = pd.DataFrame.from_dict(performance, orient="index", columns=distances)
    _draw_distractor(log, model_dir, n_ring, stages, table, errors)
    return {"performance": table, "errors": errors}


def _draw_distractor(log, model_dir, n_ring, stages, performance, errors):
    folder = figure_dir(model_dir, "odrd")
    figure = figures.distractor_performance(performance, n_ring, f"{rule_name['odrd']}: distractors at all distances")
    figures.save_figure(figure, folder / "odrd_distractor_analysis_by_growth")
    for distance in performance.columns:
        of_distance = {stage: of_stage[distance] for stage, of_stage in errors.items()}
        title = f"{rule_name['odrd']}, distractor at {distance * 360 / n_ring:g}°"
        figure = figures.saccade_errors(of_distance, _labels(log, "odrd", stages, of_distance), title)
        figures.save_figure(figure, folder / f"saccade_distribut_analysis_by_growth_dis_{distance}")


def saccade_distribut_analysis(hp, log, rule, model_dir, trial_list):
    """Saccade errors of each stage in R repeats of the test trials with input noise.

    Parameters
    ----------
    hp, log : dict
    rule, model_dir : str
    trial_list : range, list, tuple, array or stage dict

    Returns
    -------
    {stage: saccade errors in degrees}
        |target - population vector| at the last step, whether or not the network still fixates.

    Raises
    ------
    ValueError
        A rule that the network never saw, or a damaged checkpoint; names it.
    FileNotFoundError
        None of the checkpoints is on disk. Some missing: one warning.
    """
    task_info(hp, model_dir, rule)
    stages = present_stages(hp, log, model_dir, rule, trial_list)
    inputs, targets = noisy_inputs(hp, rule, [["test"] * hp["n_eachring"]])
    saccades = saccades_at(hp, model_dir, rule, inputs, targets, list(stage_by_trial(stages)), f"saccades {rule}")
    errors = {s: np.concatenate([saccades[trial][1].ravel() for trial in trials]) for s, trials in stages.items()}
    figure = figures.saccade_errors(errors, _labels(log, rule, stages, errors), rule_name[rule])
    figures.save_figure(figure, figure_dir(model_dir, rule) / "saccade_distribut_analysis_by_growth")
    return errors


def _labels(log, rule, stages, errors):
    performance = {stage: mean_performance(log, rule, stages[stage]) for stage in errors}
    return {s: f"{s}, performance {performance[s]:.2f}, n={len(values)}" for s, values in errors.items()}


def noisy_inputs(hp, rule, modes):
    """Trials with input noise, the same in every call; hp['rng'] is not touched.

    Parameters
    ----------
    modes : list of lists of str
        Modes of `generate_trials` whose trials stand side by side in a batch.

    Returns
    -------
    inputs : list of (n_time, n_trials, n_input) arrays, one a batch
    targets : (n_modes, n_trials of a mode) array
        Target direction, rad.
    """
    seeded = {**hp, "rng": np.random.RandomState(hp.get("seed", 0))}
    inputs, targets = [], []
    for group in modes:
        trials = [generate_trials(rule, seeded, mode, noise_on=True) for mode in group]
        inputs.append(np.concatenate([trial.x for trial in trials], axis=1))
        targets += [trial.y_loc[-1] for trial in trials]
    return inputs, np.stack(targets)


def saccades_at(hp, model_dir, rule, inputs, targets, trials, description):
    """{trial number: (correct, error in degrees)}, each of the shape of `targets`.

    Parameters
    ----------
    inputs, targets
        What `noisy_inputs` gave, or some of the trials of each batch.
    trials : list of int
        Trial numbers of checkpoints.
    description : str
        Name of the progress bar.
    """
    net = network(hp)
    y_hat = net.model.evaluation[1]  # without the activity, which is not needed

    def of_checkpoint(trial_num):
        outputs = []
        for number, x in enumerate(inputs):
            feed = {net.model.x: x, net.model.noise_seed: noise_seed(hp, trial_num, f"{rule} saccades {number}")}
            outputs.append(net.run(checkpoint_dir(model_dir, trial_num), y_hat, feed)[-1])
        output = np.concatenate(outputs)
        correct = get_perf(output[None], targets.reshape(1, -1)).reshape(targets.shape)
        return correct, saccade_error(output.reshape(*targets.shape, -1), targets)

    return dict(zip(trials, in_order(of_checkpoint, trials, description), strict=True))


def saccade_error(output, targets):
    """Distance in degrees between the target (...) and the population vector of the output (..., R + 1)."""
    return np.degrees(get_dist(np.abs(popvec(output[..., 1:]) - targets)))
