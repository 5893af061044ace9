"""Test whether the rotation carries the location, with kicks in its plane and by removing the plane."""

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from rnn_maturation.analysis.conditions import as_list
from rnn_maturation.analysis.dynamics.fixed_points import fixed_points_at
from rnn_maturation.analysis.dynamics.saving import save_table
from rnn_maturation.analysis.dynamics.spectrum import plane, principal_axes, rotation
from rnn_maturation.analysis.dynamics.step import network_at
from rnn_maturation.analysis.dynamics.task_input import saccades, task_input
from rnn_maturation.analysis.results import TableResult, labelled
from rnn_maturation.checks import check_whole_number, checks_run_arguments

N_DIRECTIONS = 32
KICK_DEG = 45.0
KICK_EVERY_MS = 100.0
N_RANDOM_PLANES = 5


@labelled
class PerturbationResult(TableResult):
    """Effects of kicks in the plane of the rotation and of removing the plane, compared with random planes.

    Attributes
    ----------
    data : pandas.DataFrame
        One row per perturbation. Columns manipulation ('kick' or 'removed'); plane ('rotation', 'random', 'principal',
        'mode', 'random mode' or 'none', see `compute_perturbation`); draw, the number of the random plane; rule;
        time_ms, the time of a kick after the start of the delay; shift_deg, the circular mean over directions of the
        angle by which a kick moves the saccade; performance. time_ms and shift_deg are nan for 'removed'.
    kick_deg : float
        Angle by which a kick advances the rotation, in degrees.
    pair_modulus, frequency_hz : float
        Modulus and frequency of the leading complex pair, which is the rotation.
    rule, epoch : str
        Rule and delay in which the network was kicked.
    trial_num : int or None
    """

    data: pd.DataFrame
    kick_deg: float
    pair_modulus: float
    frequency_hz: float
    rule: str
    epoch: str
    trial_num: int | None = None

    def plot(self):
        """Draw the shift of the saccade against the time of the kick, and the performance with planes removed.

        Returns
        -------
        matplotlib.figure.Figure
        """
        from rnn_maturation.analysis.dynamics import figures

        return figures.perturbation(self)


def random_planes(n_state, n_planes, seed=0):
    """Return orthonormal bases of random planes as a (n_planes, n_state, 2) array."""
    rng = np.random.default_rng(seed)
    return np.linalg.qr(rng.standard_normal((n_planes, n_state, 2)))[0]


def compute_kicks(network, task, epoch, jacobian, kick_deg=KICK_DEG, every_ms=KICK_EVERY_MS, planes=()):
    """Advance the rotation at several times of a delay, and measure how far the saccade moves.

    A kick turns the component of the leading complex pair by an angle, as if the rotation were ahead by this angle. It
    acts on the deviation of each direction's state from the mean over directions. A kick in a random plane has the same
    length.

    Parameters
    ----------
    network : Step
    task : TaskInput
    epoch : str
    jacobian : (n_state, n_state) array
        Jacobian of one time step at the fixed point of the delay.
    kick_deg : float
        Angle in degrees.
    every_ms : float
        Interval between the times of the kicks, in ms.
    planes : sequence of (n_state, 2) arrays
        Orthonormal bases of random planes.

    Returns
    -------
    pandas.DataFrame
        Columns plane, draw, time_ms, shift_deg and performance, see `PerturbationResult`.
    """
    _, right, left = rotation(jacobian)
    basis = plane(jacobian)
    steps = task.steps(epoch)
    states = network.run(task.inputs)
    before = saccades(network.output(states[-1]), task.targets)[1]
    rows = []
    for t in range(steps.start, steps.stop, max(1, int(every_ms / task.dt))):
        deviation = states[t - 1] - states[t - 1].mean(axis=0)
        component = deviation @ left
        kick = 2 * ((np.exp(1j * np.radians(kick_deg)) - 1) * component[:, None] * right).real
        kicks = [("rotation", 0, kick)]
        kicks += [("random", draw, kick @ basis @ other.T) for draw, other in enumerate(planes)]
        for name, draw, vector in kicks:
            end = network.run(task.inputs[t:], states[t - 1] + vector)[-1]
            correct, after = saccades(network.output(end), task.targets)
            shift = np.degrees(np.angle(np.exp(1j * np.radians(after - before)).mean()))
            row = {"plane": name, "draw": draw, "time_ms": (t - steps.start) * task.dt, "shift_deg": shift}
            rows.append({**row, "performance": correct.mean()})
    return pd.DataFrame(rows)


def compute_removal(network, task, basis, reader=None):
    """Return the share of correct saccades if differences between directions in a plane are removed at every step.

    Parameters
    ----------
    network : Step
    task : TaskInput
    basis : (n_state, k) array
        Vectors along which the states' deviations from their mean over directions are removed, in the whole trial.
    reader : (n_state, k) array, optional
        Vectors whose products with the deviations say how much of each basis vector is removed; default: the basis,
        which must then be orthonormal.

    Returns
    -------
    float
    """
    reader = basis if reader is None else reader
    end = network.run(task.inputs, change=lambda _, h: h - ((h - h.mean(axis=0)) @ reader) @ basis.T)[-1]
    return float(saccades(network.output(end), task.targets)[0].mean())


def compute_perturbation(network, task, epoch, tasks, kick_deg=KICK_DEG, n_planes=N_RANDOM_PLANES, trial_num=None):
    """Kick a network in the plane of its rotation, and remove that plane.

    Five kinds of components are removed, each from the deviations of the states from their mean over directions:

    - 'rotation': the orthogonal projection onto the plane of the leading complex pair;
    - 'principal': that onto the first two principal components of these deviations in the delay;
    - 'random': that onto random planes;
    - 'mode': the component of the pair in the linearized dynamics of the delay. It is read with the left eigenvectors
      and removed along the right ones, which is an oblique projection onto the same plane as that of 'rotation';
    - 'random mode': the projection of 'mode', turned into random orientations.

    Parameters
    ----------
    network : Step
    task : TaskInput
        Input of the rule in whose delay the network is kicked.
    epoch : str
    tasks : {rule: TaskInput}
        Rules whose performance is measured with planes removed.
    kick_deg, n_planes, trial_num
        As for `perturbation_analysis`.

    Returns
    -------
    PerturbationResult

    Raises
    ------
    ValueError
        If no fixed point was found, if the one nearest to the mean state of the epoch has no complex pair of
        eigenvalues, or if kick_deg or n_planes is not allowed.
    """
    if not 0 < abs(kick_deg) <= 180:
        raise ValueError(f"kick_deg must be between -180 and 180 degrees and not 0, got {kick_deg}.")
    planes = random_planes(network.n_state, check_whole_number("n_planes", n_planes))
    states = network.run(task.inputs)
    found = fixed_points_at(network, task, epoch, states, with_slow_points=False)
    if np.isnan(found.pair):
        reason = "the first fixed point has no complex pair of eigenvalues"
        raise ValueError(
            f"Checkpoint {trial_num} has no rotation to perturb in {epoch} of {task.rule}: "
            f"{reason if len(found.states) else 'no fixed point was found'} ({found.n_converged} of {found.n_starts} "
            "starts converged). Choose another checkpoint; the column pair_modulus of eigenvalue_growth_analysis shows "
            "where there is a pair."
        )
    kicks = compute_kicks(network, task, epoch, found.jacobians[0], kick_deg, planes=planes)
    tables = [kicks.assign(manipulation="kick", rule=task.rule)]
    in_delay = states[task.steps(epoch)]
    principal = principal_axes(in_delay - in_delay.mean(axis=1, keepdims=True))[1]
    _, right, left = rotation(found.jacobians[0])
    mode, reader = (np.stack([2 * right.real, -2 * right.imag], 1), np.stack([left.real, left.imag], 1))
    spanned = np.linalg.qr(np.concatenate([mode, reader], axis=1))[0]
    removed = [("none", 0, np.zeros((network.n_state, 2)), None), ("rotation", 0, plane(found.jacobians[0]), None)]
    removed += [("principal", 0, principal, None), ("mode", 0, mode, reader)]
    for draw, (basis, other) in enumerate(zip(planes, random_planes(network.n_state, n_planes, seed=1), strict=True)):
        # mode and reader are turned together, so that the angles between them stay the same
        turned = np.linalg.qr(np.concatenate([basis, other], axis=1))[0] @ spanned.T
        removed += [("random", draw, basis, None), ("random mode", draw, turned @ mode, turned @ reader)]
    for name, of_rule in tasks.items():
        rows = [
            {"plane": kind, "draw": draw, "performance": compute_removal(network, of_rule, *directions)}
            for kind, draw, *directions in removed
        ]
        tables.append(pd.DataFrame(rows).assign(manipulation="removed", rule=name))
    columns = ["manipulation", "plane", "draw", "rule", "time_ms", "shift_deg", "performance"]
    table = pd.concat(tables, ignore_index=True).reindex(columns=columns)
    return PerturbationResult(table, kick_deg, found.pair_modulus, found.frequency_hz, task.rule, epoch, trial_num)


@checks_run_arguments
def perturbation_analysis(
    hp,
    model_dir,
    trial_num,
    rule,
    epoch="delay1",
    rules=None,
    kick_deg=KICK_DEG,
    n_directions=N_DIRECTIONS,
    n_planes=N_RANDOM_PLANES,
    save=True,
):
    """Kick a checkpoint's network in the plane of its rotation, and remove that plane.

    Parameters
    ----------
    hp : dict
    model_dir : str
    trial_num : int
    rule, epoch : str
        The rule and the delay in which the network is kicked.
    rules : list of str, optional
        Rules whose performance is measured with planes removed; default: all that the network was trained on.
    kick_deg : float
        Angle by which a kick advances the rotation, in degrees.
    n_directions : int
        Number of evenly spaced directions, with one trial each.
    n_planes : int
        Number of random planes for comparison.
    save : bool
        Write the figure and the table (csv) into the figure folder of the rule and epoch.

    Returns
    -------
    PerturbationResult

    Raises
    ------
    ValueError
        If a rule is unknown, the epoch is not a delay after the stimulus, or `compute_perturbation` raises one.
    FileNotFoundError
        If there is no such checkpoint.
    """
    task = task_input(rule, hp, n_directions)
    task.trained_delay_steps(epoch)
    rules = as_list(hp.get("rules", [rule]) if rules is None else rules)
    tasks = {name: task_input(name, hp, n_directions) for name in rules}
    network = network_at(hp, model_dir, trial_num)
    with threadpool_limits(1, user_api="blas"):  # the matrix products are too small for several threads
        result = compute_perturbation(network, task, epoch, tasks, kick_deg, n_planes, trial_num)
    if save:
        save_table(result, model_dir, rule, epoch, f"{rule}_{epoch}_{trial_num}_perturbation")
    return result
