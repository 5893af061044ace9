"""Compute one noise-free time step of a trained network as a function of its state, and its derivative, in float64.

All dynamics analyses use the step F: state(t + dt) = F(state(t)) at a constant input. A network is read from the arrays
of a checkpoint; no TensorFlow graph is built. The state of a leaky RNN, a leaky GRU or a GRU is the activity h (N
numbers); that of an LSTM is h followed by the cells c (2 N numbers).
"""

import copy

import numpy as np
from scipy import special

from rnn_maturation.checkpoint import read_checkpoint
from rnn_maturation.checks import quoted
from rnn_maturation.model_directory import checkpoint_dir

# ------------------------------------------------------------------------------------------------------- activations


def _positive(z):
    return (z > 0).astype(float)


_SELU_SCALE, _SELU_ALPHA = 1.0507009873554805, 1.6732632423543772

_FUNCTIONS = {  # the functions of recurrence.ACTIVATIONS, with their derivatives
    "softplus": (lambda z: np.maximum(z, 0) + np.log1p(np.exp(-np.abs(z))), special.expit),
    "relu": (lambda z: np.maximum(z, 0), _positive),
    "tanh": (np.tanh, lambda z: 1 - np.tanh(z) ** 2),
    "elu": (lambda z: np.where(z > 0, z, np.expm1(np.minimum(z, 0))), lambda z: np.exp(np.minimum(z, 0))),
    "power": (lambda z: np.maximum(z, 0) ** 2, lambda z: 2 * np.maximum(z, 0)),
    "retanh": (lambda z: np.tanh(np.maximum(z, 0)), lambda z: _positive(z) * (1 - np.tanh(z) ** 2)),
    "relu+": (lambda z: np.maximum(z + 1, 0), lambda z: _positive(z + 1)),
    "sigmoid": (special.expit, lambda z: special.expit(z) * special.expit(-z)),
}
_TENSORFLOW_ONLY = {  # further functions of tf.nn for gated networks; derivatives are numerical
    "relu6": lambda z: np.clip(z, 0, 6),
    "leaky_relu": lambda z: np.where(z > 0, z, 0.2 * z),
    "selu": lambda z: _SELU_SCALE * np.where(z > 0, z, _SELU_ALPHA * np.expm1(np.minimum(z, 0))),
    "softsign": lambda z: z / (1 + np.abs(z)),
    "swish": lambda z: z * special.expit(z),
    "silu": lambda z: z * special.expit(z),
    "gelu": lambda z: z * special.ndtr(z),
}
ACTIVATIONS = _FUNCTIONS | {
    name: (f, lambda z, f=f: (f(z + 1e-6) - f(z - 1e-6)) / 2e-6) for name, f in _TENSORFLOW_ONLY.items()
}


def _sigmoid_pair(z):
    """Return the sigmoid and its derivative."""
    value = special.expit(z)
    return value, value * (1 - value)


# ---------------------------------------------------------------------------------------------------------- networks


class Step:
    """The step of a network, for any number of states at once.

    Parameters
    ----------
    w_x : (n_input, n_drive) array
        Input weights, all gates side by side.
    w_h : (n_units, n_drive) array
        Recurrent weights, all gates side by side.
    bias : (n_drive,) array
    w_out, b_out : (n_units, n_output) and (n_output,) arrays
        Weights and bias of the output.
    activation : str
        A key of `ACTIVATIONS`.
    alpha : float
        dt / tau for leaky networks, 1 for the others. The residual of a state is divided by it, so that tolerances
        do not depend on dt.
    least_squares : bool
        If True, the output is a sigmoid; otherwise it is a softmax.

    Attributes
    ----------
    n_units, n_state : int
    """

    states_per_unit = 1

    def __init__(self, w_x, w_h, bias, w_out, b_out, activation="softplus", alpha=1.0, least_squares=True):
        if activation not in ACTIVATIONS:
            raise ValueError(
                f"No derivative of activation {quoted(activation)} is known: choose from {', '.join(ACTIVATIONS)}."
            )
        self.w_x, self.w_h, self.bias = (np.asarray(a, dtype=float) for a in (w_x, w_h, bias))
        self.w_out, self.b_out = np.asarray(w_out, dtype=float), np.asarray(b_out, dtype=float)
        self.f, self.df = ACTIVATIONS[activation]
        self.alpha, self.least_squares = float(alpha), least_squares
        self.n_units = len(self.w_h)
        self.n_state = self.states_per_unit * self.n_units

    def drive(self, inputs):
        """Return the input of units and gates (..., n_drive) that comes from inputs (..., n_input) and the bias."""
        return np.asarray(inputs, dtype=float) @ self.w_x + self.bias

    def step(self, states, drive):
        """Return the states (..., n_state) one time step later."""
        raise NotImplementedError

    def differential(self, states, drive):
        """Return the derivative of `step` at states, as a function that maps vectors (..., n_state) to their images."""
        raise NotImplementedError

    def residual(self, states, drive):
        """Return (step(state) - state) / alpha, which is zero at a fixed point; for the leaky RNN it is f(z) - h."""
        return (self.step(states, drive) - states) / self.alpha

    def jacobian(self, state, drive):
        """Return the Jacobian matrix of `step` at one state (n_state,): rows are outputs, columns are inputs."""
        return self.differential(state[None], drive)(np.eye(self.n_state)).T

    def output(self, states):
        """Return the network's output (..., n_output): fixation first, then the ring."""
        readout = states[..., : self.n_units] @ self.w_out + self.b_out
        return special.expit(readout) if self.least_squares else special.softmax(readout, axis=-1)

    def run(self, inputs, states=None, change=None):
        """Return the states (n_time, n_trials, n_state) after each step.

        Parameters
        ----------
        inputs : (n_time, n_trials, n_input) array
        states : (n_trials, n_state) array, optional
            States before the first step; default: zero.
        change : callable, optional
            ``change(t, states)`` returns the states that replace those after step t (used for perturbations).
        """
        n_time, n_trials = inputs.shape[:2]
        visited = np.empty((n_time, n_trials, self.n_state))
        n_shared = 0
        if states is None:
            states = np.zeros((1, self.n_state))
            differs = (inputs != inputs[:, :1]).any(axis=(1, 2))
            n_shared = int(differs.argmax()) if differs.any() else n_time  # one state for all until inputs differ
        for t in range(n_time):
            if t == n_shared and len(states) != n_trials:
                states = np.repeat(states, n_trials, axis=0)
            states = self.step(states, self.drive(inputs[t, : len(states)]))
            states = states if change is None else change(t, states)
            visited[t] = states
        return visited

    def hold(self, drive, states, n_steps, keep_every=None):
        """Return the states after n_steps with a constant drive or, with keep_every, the states at every such interval.

        Parameters
        ----------
        drive : (n_drive,) array
        states : (n_trials, n_state) array
        n_steps : int
        keep_every : int, optional
            Interval in steps.

        Returns
        -------
        (n_trials, n_state) or (n_steps // keep_every, n_trials, n_state) array
        """
        visited = []
        for t in range(1, n_steps + 1):
            states = self.step(states, drive)
            if keep_every and t % keep_every == 0:
                visited.append(states)
        return np.array(visited) if keep_every else states

    def in_single_precision(self):
        """Return the same network with float32 recurrent weights, for derivatives that need only four digits."""
        network = copy.copy(self)
        network.w_h = self.w_h.astype(np.float32)
        return network

    def silenced(self, units):
        """Return the same network with the recurrent and output weights from the given units set to zero."""
        network = copy.copy(self)
        network.w_h, network.w_out = self.w_h.copy(), self.w_out.copy()
        network.w_h[units], network.w_out[units] = 0, 0
        return network


class LeakyStep(Step):
    """Leaky RNN: h' = (1 - alpha) h + alpha f(x W_x + h W_h + b)."""

    def step(self, states, drive):  # noqa: D102
        return (1 - self.alpha) * states + self.alpha * self.f(states @ self.w_h + drive)

    def differential(self, states, drive):  # noqa: D102
        slope = self.alpha * self.df(states @ self.w_h + drive)
        return lambda v: (1 - self.alpha) * v + slope * (v @ self.w_h)

    def jacobian(self, state, drive):  # noqa: D102 (without the matrix product)
        slope = self.alpha * self.df(state @ self.w_h + drive)
        return (1 - self.alpha) * np.eye(self.n_units) + slope[:, None] * self.w_h.T


class GRUStep(Step):
    """GRU, or leaky GRU if leaky is True. The drive has the gates r and u, followed by the candidate c.

    r, u = sigmoid(x W_x + h W_h + b), c = f(x W_x + (r h) W_h + b), each with its own weights.
    GRU: h' = u h + (1 - u) c. Leaky GRU: h' = (1 - alpha u) h + alpha u c.
    """

    def __init__(self, *arguments, leaky=False, **settings):
        super().__init__(*arguments, **settings)
        self.leaky = leaky

    def _parts(self, states, drive):
        n = self.n_units
        gates = _sigmoid_pair(states @ self.w_h[:, : 2 * n] + drive[..., : 2 * n])
        (r, u), (dr, du) = ((gate[..., :n], gate[..., n:]) for gate in gates)
        z = (r * states) @ self.w_h[:, 2 * n :] + drive[..., 2 * n :]
        return r, u, dr, du, z

    def step(self, states, drive):  # noqa: D102
        _, u, _, _, z = self._parts(states, drive)
        share = self.alpha * u if self.leaky else 1 - u  # of the candidate
        return (1 - share) * states + share * self.f(z)

    def differential(self, states, drive):  # noqa: D102
        n = self.n_units
        r, u, dr, du, z = self._parts(states, drive)
        c, dc = self.f(z), self.df(z)
        share, d_share = (self.alpha * u, self.alpha * du) if self.leaky else (1 - u, -du)

        def image(v):
            v_gates = v @ self.w_h[:, : 2 * n]
            v_c = dc * ((dr * v_gates[..., :n] * states + r * v) @ self.w_h[:, 2 * n :])
            return (1 - share) * v + share * v_c + d_share * v_gates[..., n:] * (c - states)

        return image


class LSTMStep(Step):
    """LSTM. The drive has the gates i, j, f, o in this order; the step adds 1 to the input of the forget gate f."""

    states_per_unit = 2

    def _parts(self, states, drive):
        h, cells = states[..., : self.n_units], states[..., self.n_units :]
        i, j, forget, o = np.split(h @ self.w_h + drive, 4, axis=-1)
        new_cells = special.expit(forget + 1) * cells + special.expit(i) * self.f(j)
        return cells, i, j, forget + 1, o, new_cells

    def step(self, states, drive):  # noqa: D102
        *_, o, cells = self._parts(states, drive)
        return np.concatenate([self.f(cells) * special.expit(o), cells], axis=-1)

    def differential(self, states, drive):  # noqa: D102
        cells, i, j, forget, o, new_cells = self._parts(states, drive)
        (s_i, d_i), (s_f, d_f), (s_o, d_o) = (_sigmoid_pair(gate) for gate in (i, forget, o))
        f_j, d_j, f_c, d_c = self.f(j), self.df(j), self.f(new_cells), self.df(new_cells)

        def image(v):
            v_i, v_j, v_f, v_o = np.split(v[..., : self.n_units] @ self.w_h, 4, axis=-1)
            v_cells = s_f * v[..., self.n_units :] + d_f * v_f * cells + d_i * v_i * f_j + s_i * d_j * v_j
            return np.concatenate([d_c * v_cells * s_o + f_c * d_o * v_o, v_cells], axis=-1)

        return image


# ------------------------------------------------------------------------------------------------------- checkpoints


def network_at(hp, model_dir, trial_num):
    """Return the `Step` of the network at a checkpoint.

    Parameters
    ----------
    hp : dict
    model_dir : str
    trial_num : int

    Raises
    ------
    FileNotFoundError
        If there is no such checkpoint.
    ValueError
        If the checkpoint is damaged, or if its network is not the one that hp describes.
    """
    arrays = read_checkpoint(checkpoint_dir(model_dir, trial_num))
    weights = {name: array.astype(float) for name, array in arrays.items() if array.dtype.kind == "f"}
    try:
        network = network_of(hp, weights)
        expected = (hp["n_input"], hp["n_rnn"], hp["n_output"])
        found = (len(network.w_x), network.n_units, len(network.b_out))
    except (KeyError, ValueError) as error:
        raise ValueError(
            f"Checkpoint {trial_num} in {model_dir} does not contain the network that hp describes ({error}): give the "
            "hp of this run, as load_hp reads it."
        ) from error
    if found != expected:
        raise ValueError(
            f"Checkpoint {trial_num} in {model_dir} has {found} inputs, units and outputs, but hp says {expected}: "
            "give the hp of this run, as load_hp reads it."
        )
    return network


def network_of(hp, weights):
    """Return the `Step` of hyper-parameters and the arrays of a checkpoint, {name: array}."""
    n_in, rnn_type, separate = hp["n_input"], hp["rnn_type"], hp["rnn_type"] == "LeakyRNN" and hp["use_separate_input"]
    settings = {"activation": hp["activation"], "least_squares": hp["loss_type"] == "lsq"}
    names = ("output/kernel", "output/bias") if separate else ("output/weights", "output/biases")
    output = [weights[name] for name in names]
    if rnn_type.startswith("Leaky"):
        settings["alpha"] = hp["dt"] / hp["tau"]
    if separate:
        w_rule = weights["rule_input/kernel"]
        w_rule = weights["mix_rule/kernel"] @ w_rule if hp.get("mix_rule") else w_rule
        w_x = np.concatenate([weights["sen_input/kernel"], w_rule])
        cell = "rnn/leaky_rnn_cell_separate_input"
        bias = weights["sen_input/bias"] + weights[f"{cell}/bias"]
        return LeakyStep(w_x, weights[f"{cell}/kernel"], bias, *output, **settings)
    if rnn_type in ("LeakyRNN", "LSTM"):
        cell, kind = ("rnn/leaky_rnn_cell", LeakyStep) if rnn_type == "LeakyRNN" else ("rnn/lstm_cell", LSTMStep)
        kernel = weights[f"{cell}/kernel"]
        return kind(kernel[:n_in], kernel[n_in:], weights[f"{cell}/bias"], *output, **settings)
    cell = {"LeakyGRU": "rnn/leaky_gru_cell", "GRU": "rnn/gru_cell"}[rnn_type]
    kernel = np.concatenate([weights[f"{cell}/gates/kernel"], weights[f"{cell}/candidate/kernel"]], axis=1)
    bias = np.concatenate([weights[f"{cell}/gates/bias"], weights[f"{cell}/candidate/bias"]])
    return GRUStep(kernel[:n_in], kernel[n_in:], bias, *output, leaky=rnn_type == "LeakyGRU", **settings)
