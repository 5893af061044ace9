"""Noise-free trials in evenly spaced directions, and the input that is held constant in an epoch."""

from dataclasses import dataclass

import numpy as np

from rnn_maturation.analysis.conditions import epoch_steps
from rnn_maturation.network import get_perf, popvec
from rnn_maturation.task import generate_evaluation

N_DIRECTIONS = 64


class _EvenlySpaced(np.random.RandomState):
    """Random generator whose `rand` returns evenly spaced numbers and whose `choice` returns the middle option.

    The directions of random trials are drawn with rand(n_trials). The offset of a distractor is drawn with choice, so
    that the distractor is opposite to the stimulus. All other methods draw random numbers as usual.
    """

    def rand(self, *shape):
        return np.arange(np.prod(shape)).reshape(shape) / np.prod(shape)

    def choice(self, options, size=None, *arguments, **settings):
        options = np.arange(options) if np.ndim(options) == 0 else options
        middle = options[len(options) // 2]
        return middle if size is None else np.full(size, middle)


@dataclass(frozen=True)
class TaskInput:
    """Input of the noise-free trials of a rule, one trial per direction.

    Attributes
    ----------
    rule : str
    inputs : (n_time, n_directions, n_input) float64 array
    targets : (n_directions,) array
        Direction of the correct saccade in rad.
    epochs : {epoch: (start, end)}
        In steps.
    dt : float
        Time step in ms.
    """

    rule: str
    inputs: np.ndarray
    targets: np.ndarray
    epochs: dict
    dt: float

    @property
    def n_directions(self):
        """Number of directions."""
        return len(self.targets)

    @property
    def go(self):
        """Step of the go signal."""
        return self.epochs["go1"][0]

    def steps(self, epoch):
        """Return the steps of an epoch as a slice with integer ends; raise a ValueError if the rule lacks the epoch."""
        return slice(*epoch_steps({"epoch_info": self.epochs}, self.rule, epoch).indices(len(self.inputs))[:2])

    def held(self, epoch):
        """Return the input of an epoch, (n_input,).

        Raises
        ------
        ValueError
            If the rule does not have the epoch, or if the input of the epoch depends on time or on the location shown.
        """
        steps = self.steps(epoch)
        inputs = self.inputs[steps]
        if (inputs != inputs[0, 0]).any():
            constant = [
                name
                for name in self.epochs
                if (self.inputs[self.steps(name)] == self.inputs[self.steps(name)][0, 0]).all()
            ]
            raise ValueError(
                f"The input of epoch {epoch!r} of rule {self.rule} is not the same for all locations and times: "
                f"there is nothing to hold. Choose one of the epochs {', '.join(constant)}."
            )
        return inputs[0, 0]

    def trained_delay_steps(self, epoch):
        """Return the number of steps from the start of a delay to the go signal.

        Raises
        ------
        ValueError
            If the epoch is not a delay between stimulus and response.
        """
        start = self.steps(epoch).start
        self.held(epoch)
        shown = [self.steps(name) for name in self.epochs if not name.startswith(("go", "distract"))]
        informative = [s for s in shown if (self.inputs[s] != self.inputs[s, :1]).any()]  # differs between trials
        if epoch == "go1" or start >= self.go or not informative or any(s.start >= start for s in informative):
            raise ValueError(
                f"Epoch {epoch!r} of rule {self.rule} is no delay between stimulus and response: choose a rule and an "
                "epoch with one, for example 'odr' and 'delay1'."
            )
        return self.go - start


def task_input(rule, hp, n_directions=N_DIRECTIONS):
    """Return the `TaskInput` of a rule.

    Parameters
    ----------
    rule : str
    hp : dict
    n_directions : int
        Number of directions, with one trial each. The first stimuli are at 0, 2 pi / n_directions, … A distractor is
        opposite to the stimulus. If the response depends on something else that the task draws, the targets are not
        evenly spaced.

    Raises
    ------
    ValueError
        If the rule is not in the network's rule set.
    """
    even = {**hp, "rng": _EvenlySpaced(0)}
    # generate_evaluation takes the durations in the row of the task, even if the task draws durations in training
    trial = generate_evaluation(rule, even, n_directions, n_batches=1, noise_on=False)
    return TaskInput(rule, trial.x.astype(float), trial.y_loc[-1].astype(float), dict(trial.epochs), hp["dt"])


def saccades(output, targets):
    """Judge the output of the network at the end of trials.

    Parameters
    ----------
    output : (n_trials, n_output) array
        Fixation first, then the ring.
    targets : (n_trials,) array
        Direction of the correct saccade in rad.

    Returns
    -------
    correct : (n_trials,) array of 0 and 1
        1 if the fixation output is off and the saccade is within 36 degrees of its target.
    error_deg : (n_trials,) array
        Signed angle from the target to the saccade, -180 to 180 degrees.
    """
    correct = get_perf(output[None], targets[None])
    error = (popvec(output[:, 1:]) - targets + np.pi) % (2 * np.pi) - np.pi
    return correct, np.degrees(error)
