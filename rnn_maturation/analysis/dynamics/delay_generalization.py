"""Test whether a network answers correctly after delays other than the one it was trained with."""

import numpy as np
import pandas as pd

from rnn_maturation.analysis.dynamics.saving import save_table
from rnn_maturation.analysis.dynamics.step import network_at
from rnn_maturation.analysis.dynamics.task_input import N_DIRECTIONS, saccades, task_input
from rnn_maturation.analysis.memory import remembered
from rnn_maturation.analysis.parallel import in_order
from rnn_maturation.analysis.results import TableResult, labelled
from rnn_maturation.checks import checks_run_arguments, quoted
from rnn_maturation.stages import flat_trials, performance_at, present_trials, range_name

DELAYS_MS = (250, 500, 750, 1000, 1250, 1500, 1750, 2000, 2500, 3000, 6000, 15000)
NO_DIRECTION = 1e-6  # length of a mean vector below which its direction is only rounding error


@labelled
class DelayGeneralizationResult(TableResult):
    """Saccades after delays of different lengths, one row per checkpoint and delay.

    Attributes
    ----------
    data : pandas.DataFrame
        Columns trial; delay_ms; performance, the share of directions answered correctly (fixation output off, saccade
        within 36 degrees); error_deg, the circular mean of the signed errors over directions (degrees; nan where it is
        not defined).
    trained_delay_ms : float
    n_directions : int
    logged : {trial number: float}
        Performance of the rule in the log, which was measured with noise and the trained delay.
    rule, epoch : str
    """

    data: pd.DataFrame
    trained_delay_ms: float
    n_directions: int
    logged: dict
    rule: str
    epoch: str

    def plot(self):
        """Draw performance against delay and checkpoint, with the trained delay marked.

        Returns
        -------
        matplotlib.figure.Figure
        """
        from rnn_maturation.analysis.dynamics import figures

        return figures.delay_generalization(self)


def compute_delay_generalization(network, task, epoch, delays_ms=DELAYS_MS):
    """Hold the input of a delay for different durations, and then continue the trial from its go signal.

    The delay is simulated once, up to the longest duration. The response periods branch off from it and are simulated
    together.

    Parameters
    ----------
    network : Step
    task : TaskInput
    epoch : str
        A delay after the stimulus. Epochs between it and the go signal, such as a distractor, are left out.
    delays_ms : sequence of float
        Durations in ms.

    Returns
    -------
    performance : (n_delays,) array
        Share of directions answered correctly.
    error_deg : (n_delays,) array
        Circular mean of the signed errors over directions, in degrees; nan where the errors have no mean direction, for
        example if the network gives the same answer to all directions.
    """
    task.trained_delay_steps(epoch)
    n_steps = [int(delay / task.dt) for delay in delays_ms]
    start = task.steps(epoch).start
    states, drive = network.run(task.inputs[:start])[-1], network.drive(task.held(epoch))
    at_go = {}
    for step in range(max(n_steps) + 1):
        if step in n_steps:
            at_go[step] = states
        states = network.step(states, drive)
    branches = np.concatenate([at_go[n] for n in n_steps])
    go_inputs = np.tile(task.inputs[task.go :], (1, len(n_steps), 1))
    ends = network.run(go_inputs, branches)[-1]
    correct, error_deg = saccades(network.output(ends), np.tile(task.targets, len(n_steps)))
    errors = np.exp(1j * np.radians(error_deg)).reshape(len(n_steps), -1).mean(axis=1)
    error_deg = np.where(abs(errors) < NO_DIRECTION, np.nan, np.degrees(np.angle(errors)))
    return correct.reshape(len(n_steps), -1).mean(axis=1), error_deg


@checks_run_arguments
def delay_generalization_analysis(
    hp,
    log,
    model_dir,
    trial_list,
    rule,
    delays_ms=DELAYS_MS,
    epoch="delay1",
    n_directions=N_DIRECTIONS,
    save=True,
):
    """Test the network of each checkpoint with delays other than the trained one.

    Parameters
    ----------
    hp, log : dict
    model_dir : str
    trial_list : range, list, tuple, array or stage dict
    rule : str
    delays_ms : sequence of float
        Times from the start of the epoch to the go signal, in ms. As everywhere, a time is int(ms / dt) steps. The
        trained delay is added if it is not among them.
    epoch : str
        A delay after the stimulus; its input is held.
    n_directions : int
        Number of evenly spaced directions, with one trial each.
    save : bool
        Write the figure and the table (csv) into the figure folder of the rule and epoch.

    Returns
    -------
    DelayGeneralizationResult

    Raises
    ------
    ValueError
        If the rule is unknown, the epoch is not a delay after the stimulus, a delay is shorter than one step, or the
        log lacks a checkpoint.
    FileNotFoundError
        If none of the checkpoints is on disk. If only some are missing, a warning names them.
    """
    task = task_input(rule, hp, n_directions)
    trained_ms = task.trained_delay_steps(epoch) * task.dt
    try:
        delays_ms = sorted({*map(float, np.ravel(delays_ms)), float(trained_ms)})
    except (TypeError, ValueError):
        raise ValueError(f"delays_ms must be numbers, in ms, not {quoted(delays_ms)}.") from None
    wrong = [delay for delay in delays_ms if not task.dt <= delay < np.inf]
    if wrong:
        raise ValueError(f"delays_ms must be finite and at least one step ({task.dt} ms), not {quoted(wrong)}.")
    trials = present_trials(model_dir, flat_trials(trial_list, rule), rule)
    logged = {trial: performance_at(log, rule, trial) for trial in trials}

    def of_checkpoint(trial_num):
        performance, error_deg = remembered(
            lambda: compute_delay_generalization(network_at(hp, model_dir, trial_num), task, epoch, delays_ms),
            *("other delays", hp, model_dir, trial_num, rule, epoch, n_directions, *delays_ms),
        )
        return {"trial": trial_num, "delay_ms": delays_ms, "performance": performance, "error_deg": error_deg}

    tables = [pd.DataFrame(columns) for columns in in_order(of_checkpoint, trials, f"delays {rule} {epoch}")]
    table = pd.concat(tables, ignore_index=True)
    result = DelayGeneralizationResult(table, float(trained_ms), n_directions, logged, rule, epoch)
    if save:
        span, step = range_name(trial_list, rule)
        save_table(result, model_dir, rule, epoch, f"{rule}_{epoch}_{span}_step_{step}_delay_generalization")
    return result
