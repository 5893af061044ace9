"""Whether the rotation carries the location: kicks in its plane, and the plane taken away."""

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
from rnn_maturation.checks import check_whole_number

N_DIRECTIONS = 32
KICK_DEG = 45.0
KICK_EVERY_MS = 100.0
N_RANDOM_PLANES = 5


@labelled
class PerturbationResult(TableResult):
    """Kicks in the plane of the rotation and the plane removed, beside random planes.

    Attributes
    ----------
    data : pandas.DataFrame
        One row per perturbation. manipulation ('kick' or 'removed'); plane ('rotation', 'random', 'principal', 'mode',
        'random mode' or 'none', see `compute_perturbation`); draw (of random planes); rule; time_ms of a kick from the
        start of the delay (nan for 'removed'); shift_deg, the circular mean over directions of how far a kick moves the
        saccade (nan for 'removed'); performance.
    kick_deg : float
        Angle by which a kick advances the rotation.
    pair_modulus, frequency_hz : float
        Of the rotation.
    rule, epoch : str
        Of the delay in which the rotation is and the kicks are given.
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
        """Draw the shift of the saccade over the time of the kick, and performance with planes removed.

        Returns
        -------
        matplotlib.figure.Figure
        """
        from rnn_maturation.analysis.dynamics import figures

        return figures.perturbation(self)


def random_planes(n_state, n_planes, seed=0):
    """Return orthonormal bases of random planes, (n_planes, n_state, 2)."""
    rng = np.random.default_rng(seed)
    return np.linalg.qr(rng.standard_normal((n_planes, n_state, 2)))[0]


def compute_kicks(network, task, epoch, jacobian, kick_deg=KICK_DEG, every_ms=KICK_EVERY_MS, planes=()):
    """Advance the rotation at times of a delay and see how far the saccade moves.

    A kick takes what a direction's state differs by from the mean over directions, as far as it lies in the leading
    complex pair, and turns it by an angle: as if the rotation were ahead by that much. In a random plane a kick has the
    same length.

    Parameters
    ----------
    network : Step
    task : TaskInput
    epoch : str
    jacobian : (n_state, n_state) array
        Of a step at the fixed point of the delay.
    kick_deg : float
    every_ms : float
        Between the times at which kicks are tried.
    planes : sequence of (n_state, 2) arrays
        Orthonormal bases of random planes.

    Returns
    -------
    pandas.DataFrame
        plane, draw, time_ms, shift_deg, performance.
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
    """Remove what differs between directions in a plane after every step of the trial; the share of correct saccades.

    Parameters
    ----------
    network : Step
    task : TaskInput
    basis : (n_state, k) array
        Directions that are removed.
    reader : (n_state, k) array, optional
        Reads how much of each direction there is; default: the basis itself, which must then be orthonormal.

    Returns
    -------
    float
    """
    reader = basis if reader is None else reader
    end = network.run(task.inputs, change=lambda _, h: h - ((h - h.mean(axis=0)) @ reader) @ basis.T)[-1]
    return float(saccades(network.output(end), task.targets)[0].mean())


def compute_perturbation(network, task, epoch, tasks, kick_deg=KICK_DEG, n_planes=N_RANDOM_PLANES, trial_num=None):
    """Kick a network in the plane of its rotation, and remove that plane.

    What is removed: 'rotation', the orthogonal projection on the plane of the pair; 'principal', that on the first two
    principal components of what differs between directions in the delay; 'random', that on random planes. 'mode' takes
    away the pair's component as the dynamics define it: it is read by the left eigenvectors, which also take what other
    modes have along them (an oblique projection). 'random mode': projections as oblique as that in random directions.

    Parameters
    ----------
    network : Step
    task : TaskInput
        Of the rule whose delay has the rotation.
    epoch : str
    tasks : {rule: TaskInput}
        Rules tried with planes removed.
    kick_deg, n_planes, trial_num
        As for `perturbation_analysis`.

    Returns
    -------
    PerturbationResult

    Raises
    ------
    ValueError
        When no fixed point with a complex pair of eigenvalues was found.
    """
    states = network.run(task.inputs)
    found = fixed_points_at(network, task, epoch, states, with_slow_points=False)
    if np.isnan(found.pair):
        raise ValueError(
            f"Checkpoint {trial_num} has {len(found.states)} fixed points in {epoch} of {task.rule} "
            f"({found.n_converged} of {found.n_starts} starts converged), none with a complex pair of "
            "eigenvalues: there is no rotation to perturb. Choose another checkpoint; eigenvalue_growth_analysis shows "
            "where there is one."
        )
    if not 0 < abs(kick_deg) <= 180:
        raise ValueError(f"kick_deg must be an angle up to 180 degrees and not 0, got {kick_deg}.")
    planes = random_planes(network.n_state, check_whole_number("n_planes", n_planes))
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
        turned = (
            np.linalg.qr(np.concatenate([basis, other], axis=1))[0] @ spanned.T
        )  # mode and reader keep their angles
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
        The delay whose fixed point has the rotation and in which kicks are given.
    rules : list of str, optional
        Rules tried with planes removed; default: all that the network was trained on.
    kick_deg : float
        Angle by which a kick advances the rotation.
    n_directions : int
    n_planes : int
        Random planes beside that of the rotation.
    save : bool
        Write the figure and the table (csv) into the figure folder of the rule and epoch.

    Returns
    -------
    PerturbationResult

    Raises
    ------
    ValueError
        For an unknown rule, an epoch that is no delay after the stimulus, or when no fixed point with a complex pair of
        eigenvalues was found.
    FileNotFoundError
        When there is no such checkpoint.
    """
    task = task_input(rule, hp, n_directions)
    task.trained_delay_steps(epoch)
    rules = as_list(hp.get("rules", [rule]) if rules is None else rules)
    tasks = {name: task_input(name, hp, n_directions) for name in rules}
    network = network_at(hp, model_dir, trial_num)
    with threadpool_limits(1, user_api="blas"):  # the products are too small to be shared out
        result = compute_perturbation(network, task, epoch, tasks, kick_deg, n_planes, trial_num)
    if save:
        save_table(result, model_dir, rule, epoch, f"{rule}_{epoch}_{trial_num}_perturbation")
    return result
