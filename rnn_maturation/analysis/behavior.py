"""Saccades: where they land, and what a distractor does to them."""

import hashlib

import numpy as np
import pandas as pd

from rnn_maturation import figures
from rnn_maturation.analysis.conditions import task_info
from rnn_maturation.analysis.memory import remembered
from rnn_maturation.analysis.parallel import in_order
from rnn_maturation.analysis.restored import network, noise_seed
from rnn_maturation.analysis.results import MappingResult, labelled
from rnn_maturation.model_directory import checkpoint_dir, figure_dir
from rnn_maturation.network import RESPONSE_MARGIN, get_perf, popvec
from rnn_maturation.stages import mean_performance, present_stages, stage_by_trial
from rnn_maturation.task import generate_trials, get_dist, rule_name

CORRECT_BELOW_DEG = float(np.degrees(RESPONSE_MARGIN))  # error of a saccade


@labelled
class SaccadeResult(MappingResult):
    """Saccade errors of each stage of maturation.

    Attributes
    ----------
    data : dict
        {stage: (n_trials,) array}, the distance between target and population vector in degrees, 0 to 180.
    performance : dict
        {stage: mean performance of its checkpoints}; a stage may be missing.
    title : str
    correct_below : float
        Saccades with a smaller error, in degrees, count as correct.
    """

    data: dict
    performance: dict
    title: str = ""
    correct_below: float = CORRECT_BELOW_DEG

    def to_frame(self):
        """Return a table with a row for each trial.

        Returns
        -------
        pandas.DataFrame
            Columns stage, error_deg.
        """
        tables = [pd.DataFrame({"stage": stage, "error_deg": errors}) for stage, errors in self.data.items()]
        return pd.concat(tables, ignore_index=True)

    def plot(self):
        """Draw a histogram for each stage.

        Returns
        -------
        matplotlib.figure.Figure
        """
        return figures.saccade_errors(self)


@labelled
class DistractorResult(MappingResult):
    """Performance and saccade errors of each stage by the distance between distractor and stimulus.

    Attributes
    ----------
    data : dict
        'performance': pandas.DataFrame, stage x distance in steps of the ring, share of correct trials; 'errors':
        {stage: {distance: (n_trials,) array of saccade errors in degrees}}.
    n_ring : int
        Number of locations on the ring; a step is 360 / n_ring degrees.
    n_checkpoints : dict
        {stage: number of checkpoints}.
    stage_performance : dict
        {stage: mean logged performance of its checkpoints}.
    title : str
    """

    data: dict
    n_ring: int
    n_checkpoints: dict
    stage_performance: dict
    title: str = ""

    def at_distance(self, distance):
        """Return the saccade errors at one distance.

        Parameters
        ----------
        distance : int
            In steps of the ring.

        Returns
        -------
        SaccadeResult
        """
        errors = {stage: of_stage[distance] for stage, of_stage in self.data["errors"].items()}
        return SaccadeResult(
            errors, self.stage_performance, f"{self.title}, distractor at {distance * 360 / self.n_ring:g}°"
        )

    def to_frame(self):
        """Return a table with a row for each stage and distance.

        Returns
        -------
        pandas.DataFrame
            Columns stage, distance_deg, performance, mean_error_deg, n_trials, n_checkpoints.
        """
        rows = [
            {
                "stage": stage,
                "distance_deg": distance * 360 / self.n_ring,
                "performance": self.data["performance"].loc[stage, distance],
                "mean_error_deg": errors.mean(),
                "n_trials": len(errors),
                "n_checkpoints": self.n_checkpoints[stage],
            }
            for stage, of_stage in self.data["errors"].items()
            for distance, errors in of_stage.items()
        ]
        return pd.DataFrame(rows)

    def plot(self):
        """Draw performance against distance, one line per stage; `at_distance` has the histograms of the errors.

        Returns
        -------
        matplotlib.figure.Figure
        """
        return figures.distractor_performance(self)


# ---------------------------------------------------------------------------------------------------- public analyses


def odrd_distractor_analysis(hp, log, model_dir, trial_list, save=True, rule="odrd"):
    """Measure performance and saccade errors with a distractor, for all pairs of its location and the stimulus's.

    Each checkpoint answers R x R sets (one for each pair) of 16 R trials with input noise, which are the same at all
    checkpoints. This takes 64 times as long as computing the activity once: a few checkpoints per stage are enough.

    Parameters
    ----------
    hp, log : dict
    model_dir : str
    trial_list : range, list, tuple, array or stage dict
        Checkpoints; stages are those of the rule.
    save : bool
        Write the figures.
    rule : str
        A rule with test modes 'test-i-j' (`task.Task.test_pairs`): ODR with a distractor, or one of your own.

    Returns
    -------
    DistractorResult

    Raises
    ------
    ValueError
        If the network has no such rule, the rule has no such modes, or a checkpoint is damaged.
    FileNotFoundError
        If none of the checkpoints is on disk. If some are missing, one warning names them.
    """
    n_ring = hp["n_eachring"]
    task_info(hp, model_dir, rule)
    stages = present_stages(hp, log, model_dir, rule, trial_list)
    inputs, targets = noisy_inputs(hp, rule, [[f"test-{i}-{j}" for j in range(n_ring)] for i in range(n_ring)])
    saccades = saccades_at(hp, model_dir, rule, inputs, targets, list(stage_by_trial(stages)), "distractor")
    performance = {stage: mean_performance(log, rule, trials) for stage, trials in stages.items()}
    result = compute_distractor_effect(saccades, stages, n_ring, performance, rule_name[rule])
    if save:
        folder = figure_dir(model_dir, rule)
        figures.save_figure(result.plot(), folder / "odrd_distractor_analysis_by_growth")
        for distance in result["performance"].columns:
            figure = result.at_distance(distance).plot()
            figures.save_figure(figure, folder / f"saccade_distribut_analysis_by_growth_dis_{distance}")
    return result


def saccade_distribut_analysis(hp, log, rule, model_dir, trial_list, save=True):
    """Measure the saccade errors of each stage in R repeats of the test trials with input noise.

    Parameters
    ----------
    hp, log : dict
    rule, model_dir : str
    trial_list : range, list, tuple, array or stage dict
    save : bool
        Write the figure.

    Returns
    -------
    SaccadeResult
        |target − population vector| at the last step, whether or not the network still fixates.

    Raises
    ------
    ValueError
        If the network has no such rule, or a checkpoint is damaged.
    FileNotFoundError
        If none of the checkpoints is on disk. If some are missing, one warning names them.
    """
    task_info(hp, model_dir, rule)
    stages = present_stages(hp, log, model_dir, rule, trial_list)
    inputs, targets = noisy_inputs(hp, rule, [["test"] * hp["n_eachring"]])
    saccades = saccades_at(hp, model_dir, rule, inputs, targets, list(stage_by_trial(stages)), f"saccades {rule}")
    performance = {stage: mean_performance(log, rule, trials) for stage, trials in stages.items()}
    errors = {trial: error for trial, (_, error) in saccades.items()}
    result = compute_saccade_distribution(errors, stages, performance, rule_name[rule])
    if save:
        figures.save_figure(result.plot(), figure_dir(model_dir, rule) / "saccade_distribut_analysis_by_growth")
    return result


# -------------------------------------------------------------------------------------------------- arrays in and out


def compute_saccade_distribution(errors, stages, performance=None, title=""):
    """Pool the saccade errors of the checkpoints of each stage.

    Parameters
    ----------
    errors : dict
        {trial number: array of saccade errors in degrees}, of any shape; see `saccade_error`.
    stages : dict
        {stage: trial numbers}.
    performance : dict, optional
        {stage: mean performance}, for the legend.
    title : str

    Returns
    -------
    SaccadeResult
    """
    pooled = {s: np.concatenate([np.ravel(errors[trial]) for trial in trials]) for s, trials in stages.items()}
    return SaccadeResult(pooled, performance or {}, title)


def compute_distractor_effect(saccades, stages, n_ring, performance=None, title=""):
    """Sort correct responses and saccade errors by the distance between distractor and stimulus.

    Parameters
    ----------
    saccades : dict
        {trial number: (correct, error in degrees)}, arrays (n_ring ** 2, n_trials); row i * n_ring + j: stimulus at
        location i, distractor at j.
    stages : dict
        {stage: trial numbers}.
    n_ring : int
        Number of locations.
    performance : dict, optional
        {stage: mean performance}, for the legends.
    title : str

    Returns
    -------
    DistractorResult

    Raises
    ------
    ValueError
        If an array does not have a row for each pair of locations.
    """
    wrong = {np.shape(values) for of_trial in saccades.values() for values in of_trial if len(values) != n_ring**2}
    if wrong:
        raise ValueError(f"There must be {n_ring**2} rows, one for each pair of locations, not {wrong}.")
    distance = ring_distance(n_ring)
    distances = list(range(n_ring // 2 + 1))
    shares, errors = {}, {}
    for stage, trials in stages.items():
        correct, error = (np.stack([saccades[trial][what] for trial in trials]) for what in (0, 1))
        shares[stage] = [correct[:, distance == d].mean() for d in distances]
        errors[stage] = {d: error[:, distance == d].ravel() for d in distances}
    table = pd.DataFrame.from_dict(shares, orient="index", columns=distances)
    n_checkpoints = {stage: len(trials) for stage, trials in stages.items()}
    return DistractorResult({"performance": table, "errors": errors}, n_ring, n_checkpoints, performance or {}, title)


def ring_distance(n_ring):
    """Return the distance of all pairs of locations around the ring, in locations, (n_ring ** 2,)."""
    apart = np.subtract.outer(np.arange(n_ring), np.arange(n_ring)).ravel() % n_ring
    return np.minimum(apart, n_ring - apart)


def saccade_error(output, targets):
    """Return the distance between the target and the population vector of the output.

    Parameters
    ----------
    output : (..., R + 1) array
        Output of the network, fixation first.
    targets : (...) array
        Target direction in rad.

    Returns
    -------
    (...) array
        In degrees, 0 to 180.
    """
    return np.degrees(get_dist(np.abs(popvec(output[..., 1:]) - targets)))


# ------------------------------------------------------------------------------------------------------ at checkpoints


def noisy_inputs(hp, rule, modes):
    """Generate trials with input noise, the same in every call; hp['rng'] is not changed.

    Parameters
    ----------
    hp : dict
    rule : str
    modes : list of lists of str
        Modes of `task.generate_trials`; the trials of the modes in an inner list form one batch.

    Returns
    -------
    inputs : list of (n_time, n_trials, n_input) arrays
        One for each batch.
    targets : (n_modes, n_trials of a mode) array
        Target direction in rad.
    """
    seeded = {**hp, "rng": np.random.RandomState(hp.get("seed", 0))}
    inputs, targets = [], []
    for group in modes:
        trials = [generate_trials(rule, seeded, mode, noise_on=True) for mode in group]
        inputs.append(np.concatenate([trial.x for trial in trials], axis=1))
        targets += [trial.y_loc[-1] for trial in trials]
    return inputs, np.stack(targets)


def saccades_at(hp, model_dir, rule, inputs, targets, trials, description):
    """Compute whether checkpoints respond correctly, and their saccade errors, once for the same inputs.

    Parameters
    ----------
    hp : dict
    model_dir, rule : str
    inputs, targets
        As returned by `noisy_inputs`, or some of the trials of each batch.
    trials : list of int
        Trial numbers of checkpoints.
    description : str
        Name of the progress bar.

    Returns
    -------
    {trial number: (correct, error in degrees)}
        Each an array of the shape of `targets`.

    Raises
    ------
    FileNotFoundError, ValueError
        If a checkpoint is missing or damaged.
    """
    net = network(hp)
    y_hat = net.model.evaluation[1]  # computed without keeping the activity
    digest = hashlib.sha256(np.ascontiguousarray(targets))
    for x in inputs:
        digest.update(np.ascontiguousarray(x))

    def of_checkpoint(trial_num):
        outputs = []
        for number, x in enumerate(inputs):
            feed = {net.model.x: x, net.model.noise_seed: noise_seed(hp, trial_num, f"{rule} saccades {number}")}
            outputs.append(net.run(checkpoint_dir(model_dir, trial_num), y_hat, feed)[-1])
        output = np.concatenate(outputs)
        correct = get_perf(output[None], targets.reshape(1, -1)).reshape(targets.shape)
        return correct, saccade_error(output.reshape(*targets.shape, -1), targets)

    def known_or_computed(trial_num):
        details = digest.hexdigest()
        return remembered(lambda: of_checkpoint(trial_num), "saccades", hp, model_dir, trial_num, rule, details)

    return dict(zip(trials, in_order(known_or_computed, trials, description), strict=True))
