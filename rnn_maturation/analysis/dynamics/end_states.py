"""Find where the state of a network ends if a delay is held: in one fixed point, in several, or on a cycle.

A cycle of a network with discrete time steps is an invariant closed curve. The states of successive rounds do not
coincide, because the period is not a whole number of steps. Here the states between two steps are interpolated by cubic
polynomials through four steps, so that the return to a plane across the curve (Poincaré section) is a smooth map. The
fixed point of this map is found by Newton's method, the eigenvalues of the map there are the Floquet multipliers of the
cycle, and the time until the return is the period. The error is of fourth order in the angle per step: about 1e-5 of
the amplitude for 70 steps per round.
"""

from collections import deque
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from rnn_maturation.analysis.dynamics.fixed_points import SAME_POINT, TOLERANCE, fixed_points_at, newton
from rnn_maturation.analysis.dynamics.saving import save_table
from rnn_maturation.analysis.dynamics.spectrum import principal_axes, rotation_size, sorted_eigenvalues
from rnn_maturation.analysis.dynamics.step import network_at
from rnn_maturation.analysis.dynamics.task_input import task_input
from rnn_maturation.analysis.results import MappingResult, labelled
from rnn_maturation.checks import checks_run_arguments

HOLD_S = 60.0
WINDOW_S = 10.0  # the end of the hold, in which amplitudes are measured
RESTS = 1e-2  # distance that counts as none, relative to the r.m.s. distance of the starts from their mean
CYCLE_TOLERANCE = 1e-7  # largest distance between a state and its return to the section, relative to the amplitude
SHOWN_S = 10.0  # the beginning of the hold, from which the plane of the figure is computed


@dataclass(frozen=True)
class Cycle:
    """A closed orbit.

    Attributes
    ----------
    period : float
        In time steps; in general not a whole number.
    multipliers : (n_state - 1,) complex array
        Floquet multipliers, largest modulus first, without the one along the orbit, which is 1. The cycle is attracting
        if all are inside the unit circle.
    orbit : (n_steps, n_state) array
        States of one round, one time step apart.
    amplitude : float
        Root mean square distance of the orbit's states from their mean.
    return_error : float
        Distance between a state on the Poincaré section and its return.
    """

    period: float
    multipliers: np.ndarray
    orbit: np.ndarray
    amplitude: float
    return_error: float


@labelled
class EndStateResult(MappingResult):
    """Where the states of all locations end if a delay is held.

    Attributes
    ----------
    kind : str
        'fixed point': all locations end in the same fixed point, so the location is forgotten. 'fixed points': they end
        in different fixed points or slow places, so the location is kept. 'cycle': all end on cycles. 'other': none of
        these.
    period_ms, amplitude : float
        Of the (first) cycle. Without a cycle, the period is nan and the amplitude is that of the last 10 s of the hold
        (mean over locations). An amplitude is the root mean square distance from the mean state.
    multipliers : (n_state - 1,) complex array or None
        Floquet multipliers of the cycle, largest modulus first, without the one along the orbit.
    n_end_states : int
        Number of different fixed points, slow places, cycles or other end states.
    settle_s : float
        Time in s from which on every location stays near its fixed point: within 5 % of the root mean square distance
        of the starts from their mean. It is nan unless all locations end in fixed points.
    by_location : pandas.DataFrame
        Columns location_deg, kind ('fixed point', 'slow', 'cycle' or 'other'), end_state (index), amplitude and
        end_residual.
    end_states : (n_locations, n_state) array
        States at the end of the hold.
    trajectories : (n_time, n_locations, 2) array
        The hold in the plane of the first two principal components of its first 10 s.
    fixed_points : (n, 2) array
        Fixed points in that plane.
    fixed_points_stable : (n,) bool array
    orbit : (n_steps, 2) array
        The cycle in that plane; empty without a cycle.
    spread : (n_time,) array
        Root mean square distance of the locations' states from their mean.
    explained : (2,) array
        Share of the variance along each of the two components.
    dt : float
        Time step in ms.
    trained_delay_s : float
        Time from the start of the epoch to the go signal in s; for the go epoch, its length.
    rule, epoch : str
    trial_num : int or None
    """

    kind: str
    period_ms: float
    amplitude: float
    multipliers: np.ndarray | None
    n_end_states: int
    settle_s: float
    by_location: pd.DataFrame
    end_states: np.ndarray = field(repr=False)
    trajectories: np.ndarray = field(repr=False)
    fixed_points: np.ndarray = field(repr=False)
    fixed_points_stable: np.ndarray = field(repr=False)
    orbit: np.ndarray = field(repr=False)
    spread: np.ndarray = field(repr=False)
    explained: np.ndarray = field(repr=False)
    dt: float
    trained_delay_s: float
    rule: str = ""
    epoch: str = ""
    trial_num: int | None = None

    @property
    def data(self):
        """The attributes kind, period_ms, amplitude, multipliers, n_end_states and settle_s as a dict."""
        names = ("kind", "period_ms", "amplitude", "multipliers", "n_end_states", "settle_s")
        return {name: getattr(self, name) for name in names}

    def to_frame(self):
        """Return one row per location: by_location with the columns period_ms and kind_of_all.

        Returns
        -------
        pandas.DataFrame
        """
        return self.by_location.assign(period_ms=self.period_ms, kind_of_all=self.kind)

    def plot(self):
        """Draw the held delay in the plane of its first two principal components, and against time.

        Returns
        -------
        matplotlib.figure.Figure
        """
        from rnn_maturation.analysis.dynamics import figures

        return figures.end_state(self)


# ------------------------------------------------------------------------------------------------------------- cycles


def _interpolation(theta):
    """Return the weights of steps -1, 0, 1, 2 at the time theta between steps 0 and 1, and their derivatives."""
    t = theta
    weights = [
        -t * (t - 1) * (t - 2) / 6,
        (t + 1) * (t - 1) * (t - 2) / 2,
        -(t + 1) * t * (t - 2) / 2,
        (t + 1) * t * (t - 1) / 6,
    ]
    slopes = [
        -(3 * t**2 - 6 * t + 2) / 6,
        (3 * t**2 - 4 * t - 1) / 2,
        -(3 * t**2 - 2 * t - 2) / 2,
        (3 * t**2 - 1) / 6,
    ]
    return np.array(weights), np.array(slopes)


def _crossing(heights):
    """Return the time between steps 0 and 1 at which the height above a plane is zero, from those at -1, 0, 1, 2."""
    theta = heights[1] / (heights[1] - heights[2])
    for _ in range(8):
        weights, slopes = _interpolation(theta)
        theta -= (weights @ heights) / (slopes @ heights)
    return theta


def first_return(network, drive, start, center, normal, n_expected):
    """Follow the network from a state on a plane until it comes back through the plane in the same direction.

    Parameters
    ----------
    network : Step
    drive : (n_drive,) array
    start : (n_state,) array
        On the plane, or near it.
    center, normal : (n_state,) arrays
        The plane is normal @ (state - center) = 0. It is crossed from negative to positive values.
    n_expected : float
        Expected number of steps per round. Returns before half of them do not count.

    Returns
    -------
    (state, derivative, period, orbit) or None
        The state at the return (n_state,), its derivative with respect to `start` (n_state, n_state), the time until
        the return in steps, and the states of the round (n_steps, n_state). None if the network does not come back
        within twice the expected time.
    """
    state, rows = start, np.eye(network.n_state)  # row i: derivative of the state in the direction i
    orbit, last = [start], deque([(start, rows)], maxlen=4)
    heights = [normal @ (start - center)]
    for t in range(int(2 * n_expected) + 4):
        rows = network.differential(state[None], drive)(rows)
        state = network.step(state, drive)
        orbit.append(state)
        last.append((state, rows))
        heights.append(normal @ (state - center))
        now = t - 1  # the last step that is followed by two known steps
        if now > n_expected / 2 and heights[now] < 0 <= heights[now + 1]:
            break
    else:
        return None
    theta = _crossing(np.array(heights[-4:]))
    weights, slopes = _interpolation(theta)
    states = np.array([s for s, _ in last])
    back, velocity = weights @ states, slopes @ states
    derivative = sum(w * r for w, (_, r) in zip(weights, last, strict=True)).T
    derivative -= np.outer(velocity, normal @ derivative) / (normal @ velocity)
    return back, derivative, now + theta, np.array(orbit[: now + 1])


def refine_cycle(network, drive, trajectory, max_iterations=12):
    """Find the closed orbit near the end of a trajectory by Newton's method on a Poincaré section.

    Parameters
    ----------
    network : Step
    drive : (n_drive,) array
    trajectory : (n_time, n_state) array
        States of several rounds, one time step apart.

    Returns
    -------
    Cycle or None
        None if the trajectory does not come back to where it was, or if Newton's method does not converge.
    """
    center = trajectory.mean(axis=0)
    deviations = trajectory - center
    amplitude = np.sqrt((deviations**2).sum(axis=1).mean())
    normal = np.linalg.svd(deviations, full_matrices=False)[2][0]
    heights = deviations @ normal
    ups = np.flatnonzero((heights[:-1] < 0) & (heights[1:] >= 0))
    ups = ups[(ups >= 1) & (ups < len(heights) - 2)]
    if len(ups) < 3 or amplitude == 0:
        return None
    times = np.array([up + _crossing(heights[up - 1 : up + 3]) for up in ups])
    crossings = [_interpolation(t - up)[0] @ trajectory[up - 1 : up + 3] for t, up in zip(times, ups, strict=True)]
    distances = np.linalg.norm(np.array(crossings[:-1]) - crossings[-1], axis=1)
    # a round may cross the plane more than once: the last round starts at the latest crossing near the final one
    nearest = np.flatnonzero(distances <= max(2 * distances.min(), 0.1 * amplitude))[-1]
    n_expected = times[-1] - times[nearest]
    if distances[nearest] > amplitude / 2:
        return None
    point = crossings[-1]
    for _ in range(max_iterations):
        found = first_return(network, drive, point, center, normal, n_expected)
        if found is None:
            return None
        back, derivative, period, orbit = found
        error = np.linalg.norm(back - point)
        if error <= CYCLE_TOLERANCE * amplitude:
            break
        point = point + np.linalg.solve(np.eye(network.n_state) - derivative, back - point)
        if np.linalg.norm(point - center) > 10 * amplitude:
            return None
    else:
        return None
    multipliers = sorted_eigenvalues(derivative)[:-1]  # the last one is zero: the direction along the orbit
    lasts = np.ones(len(orbit))  # steps that each state represents; the round ends between two steps
    lasts[[0, -1]] = (1 + period % 1) / 2
    mean = lasts @ orbit / period
    size = np.sqrt(lasts @ ((orbit - mean) ** 2).sum(axis=1) / period)
    return Cycle(period, multipliers, orbit, float(size), float(error))


# ---------------------------------------------------------------------------------------------------------- end states


def compute_end_state(network, inputs, starts, dt, fixed_points=None, hold_s=HOLD_S, **labels):
    """Hold an input for a long time, starting from several states, and classify where they end.

    Parameters
    ----------
    network : Step
    inputs : (n_input,) array
        The held input.
    starts : (n_locations, n_state) array
        States at the start of the delay for evenly spaced locations, at least two.
    dt : float
        Time step in ms.
    fixed_points : FixedPointResult, optional
        Fixed points that the figure shows.
    hold_s : float
        Duration of the hold in s, at least 20.
    **labels
        Attributes trained_delay_s, rule, epoch and trial_num of the result.

    Returns
    -------
    EndStateResult

    Raises
    ------
    ValueError
        If `hold_s` is too short or not finite, or if there are fewer than two starts.
    """
    if not 2 * WINDOW_S <= hold_s < np.inf:
        raise ValueError(f"hold_s must be at least {2 * WINDOW_S:g} seconds, got {hold_s}.")
    if len(starts) < 2:
        raise ValueError(f"An end state needs at least 2 locations (n_locations), got {len(starts)}.")
    drive, n_window = network.drive(inputs), int(WINDOW_S * 1000 / dt)
    held = network.hold(drive, starts, max(int(hold_s * 1000 / dt), 2 * n_window), keep_every=1)
    scale = rotation_size(starts) + np.finfo(float).tiny
    near, near_residuals, _ = newton(network, drive, held[-1])
    kinds, places, cycles = _classify(network, drive, held, n_window, near, near_residuals <= TOLERANCE, scale)
    names = sorted(set(places), key=places.index)
    on_cycle = set(kinds) == {"cycle"}
    kind = "cycle" if on_cycle else "other"
    if set(kinds) <= {"fixed point", "slow"} and (len(names) > 1 or "slow" not in kinds):
        kind = "fixed points" if len(names) > 1 else "fixed point"
    amplitudes = _amplitude(held[-n_window:])
    away = np.linalg.norm(held - near, axis=2).max(axis=1) > 0.05 * scale
    settle_s = (np.flatnonzero(away)[-1] + 1) * dt / 1000 if away.any() else 0.0
    mean, axes, explained = principal_axes(held[: int(SHOWN_S * 1000 / dt)])
    points = fixed_points.states if fixed_points is not None else np.empty((0, network.n_state))
    stable = (abs(fixed_points.eigenvalues) < 1).all(axis=1) if fixed_points is not None else np.empty(0, dtype=bool)
    table = pd.DataFrame(
        {
            "location_deg": np.arange(len(starts)) * 360 / len(starts),
            "kind": kinds,
            "end_state": [names.index(place) for place in places],
            "amplitude": amplitudes,
            "end_residual": np.linalg.norm(network.residual(held[-1], drive), axis=1),
        }
    )
    return EndStateResult(
        kind=kind,
        period_ms=cycles[0].period * dt if on_cycle else np.nan,
        amplitude=cycles[0].amplitude if on_cycle else float(amplitudes.mean()),
        multipliers=cycles[0].multipliers if on_cycle else None,
        n_end_states=len(names),
        settle_s=settle_s if set(kinds) == {"fixed point"} else np.nan,
        by_location=table,
        end_states=held[-1],
        trajectories=(held - mean) @ axes,
        fixed_points=(points - mean) @ axes,
        fixed_points_stable=stable,
        orbit=(cycles[0].orbit - mean) @ axes if on_cycle else np.empty((0, 2)),
        spread=np.sqrt(((held - held.mean(axis=1, keepdims=True)) ** 2).sum(axis=2).mean(axis=1)),
        explained=explained,
        dt=dt,
        **labels,
    )


def _classify(network, drive, held, n_window, near, has_near, scale):
    """Classify where each location ends.

    Parameters
    ----------
    network : Step
    drive : (n_drive,) array
    held : (n_time, n_locations, n_state) array
    n_window : int
        Length in steps of the last part of the hold. It is compared with the part of the same length before it.
    near : (n_locations, n_state) array
        Fixed points that Newton's method found from the last states.
    has_near : (n_locations,) bool array
        Whether Newton's method converged.
    scale : float
        Root mean square distance of the starts from their mean.

    Returns
    -------
    kinds : list of str
    places : list of (str, int)
        Whether it is a point or a cycle, and its index among them.
    cycles : list of Cycle
    """
    window, before, ends = held[-n_window:], held[-2 * n_window : -n_window], held[-1]
    shrinks = _amplitude(window) < _amplitude(before)
    kinds, places, points, cycles = [], [], [], []

    def place(state, difference):
        same = [i for i, point in enumerate(points) if np.abs(point - state).max() <= difference]
        if not same:
            points.append(state)
        return "point", same[0] if same else len(points) - 1

    for k, end in enumerate(ends):
        is_stable = has_near[k] and abs(np.linalg.eigvals(network.jacobian(near[k], drive))).max() < 1
        if is_stable and np.linalg.norm(near[k] - end) <= RESTS * scale:
            kinds.append("fixed point")
            places.append(place(near[k], SAME_POINT))
            continue
        if np.abs(end - window[:, k]).max() <= RESTS * scale:
            kinds.append("slow")
            places.append(place(end, RESTS * scale))
            continue
        mean, amplitude = window[:, k].mean(axis=0), _amplitude(window[:, k, None])[0]
        known = [  # cycles found before that it follows: same mean to 5 % of the amplitude, same amplitude to 2 %
            i
            for i, cycle in enumerate(cycles)
            if np.linalg.norm(mean - cycle.orbit.mean(axis=0)) <= 0.05 * cycle.amplitude
            and abs(amplitude - cycle.amplitude) <= 0.02 * cycle.amplitude
        ]
        cycle = cycles[known[0]] if known else refine_cycle(network, drive, window[:, k])
        if cycle is not None and cycle.amplitude > RESTS * scale and abs(cycle.multipliers[0]) < 1:
            cycles += [] if known else [cycle]
            kinds.append("cycle")
            places.append(("cycle", known[0] if known else len(cycles) - 1))
        elif is_stable and shrinks[k]:  # a decay that lasts longer than the hold
            kinds.append("fixed point")
            places.append(place(near[k], SAME_POINT))
        else:
            kinds.append("other")
            places.append(place(end, SAME_POINT))
    return kinds, places, cycles


def _amplitude(states):
    """Return the root mean square over time of the distance from the mean state.

    Parameters
    ----------
    states : (n_time, n_locations, n_state) array

    Returns
    -------
    (n_locations,) array
    """
    return np.sqrt(((states - states.mean(axis=0)) ** 2).sum(axis=2).mean(axis=0))


@checks_run_arguments
def end_state_analysis(hp, model_dir, trial_num, rule, epoch="delay1", n_locations=8, hold_s=HOLD_S, save=True):
    """Find out where the state of a network ends if a delay is held.

    Parameters
    ----------
    hp : dict
    model_dir : str
    trial_num : int
    rule, epoch : str
        The input of the epoch must be the same for all locations.
    n_locations : int
        Number of evenly spaced locations, at least 2. The hold starts from the state of each at the start of the epoch.
    hold_s : float
        Duration of the hold in s, at least 20.
    save : bool
        Write the figure and the table (csv) into the figure folder of the rule and epoch.

    Returns
    -------
    EndStateResult

    Raises
    ------
    ValueError
        If the rule is not in the network's rule set, if the rule does not have the epoch or its input is not constant,
        or if n_locations or hold_s is too small.
    FileNotFoundError
        If there is no such checkpoint.
    """
    task = task_input(rule, hp, n_locations)
    inputs, steps = task.held(epoch), task.steps(epoch)
    network = network_at(hp, model_dir, trial_num)
    end = task.go if task.go > steps.start else steps.stop
    labels = {"rule": rule, "epoch": epoch, "trial_num": trial_num}
    labels["trained_delay_s"] = (end - steps.start) * task.dt / 1000
    with threadpool_limits(1, user_api="blas"):  # the matrix products are too small for several threads
        states = network.run(task.inputs[: steps.stop])
        starts = states[steps.start - 1] if steps.start else np.zeros((n_locations, network.n_state))
        found = fixed_points_at(network, task, epoch, states, with_slow_points=False)
        result = compute_end_state(network, inputs, starts, task.dt, found, hold_s, **labels)
    if save:
        save_table(result, model_dir, rule, epoch, f"{rule}_{epoch}_{trial_num}_end_state")
    return result
