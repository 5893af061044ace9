"""Fixed and slow points of a network under a held input, by Newton's method from many starts.

The method follows Sussillo & Barak, Neural Computation 25:626 (2013). The names of the saved arrays are those of
FixedPointFinder (Golub & Sussillo, JOSS 3(31):1003, 2018).
"""

import numpy as np
import pandas as pd
from scipy.optimize import least_squares
from threadpoolctl import threadpool_limits

from rnn_maturation.analysis.dynamics.spectrum import (
    NO_PAIR,
    frequency_hz,
    leading_pair,
    memory_time_s,
    sorted_eigenvalues,
)
from rnn_maturation.analysis.dynamics.step import network_at
from rnn_maturation.analysis.dynamics.task_input import task_input
from rnn_maturation.analysis.results import MappingResult, labelled
from rnn_maturation.checks import check_whole_number, checks_run_arguments
from rnn_maturation.figures import save_figure
from rnn_maturation.files import atomic_write
from rnn_maturation.model_directory import figure_dir

TOLERANCE = 1e-9  # largest residual at which a start has converged
SAME_POINT = 1e-5  # largest difference of any unit between two states that count as the same fixed point
SAME_SLOW_POINT = 1e-2  # the same for slow points, because minima are located less precisely than zeros
IS_LEVEL = 1e-3  # largest norm of the gradient of the residual at a local minimum; elsewhere it is about 1
N_ATTEMPTS, MOVE_STEPS = 3, 25
N_STARTS = 64
MAX_ITERATIONS = 60
SMALLEST_STEP = 1 / 1024  # of the line search; a start that needs a smaller step has stalled
LINEAR_TOLERANCE, KRYLOV_VECTORS = (1e-4, 0.1), 24  # for the linear equations of a Newton step; relative
PRECONDITIONED_AT = (0, 3, 8)  # iterations before which the shared preconditioner is recomputed
LATE_HOLD_S = 5.0  # how long the input is held to reach the late states among the starts
RANDOM_RANGE = 1.5  # factor by which the range of each unit in the epoch is stretched for random states


@labelled
class FixedPointResult(MappingResult):
    """Fixed points of a network under one held input, the one nearest to the mean state of the epoch first.

    As a mapping, it has the names of FixedPointFinder (see `data`).

    Attributes
    ----------
    states : (n, n_state) array
        Fixed points; n is 0 if none was found. n_state is the number of units, or twice that number for an LSTM.
    residuals : (n,) array
        L2 norms of (F(h) - h) / alpha.
    eigenvalues : (n, n_state) complex array
        Eigenvalues of the Jacobian of one time step, largest modulus first.
    jacobians : (n, n_state, n_state) array
    n_starts, n_converged : int
        Number of starts of Newton's method, and of those that converged. The search proves that the points it finds
        exist, but not that there are no others.
    memory_time_s, frequency_hz, pair_modulus : float
        Of the leading complex pair of the first fixed point; nan if there is none. The memory time is infinite if the
        modulus is at least 1.
    largest_modulus, n_unstable : float, int
        Largest modulus and number of unstable eigenvalues of the first fixed point; nan and 0 if there is none.
    slow_points : (m, n_state) array
        Local minima of the speed that are not fixed points.
    slow_residuals : (m,) array
    starts : (n_starts, n_state) array
    reached : (n_starts,) int array
        Index of the fixed point that each start led to, or -1. In a search for slow points, the speed is minimized from
        the starts that did not converge, which may find a fixed point too.
    n_iterations : (n_starts,) int array
        Number of Newton steps from each start.
    end_residuals : (n_starts,) array
        Residual at the end of Newton's method from each start.
    images : (n, n_state) array
        F(states).
    inputs : (n_input,) array
        The held input.
    dt : float
        Time step in ms.
    rule, epoch : str
    trial_num : int or None
    """

    states: np.ndarray
    residuals: np.ndarray
    eigenvalues: np.ndarray
    jacobians: np.ndarray
    n_starts: int
    n_converged: int
    slow_points: np.ndarray
    slow_residuals: np.ndarray
    starts: np.ndarray
    reached: np.ndarray
    n_iterations: np.ndarray
    end_residuals: np.ndarray
    images: np.ndarray
    inputs: np.ndarray
    dt: float
    rule: str = ""
    epoch: str = ""
    trial_num: int | None = None

    @property
    def pair(self):
        """Leading complex pair of the first fixed point: its eigenvalue with positive imaginary part; nan if none."""
        return leading_pair(self.eigenvalues[0]) if len(self.states) else NO_PAIR

    @property
    def pair_modulus(self):
        """Modulus of the leading complex pair."""
        return float(abs(self.pair))

    @property
    def memory_time_s(self):
        """Memory time of the leading complex pair in s."""
        return memory_time_s(self.pair, self.dt)

    @property
    def frequency_hz(self):
        """Frequency of the leading complex pair in Hz."""
        return frequency_hz(self.pair, self.dt)

    @property
    def largest_modulus(self):
        """Largest modulus of the eigenvalues of the first fixed point."""
        return float(abs(self.eigenvalues[0, 0])) if len(self.states) else np.nan

    @property
    def n_unstable(self):
        """Number of eigenvalues of the first fixed point outside the unit circle."""
        return int((abs(self.eigenvalues[0]) > 1).sum()) if len(self.states) else 0

    @property
    def data(self):
        """The result as a dict with the names of FixedPointFinder; the first axis of its arrays is fixed points.

        xstar, F_xstar (n, n_state); x_init (n, n_state), the first start that led to each point; inputs (n, n_input);
        cond_id (n,); qstar (n,) = |F(x) - x|^2 / 2; dq (n,), its change in the last step, which is not known here
        (nan); n_iters (n,); J_xstar (n, n_state, n_state); eigval_J_xstar (n, n_state); is_stable (n,). Further items
        are residuals (n,), n_starts, n_converged, slow_points, slow_residuals, dt_ms, rule, epoch and trial_num (-1 if
        there is none).
        """
        n = len(self.states)
        first = [int(np.flatnonzero(self.reached == point)[0]) for point in range(n)]
        return {
            "xstar": self.states,
            "F_xstar": self.images,
            "x_init": self.starts[first],
            "inputs": np.tile(self.inputs, (n, 1)),
            "cond_id": np.zeros(n, dtype=int),
            "qstar": 0.5 * ((self.images - self.states) ** 2).sum(axis=1),
            "dq": np.full(n, np.nan),
            "n_iters": self.n_iterations[first],
            "J_xstar": self.jacobians,
            "eigval_J_xstar": self.eigenvalues,
            "is_stable": (abs(self.eigenvalues) < 1).all(axis=1),
            "residuals": self.residuals,
            "n_starts": self.n_starts,
            "n_converged": self.n_converged,
            "slow_points": self.slow_points,
            "slow_residuals": self.slow_residuals,
            "dt_ms": self.dt,
            "rule": self.rule,
            "epoch": self.epoch,
            "trial_num": -1 if self.trial_num is None else self.trial_num,
        }

    def to_frame(self):
        """Return one row per fixed point and per slow point.

        Returns
        -------
        pandas.DataFrame
            Columns point (index), kind ('fixed point' or 'slow point'), residual, norm, n_starts_reached, n_unstable,
            largest_modulus, pair_modulus, frequency_hz and memory_time_s. The last six are nan for slow points.
        """
        rows = []
        for point, (state, residual, values) in enumerate(
            zip(self.states, self.residuals, self.eigenvalues, strict=True)
        ):
            pair = leading_pair(values)
            rows.append(
                {
                    "point": point,
                    "kind": "fixed point",
                    "residual": residual,
                    "norm": np.linalg.norm(state),
                    "n_starts_reached": int((self.reached == point).sum()),
                    "n_unstable": int((abs(values) > 1).sum()),
                    "largest_modulus": abs(values[0]),
                    "pair_modulus": abs(pair),
                    "frequency_hz": frequency_hz(pair, self.dt),
                    "memory_time_s": memory_time_s(pair, self.dt),
                }
            )
        for state, residual in zip(self.slow_points, self.slow_residuals, strict=True):
            rows.append({"point": len(rows), "kind": "slow point", "residual": residual, "norm": np.linalg.norm(state)})
        columns = "point kind residual norm n_starts_reached n_unstable largest_modulus pair_modulus".split()
        return pd.DataFrame(rows, columns=[*columns, "frequency_hz", "memory_time_s"])

    def plot(self):
        """Draw the eigenvalues in the complex plane, and the points among the starts (first two principal components).

        Returns
        -------
        matplotlib.figure.Figure
        """
        from rnn_maturation.analysis.dynamics import figures

        return figures.fixed_points(self)


# -------------------------------------------------------------------------------------------------------- the search


def newton(network, drive, starts):
    """Run Newton's method with a line search from all starts at once.

    A start stalls where no step makes the residual smaller: where its Jacobian is singular, or at a slow point.

    The linear equations of a step are solved by GMRES (Newton-Krylov method). One of its iterations is one matrix
    product for all starts together, and all starts share a preconditioner: the inverse Jacobian of the residual at the
    best state so far. The directions are float32 and only as exact as the distance from a fixed point requires; states
    and residuals are float64.

    Parameters
    ----------
    network : Step
    drive : (n_drive,) array
    starts : (n_starts, n_state) array

    Returns
    -------
    states : (n_starts, n_state) array
    residuals : (n_starts,) array
        L2 norms; a start has converged if its norm is at most `TOLERANCE`.
    n_iterations : (n_starts,) int array
        Number of Newton steps.
    """
    states = np.array(starts, dtype=float)
    residuals = network.residual(states, drive)
    norms = np.linalg.norm(residuals, axis=1)
    n_iterations = np.zeros(len(states), dtype=int)
    active, single = np.isfinite(norms) & (norms > TOLERANCE), network.in_single_precision()
    for iteration in range(MAX_ITERATIONS):
        at = np.flatnonzero(active)
        if not len(at):
            break
        if iteration in PRECONDITIONED_AT:
            jacobian = network.jacobian(states[np.nanargmin(norms)], drive)
            try:
                preconditioner = np.linalg.inv((jacobian - np.eye(network.n_state)) / network.alpha).T
            except np.linalg.LinAlgError:
                preconditioner = np.eye(network.n_state)
            preconditioner = preconditioner.astype(np.float32)
        image = single.differential(states[at].astype(np.float32), drive.astype(np.float32))
        directions = _newton_directions(
            lambda v, image=image: (image(v) - v) / network.alpha, residuals[at].astype(np.float32), preconditioner
        )
        n_iterations[at] += 1
        step, left = 1.0, np.arange(len(at))
        while len(left) and step >= SMALLEST_STEP:
            there = at[left]
            tried = states[there] + step * directions[left]
            tried_residuals = network.residual(tried, drive)
            tried_norms = np.linalg.norm(tried_residuals, axis=1)
            better = tried_norms < (1 - 1e-4 * step) * norms[there]
            states[there[better]], residuals[there[better]] = tried[better], tried_residuals[better]
            norms[there[better]] = tried_norms[better]
            left, step = left[~better], step / 2
        active[at[left]] = False  # stalled
        active &= norms > TOLERANCE
    return states, norms, n_iterations


def _newton_directions(jacobian, residuals, preconditioner):
    """Solve jacobian(d) = -residual for each row by GMRES with a right preconditioner: (n_starts, n_state).

    The largest relative error of a row's linear equations is the norm of its residual, clipped to `LINEAR_TOLERANCE`:
    far from a fixed point, the solution need not be exact. There are at most `KRYLOV_VECTORS` iterations.

    Parameters
    ----------
    jacobian : callable
        Applies the Jacobian of each start to its row of a (n_starts, n_state) array.
    residuals : (n_starts, n_state) array
    preconditioner : (n_state, n_state) array
    """
    n_starts, n_state = residuals.shape
    n_vectors = min(KRYLOV_VECTORS, n_state)
    norms = np.linalg.norm(residuals, axis=1, keepdims=True)
    tolerated = np.clip(norms[:, 0], *LINEAR_TOLERANCE) ** 2
    basis = np.empty((n_starts, n_vectors + 1, n_state), residuals.dtype)
    searched = np.empty((n_starts, n_vectors, n_state), residuals.dtype)
    basis[:, 0] = -residuals / np.maximum(norms, np.finfo(norms.dtype).tiny)
    hessenberg = np.zeros((n_starts, n_vectors + 1, n_vectors))
    for k in range(n_vectors):
        searched[:, k] = basis[:, k] @ preconditioner
        image = jacobian(searched[:, k])
        known = basis[:, : k + 1]
        overlap = (known @ image[:, :, None])[:, :, 0]
        image = image - (overlap[:, None] @ known)[:, 0]
        length = np.linalg.norm(image, axis=1)
        hessenberg[:, : k + 1, k], hessenberg[:, k + 1, k] = overlap, length
        basis[:, k + 1] = image / np.maximum(length, np.finfo(length.dtype).tiny)[:, None]
        if k % 3 < 2 and k < n_vectors - 1:
            continue  # the small least-squares problems are solved at every third vector only
        q, r = np.linalg.qr(hessenberg[:, : k + 2, : k + 1])
        reached = 1 - (q[:, 0, :] ** 2).sum(axis=1)  # squared relative residual of the linear equations
        if (reached < tolerated).all():
            break
    diagonal = np.einsum("skk->sk", r)
    diagonal[abs(diagonal) < 1e-13] = 1e-13  # the basis already had this direction
    weights = np.linalg.solve(r, q[:, 0, :, None])
    return norms * (weights.astype(residuals.dtype).swapaxes(1, 2) @ searched[:, : k + 1])[:, 0]


def descend(network, drive, states):
    """Minimize the speed by the Levenberg-Marquardt method, starting where Newton's method stalled.

    The speed is the norm of the residual.

    Parameters
    ----------
    network : Step
    drive : (n_drive,) array
    states : (n, n_state) array

    Returns
    -------
    ends : (n, n_state) array
    residuals : (n,) array
    is_minimum : (n,) bool array
        Whether the gradient of the speed is at most `IS_LEVEL`.
    """
    ends, residuals, is_minimum = [], [], []
    for state in states:
        fit = least_squares(
            lambda x: network.residual(x[None], drive)[0],
            state,
            jac=lambda x: (network.jacobian(x, drive) - np.eye(network.n_state)) / network.alpha,
            method="lm",
            max_nfev=60,
        )
        ends.append(fit.x)
        residuals.append(np.linalg.norm(fit.fun))
        is_minimum.append(np.linalg.norm(fit.grad) <= IS_LEVEL * residuals[-1])
    return np.array(ends).reshape(-1, network.n_state), np.array(residuals), np.array(is_minimum, dtype=bool)


def _distinct(states, difference):
    """Return groups of indices: each state differs from the first of its group by at most `difference` in any unit."""
    groups = []
    for k, state in enumerate(states):
        same = [group for group in groups if np.abs(state - states[group[0]]).max() <= difference]
        if same:
            same[0].append(k)
        else:
            groups.append([k])
    return groups


def compute_fixed_points(network, inputs, starts, reference=None, with_slow_points=True, **labels):
    """Find the fixed points of a network under a held input.

    A start from which `newton` does not converge is moved along the network's own dynamics for `MOVE_STEPS` steps and
    tried again; there are at most `N_ATTEMPTS` attempts in all.

    Parameters
    ----------
    network : Step
    inputs : (n_input,) array
        The input that is held.
    starts : (n_starts, n_state) array
    reference : (n_state,) array, optional
        Fixed points are sorted by their distance from it; default: the mean of the starts.
    with_slow_points : bool
        Also search for slow points, from the starts that did not converge.
    **labels
        Attributes dt (ms), rule, epoch and trial_num of the result.

    Returns
    -------
    FixedPointResult
    """
    drive = network.drive(inputs)
    ends, end_norms, n_iterations = newton(network, drive, starts)
    moved = np.array(starts, dtype=float)
    for _ in range(N_ATTEMPTS - 1):
        left = np.flatnonzero(~(end_norms <= TOLERANCE))
        if not len(left):
            break
        moved[left] = network.hold(drive, moved[left], MOVE_STEPS)
        ends[left], end_norms[left], more = newton(network, drive, moved[left])
        n_iterations[left] += more

    norms, is_slow = end_norms.copy(), np.zeros(len(starts), dtype=bool)
    stalled = np.flatnonzero(np.isfinite(norms) & (norms > TOLERANCE))
    if with_slow_points and len(stalled):
        ends[stalled], norms[stalled], is_minimum = descend(network, drive, ends[stalled])
        is_slow[stalled] = is_minimum & (norms[stalled] > 1e3 * TOLERANCE)
    at_points = np.flatnonzero(norms <= TOLERANCE)
    at_points = at_points[np.argsort(norms[at_points], kind="stable")]
    groups = [at_points[group] for group in _distinct(ends[at_points], SAME_POINT)]
    reference = starts.mean(axis=0) if reference is None else reference
    groups.sort(key=lambda group: np.linalg.norm(ends[group[0]] - reference))
    reached = np.full(len(starts), -1)
    for point, group in enumerate(groups):
        reached[group] = point
    best = [group[0] for group in groups]
    states, jacobians = ends[best], np.array([network.jacobian(ends[k], drive) for k in best])
    slow = np.flatnonzero(is_slow)
    slow = slow[[group[0] for group in _distinct(ends[slow], SAME_SLOW_POINT)]]
    return FixedPointResult(
        states=states,
        residuals=norms[best],
        eigenvalues=np.array([sorted_eigenvalues(j) for j in jacobians]).reshape(-1, network.n_state),
        jacobians=jacobians.reshape(-1, network.n_state, network.n_state),
        n_starts=len(starts),
        n_converged=int((end_norms <= TOLERANCE).sum()),
        slow_points=ends[slow],
        slow_residuals=norms[slow],
        starts=starts,
        reached=reached,
        n_iterations=n_iterations,
        end_residuals=end_norms,
        images=network.step(states, drive),
        inputs=inputs,
        **labels,
    )


def starts_of(network, task, epoch, states, n_starts=N_STARTS, seed=0):
    """Choose the starts of the search: states of the epoch, late states of a long hold, the origin and random states.

    Parameters
    ----------
    network : Step
    task : TaskInput
    epoch : str
    states : (n_time, n_locations, n_state) array
        Noise-free trials at all locations.
    n_starts : int
        At least 4. Half are states of the epoch (evenly spaced times, cycling through the locations), a quarter are
        late states of a long hold of the epoch's input, one is the origin, and the others are random.
    seed : int
        Seed of the random states. Each unit is uniform over its range in the epoch, stretched by `RANDOM_RANGE`.

    Returns
    -------
    (n_starts, n_state) array
    """
    check_whole_number("n_starts", n_starts, at_least=4)
    steps = task.steps(epoch)
    visited = states[steps]
    n_visited, n_late = n_starts // 2, n_starts // 4
    times = np.linspace(0, len(visited) - 1, n_visited).round().astype(int)
    of_trials = visited[times, np.arange(n_visited) % visited.shape[1]]
    n_hold = int(LATE_HOLD_S * 1000 / task.dt)
    held = network.hold(network.drive(task.held(epoch)), visited[-1, :: max(1, visited.shape[1] // 4)], n_hold, 1)
    late = held[n_hold // 2 :].reshape(-1, network.n_state)
    late = late[np.linspace(0, len(late) - 1, n_late).round().astype(int)]
    low, high = visited.min(axis=(0, 1)), visited.max(axis=(0, 1))
    margin = (RANDOM_RANGE - 1) / 2 * (high - low)
    n_random = n_starts - n_visited - n_late - 1
    rng = np.random.default_rng(seed)
    random = rng.uniform(low - margin, high + margin, (n_random, network.n_state))
    return np.concatenate([of_trials, late, np.zeros((1, network.n_state)), random])


def fixed_points_at(network, task, epoch, states, n_starts=N_STARTS, with_slow_points=True, trial_num=None):
    """Find the fixed points of a network under an epoch's input, with starts from its noise-free trials.

    The starts are taken from about 8 of the directions, the reference state (mean over the epoch) from all.

    Parameters
    ----------
    network : Step
    task : TaskInput
    epoch : str
    states : (n_time, n_directions, n_state) array
        States of the trials, at least up to the end of the epoch, as `network.run` returns them.
    n_starts, with_slow_points, trial_num
        As in `starts_of`, `compute_fixed_points` and `FixedPointResult`.

    Returns
    -------
    FixedPointResult
    """
    inputs = task.held(epoch)
    starts = starts_of(network, task, epoch, states[:, :: max(1, task.n_directions // 8)], n_starts)
    labels = {"dt": task.dt, "rule": task.rule, "epoch": epoch, "trial_num": trial_num}
    reference = states[task.steps(epoch)].mean(axis=(0, 1))
    return compute_fixed_points(network, inputs, starts, reference, with_slow_points, **labels)


@checks_run_arguments
def fixed_point_analysis(hp, model_dir, trial_num, rule, epoch="delay1", n_starts=N_STARTS, save=True):
    """Find the fixed points of a checkpoint's network under the input of an epoch, and the eigenvalues there.

    Parameters
    ----------
    hp : dict
    model_dir : str
    trial_num : int
    rule, epoch : str
        The input of the epoch must be the same for all locations, as in fixation, in a delay or after the go signal.
    n_starts : int
        Number of starts of the search, at least 4.
    save : bool
        Write fixed_points_<trial number>.npz (with FixedPointFinder's names) and the figure into the figure folder of
        the rule and epoch.

    Returns
    -------
    FixedPointResult
        It has no fixed points if none was found.

    Raises
    ------
    ValueError
        If the rule is not in the network's rule set, if the rule does not have the epoch or its input is not constant,
        or if n_starts is below 4.
    FileNotFoundError
        If there is no such checkpoint.
    """
    task = task_input(rule, hp, hp["n_eachring"])
    task.held(epoch)
    network = network_at(hp, model_dir, trial_num)
    with threadpool_limits(1, user_api="blas"):  # the matrix products are too small for several threads
        result = fixed_points_at(network, task, epoch, network.run(task.inputs), n_starts, trial_num=trial_num)
    if save:
        folder = figure_dir(model_dir, rule, epoch)
        save_figure(result.plot(), folder / f"fixed_points_{trial_num}")
        with atomic_write(folder / f"fixed_points_{trial_num}.npz") as temporary:
            np.savez_compressed(temporary, **result.data)
    return result
