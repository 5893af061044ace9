"""Saccades: their errors in each stage of maturation, and the effect of a distractor on them."""

import hashlib

import numpy as np
import pandas as pd

from rnn_maturation import figures
from rnn_maturation.analysis.conditions import task_info
from rnn_maturation.analysis.memory import remembered
from rnn_maturation.analysis.parallel import in_order
from rnn_maturation.analysis.restored import network, noise_seed
from rnn_maturation.analysis.results import MappingResult, labelled
from rnn_maturation.checks import checks_run_arguments, quoted
from rnn_maturation.model_directory import checkpoint_dir, figure_dir
from rnn_maturation.network import RESPONSE_MARGIN, get_perf, popvec
from rnn_maturation.stages import mean_performance, present_stages, stage_by_trial
from rnn_maturation.task import generate_trials, get_dist, rule_name

CORRECT_BELOW_DEG = float(np.degrees(RESPONSE_MARGIN))  # saccades with a smaller error are accurate enough


@labelled
class SaccadeResult(MappingResult):
    """Saccade errors of each stage of maturation.

    Attributes
    ----------
    data : dict
        {stage: (n_trials,) array of saccade errors}, the angles between target and population vector in degrees, 0 to
        180.
    performance : dict
        {stage: mean performance of its checkpoints, 0 to 1}, for the legend; stages may be missing.
    title : str
        Title of the figure.
    correct_below : float
        Error in degrees below which a saccade counts as correct, provided that the network no longer fixates.
    """

    data: dict
    performance: dict
    title: str = ""
    correct_below: float = CORRECT_BELOW_DEG

    def to_frame(self):
        """Return a table with one row for each trial.

        Returns
        -------
        pandas.DataFrame
            Columns stage, error_deg (saccade error).
        """
        tables = [pd.DataFrame({"stage": stage, "error_deg": errors}) for stage, errors in self.data.items()]
        return pd.concat(tables, ignore_index=True)

    def plot(self):
        """Draw a histogram of the saccade errors of each stage.

        Returns
        -------
        matplotlib.figure.Figure
        """
        return figures.saccade_errors(self)


@labelled
class DistractorResult(MappingResult):
    """Performance and saccade errors of each stage as a function of the distance between distractor and stimulus.

    Attributes
    ----------
    data : dict
        'performance': pandas.DataFrame of the share of correct trials (0 to 1), with one row per stage and one column
        per distance; 'errors': {stage: {distance: (n_trials,) array of saccade errors in degrees}}. Distances are in
        ring steps.
    n_ring : int
        Number of locations on the ring; a ring step is 360 / n_ring degrees.
    n_checkpoints : dict
        {stage: number of checkpoints}.
    stage_performance : dict
        {stage: mean logged performance of its checkpoints, 0 to 1}.
    title : str
        Start of the titles of the figures.
    """

    data: dict
    n_ring: int
    n_checkpoints: dict
    stage_performance: dict
    title: str = ""

    def at_distance(self, distance):
        """Return the saccade errors in trials with one distance between distractor and stimulus.

        Parameters
        ----------
        distance : int
            Distance in ring steps, 0 to n_ring // 2.

        Returns
        -------
        SaccadeResult
        """
        errors = {stage: of_stage[distance] for stage, of_stage in self.data["errors"].items()}
        return SaccadeResult(
            errors, self.stage_performance, f"{self.title}, distractor at {distance * 360 / self.n_ring:g}°"
        )

    def to_frame(self):
        """Return a table with one row for each stage and distance.

        Returns
        -------
        pandas.DataFrame
            Columns stage, distance_deg, performance (share of correct trials), mean_error_deg (of the saccades),
            n_trials, n_checkpoints.
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
        """Draw performance against distance, one line per stage.

        For histograms of the saccade errors, plot the result of `at_distance`.

        Returns
        -------
        matplotlib.figure.Figure
        """
        return figures.distractor_performance(self)


# ---------------------------------------------------------------------------------------------------- public analyses


@checks_run_arguments
def odrd_distractor_analysis(hp, log, model_dir, trial_list, save=True, rule="odrd"):
    """Measure performance and saccade errors for all pairs of stimulus location and distractor location.

    With R locations on the ring, each checkpoint is tested with R x R sets (one per pair) of 16 R trials. The trials
    have input noise and are the same at all checkpoints. These are R x R times as many trials (64 times with R = 8) as
    `compute_H` needs. A few checkpoints per stage are enough.

    Parameters
    ----------
    hp, log : dict
    model_dir : str
    trial_list : range, list, tuple, array or stage dict
        Trial numbers of the checkpoints; from a stage dict, those of `rule`.
    save : bool
        Whether to write the figures.
    rule : str
        A rule with the test modes 'test-i-j' (`task.Task.test_pairs`): 'odrd', or a task of your own.

    Returns
    -------
    DistractorResult

    Raises
    ------
    ValueError
        If the rule is not in the network's rule set or does not have these test modes, or a checkpoint is damaged.
    FileNotFoundError
        If none of the checkpoints is on disk. If only some are missing, one warning names them.
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


@checks_run_arguments
def saccade_distribut_analysis(hp, log, rule, model_dir, trial_list, save=True):
    """Measure the saccade errors of each stage in test trials with input noise.

    With R locations on the ring, the test trials are repeated R times with different noise.

    Parameters
    ----------
    hp, log : dict
    rule, model_dir : str
    trial_list : range, list, tuple, array or stage dict
        Trial numbers of the checkpoints; from a stage dict, those of `rule`.
    save : bool
        Whether to write the figure.

    Returns
    -------
    SaccadeResult
        The angle between target and population vector at the last time step, whether or not the network still
        fixates.

    Raises
    ------
    ValueError
        If the rule is not in the network's rule set, or a checkpoint is damaged.
    FileNotFoundError
        If none of the checkpoints is on disk. If only some are missing, one warning names them.
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
        {stage: mean performance, 0 to 1}, for the legend.
    title : str
        Title of the figure.

    Returns
    -------
    SaccadeResult
    """
    pooled = {s: np.concatenate([np.ravel(errors[trial]) for trial in trials]) for s, trials in stages.items()}
    return SaccadeResult(pooled, performance or {}, title)


def compute_distractor_effect(saccades, stages, n_ring, performance=None, title=""):
    """Compute performance and pool saccade errors for each distance between distractor and stimulus.

    Parameters
    ----------
    saccades : dict
        {trial number: (correct, error)}: two (n_ring ** 2, n_trials) arrays, 1 or 0 for correct or wrong responses, and
        saccade errors in degrees. Row i * n_ring + j has the stimulus at location i and the distractor at location j.
    stages : dict
        {stage: trial numbers}.
    n_ring : int
        Number of locations on the ring.
    performance : dict, optional
        {stage: mean performance, 0 to 1}, for the legends.
    title : str
        Start of the titles of the figures.

    Returns
    -------
    DistractorResult

    Raises
    ------
    ValueError
        If an array does not have one row for each pair of locations.
    """
    wrong = {np.shape(values) for of_trial in saccades.values() for values in of_trial if len(values) != n_ring**2}
    if wrong:
        raise ValueError(
            f"Each array of `saccades` must have {n_ring**2} rows, one for each pair of locations; got arrays of "
            f"shapes {quoted(wrong)}."
        )
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
    """Return the distances (n_ring ** 2,) of all pairs of locations along the ring, in ring steps."""
    apart = np.subtract.outer(np.arange(n_ring), np.arange(n_ring)).ravel() % n_ring
    return np.minimum(apart, n_ring - apart)


def saccade_error(output, targets):
    """Return the angle between the target and the population vector of the output.

    Parameters
    ----------
    output : (..., R + 1) array
        Output of the network; the first unit signals fixation, the R others form the ring.
    targets : (...) array
        Target directions in rad.

    Returns
    -------
    (...) array
        In degrees, 0 to 180.
    """
    return np.degrees(get_dist(np.abs(popvec(output[..., 1:]) - targets)))


# ------------------------------------------------------------------------------------------------------ at checkpoints


def noisy_inputs(hp, rule, modes):
    """Generate trials with input noise, which are the same in every call; hp['rng'] is not changed.

    Parameters
    ----------
    hp : dict
    rule : str
    modes : list of lists of str
        Modes of `task.generate_trials`; the trials of the modes in an inner list form one batch.

    Returns
    -------
    inputs : list of (n_time, n_trials, n_input) arrays
        One array for each batch.
    targets : (n_modes, n_trials) array
        Target directions in rad; n_trials is the number of trials of one mode.
    """
    seeded = {**hp, "rng": np.random.RandomState(hp.get("seed", 0))}
    inputs, targets = [], []
    for group in modes:
        trials = [generate_trials(rule, seeded, mode, noise_on=True) for mode in group]
        inputs.append(np.concatenate([trial.x for trial in trials], axis=1))
        targets += [trial.y_loc[-1] for trial in trials]
    return inputs, np.stack(targets)


def saccades_at(hp, model_dir, rule, inputs, targets, trials, description):
    """Compute correct responses and saccade errors at checkpoints; they are remembered for further calls.

    Parameters
    ----------
    hp : dict
    model_dir, rule : str
    inputs, targets
        As `noisy_inputs` returns them, or a subset of the trials of each batch.
    trials : list of int
        Trial numbers of checkpoints.
    description : str
        Label of the progress bar.

    Returns
    -------
    {trial number: (correct, error)}
        Two arrays of the shape of `targets`: 1 or 0 for correct or wrong responses, and saccade errors in degrees.

    Raises
    ------
    FileNotFoundError, ValueError
        If a checkpoint is missing or damaged.
    """
    net = network(hp)
    y_hat = net.model.evaluation[1]  # this output is computed without keeping the activity
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
