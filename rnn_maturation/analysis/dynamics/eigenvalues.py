"""Follow the leading eigenvalues at the fixed point of a delay during training."""

from dataclasses import field

import pandas as pd

from rnn_maturation.analysis.dynamics.fixed_points import N_STARTS, fixed_points_at
from rnn_maturation.analysis.dynamics.saving import save_table
from rnn_maturation.analysis.dynamics.spectrum import participation_ratio, rotation_size
from rnn_maturation.analysis.dynamics.step import network_at
from rnn_maturation.analysis.dynamics.task_input import N_DIRECTIONS, task_input
from rnn_maturation.analysis.memory import remembered
from rnn_maturation.analysis.parallel import in_order
from rnn_maturation.analysis.results import TableResult, labelled
from rnn_maturation.checks import checks_run_arguments
from rnn_maturation.stages import STAGES, performance_at, present_stages, range_name, stage_by_trial


@labelled
class EigenvalueGrowthResult(TableResult):
    """Fixed points and eigenvalues during training, one row per checkpoint.

    Attributes
    ----------
    data : pandas.DataFrame
        Columns trial, stage, performance, n_fixed_points, n_converged and n_starts; largest_modulus, largest_is_complex
        and n_unstable of the fixed point that is nearest to the mean state of the epoch; pair_modulus, frequency_hz and
        memory_time_s (infinite if the modulus is at least 1) of its leading complex pair; participation_ratio, the
        dimensionality of the activity in the epoch over times and directions; rotation_size, the root mean square
        distance of the directions' activity from their mean at the end of the epoch. Without a fixed point, n_unstable
        is 0, largest_is_complex is False, and the other values of eigenvalues are nan.
    spectra : {trial number: (n_state,) complex array}
        Eigenvalues of that fixed point, largest modulus first. A checkpoint without a fixed point is absent.
    levels : {'early', 'mid', 'mature': performance}
        Performance that defines each stage; used to choose the spectra that the figure shows.
    rule, epoch : str
    trained_delay_s : float
        Time from the start of the epoch to the go signal in s; for the go epoch, its length.
    dt : float
        Time step in ms.
    """

    data: pd.DataFrame
    spectra: dict = field(repr=False)
    levels: dict
    rule: str
    epoch: str
    trained_delay_s: float
    dt: float

    @property
    def shown_trials(self):
        """{'plateau', 'early', 'mid', 'mature': trial number} of the spectra that the figure shows.

        Early, mid and mature are the checkpoints of each stage whose performance is nearest to the level of the stage
        (the first one of equally near ones). Plateau is the checkpoint nearest to half the training trials of the early
        one. A stage without checkpoints is absent.
        """
        table = self.data[self.data.trial.isin(list(self.spectra))].reset_index(drop=True)
        distances = {s: (table.performance - level).abs()[table.stage == s] for s, level in self.levels.items()}
        rows = {stage: distance.idxmin() for stage, distance in distances.items() if len(distance)}
        if "early" in rows:
            rows = {"plateau": (table.trial - table.trial[rows["early"]] / 2).abs().idxmin(), **rows}
        return {name: int(table.trial[row]) for name, row in rows.items()}

    def plot(self):
        """Draw memory time and performance against training trials, and the eigenvalues at four checkpoints.

        Returns
        -------
        matplotlib.figure.Figure
        """
        from rnn_maturation.analysis.dynamics import figures

        return figures.eigenvalue_growth(self)


def compute_growth_row(network, task, epoch, n_starts=N_STARTS, trial_num=None):
    """Compute one network's fixed points and eigenvalues, and the size and dimensionality of its activity in an epoch.

    Parameters
    ----------
    network : Step
    task : TaskInput
    epoch : str
    n_starts : int
    trial_num : int, optional

    Returns
    -------
    row : dict
        Columns of `EigenvalueGrowthResult` without stage and performance.
    spectrum : (n_state,) complex array or None
        Eigenvalues of the first fixed point; None if there is no fixed point.
    """
    states = network.run(task.inputs[: task.steps(epoch).stop])
    found = fixed_points_at(network, task, epoch, states, n_starts, with_slow_points=False)
    activity = states[task.steps(epoch), :, : network.n_units]
    row = {
        "trial": trial_num,
        "n_fixed_points": len(found.states),
        "n_converged": found.n_converged,
        "n_starts": found.n_starts,
        "largest_modulus": found.largest_modulus,
        "largest_is_complex": bool(len(found.states)) and abs(found.pair) >= found.largest_modulus - 1e-9,
        "n_unstable": found.n_unstable,
        "pair_modulus": found.pair_modulus,
        "frequency_hz": found.frequency_hz,
        "memory_time_s": found.memory_time_s,
        "participation_ratio": participation_ratio(activity),
        "rotation_size": rotation_size(activity[-1]),
    }
    return row, found.eigenvalues[0] if len(found.states) else None


@checks_run_arguments
def eigenvalue_growth_analysis(
    hp, log, model_dir, trial_list, rule, epoch="delay1", n_starts=N_STARTS, n_directions=N_DIRECTIONS, save=True
):
    """Follow the eigenvalues at the fixed point of an epoch during training.

    Parameters
    ----------
    hp, log : dict
    model_dir : str
    trial_list : range, list, tuple, array or stage dict
        Checkpoints; give all on disk to follow the whole training.
    rule, epoch : str
    n_starts : int
        Number of starts of the search for fixed points at each checkpoint.
    n_directions : int
        Number of directions, with one noise-free trial each. The starts of the search, the dimensionality and the size
        of the rotation are taken from these trials.
    save : bool
        Write the figure and the table (csv) into the figure folder of the rule and epoch.

    Returns
    -------
    EigenvalueGrowthResult

    Raises
    ------
    ValueError
        If the rule is unknown, the input of the epoch is not constant, n_starts is below 4, or the log lacks a
        checkpoint.
    FileNotFoundError
        If none of the checkpoints is on disk. If only some are missing, a warning names them.
    """
    task = task_input(rule, hp, n_directions)
    task.held(epoch)
    stages = stage_by_trial(present_stages(hp, log, model_dir, rule, trial_list))

    def of_checkpoint(trial_num):
        return remembered(
            lambda: compute_growth_row(network_at(hp, model_dir, trial_num), task, epoch, n_starts, trial_num),
            *("eigenvalues", hp, model_dir, trial_num, rule, epoch, n_starts, n_directions),
        )

    rows, spectra = [], {}
    for row, spectrum in in_order(of_checkpoint, list(stages), f"eigenvalues {rule} {epoch}"):
        trial = row.pop("trial")
        performance = performance_at(log, rule, trial)
        rows.append({"trial": trial, "stage": stages[trial], "performance": performance, **row})
        if spectrum is not None:
            spectra[trial] = spectrum
    steps = task.steps(epoch)
    end = task.go if task.go > steps.start else steps.stop
    levels = {stage: hp[f"{stage}_target_perf"] for stage in STAGES}
    delay_s = (end - steps.start) * task.dt / 1000
    result = EigenvalueGrowthResult(pd.DataFrame(rows), spectra, levels, rule, epoch, delay_s, task.dt)
    if save:
        span, step = range_name(trial_list, rule)
        save_table(result, model_dir, rule, epoch, f"{rule}_{epoch}_{span}_step_{step}_eigenvalue_growth")
    return result
