"""Two tasks that are not in the package show how to write, register, train and analyze a task of your own.

    python Training_with_diff_HyperParameters.py --tasks examples/own_tasks.py --only random_delay
    python Analysis_with_diff_HyperParameters.py --tasks examples/own_tasks.py --only random_delay

docs/extending_task.md explains each part.
"""

import numpy as np

from rnn_maturation.sweep.variants import VARIANTS, Variant
from rnn_maturation.task import Task, register_ruleset, register_task, six_tasks_with

# ---- ODR whose delay is drawn anew for each batch: a row of the table, and a function that draws the duration ------

SHORTEST_DELAY, LONGEST_DELAY = 500, 2500  # ms, both included


def draw_delay(rng):
    """Draw the delay of a batch of trials, in whole ms."""
    return {"delay1": rng.randint(SHORTEST_DELAY, LONGEST_DELAY + 1)}


register_task(
    "odr_random_delay",
    # Tests and evaluations use the delay of this row. It is that of odr, so that the two tasks can be compared.
    Task("ODR random delay", {"fix1": 1000, "stim1": 500, "delay1": 1500}, draw_epochs=draw_delay),
)
register_ruleset("all_new_random_delay", six_tasks_with("odr_random_delay"))

# ---- ODR with two items shown at once; a cue after the delay tells which of them is the target ---------------------

WEAK = 0.5  # strength of the second item; the first one has strength 1
CUE_FIRST, CUE_SECOND = 0.0, np.pi  # direction of the cue, rad; it does not depend on where the items were


def draw_two_items(trial, stim1, is_test):
    """Show a strong and a weak item at once, then a cue; the response is a saccade to the item that was cued.

    In test mode the items are opposite to each other. Blocks of 8 trials in which the strong item is cued alternate
    with blocks of 8 trials in which the weak item is cued.
    """
    n_trials, n_ring = trial.batch_size, trial.n_eachring
    if is_test:
        offset, cued = np.pi, np.arange(n_trials) // 8 % 2
    else:
        offset = trial.rng.randint(1, n_ring, n_trials) * 2 * np.pi / n_ring
        cued = trial.rng.randint(0, 2, n_trials)
    items = np.array([stim1, stim1 + offset])
    trial.add_stimulus("stim1", items[0])
    trial.add_stimulus("stim2", items[1], "stim1", strength=WEAK)  # in the epoch stim1 too
    trial.add_stimulus("cue1", np.where(cued == 0, CUE_FIRST, CUE_SECOND), kind="other")
    trial.add_response(items[cued, np.arange(n_trials)])


register_task(
    "two_items",
    Task(
        "Two items",
        {"fix1": 1000, "stim1": 500, "delay1": 1000, "cue1": 300, "delay2": 500},
        draw=draw_two_items,
    ),
)
register_ruleset("odr_and_two_items", ["odr", "two_items"])

# ---- variants, for the scripts that train and analyze many runs -----------------------------------------------------

VARIANTS["random_delay"] = Variant(
    ruleset="all_new_random_delay",
    units={"odr_random_delay": ("stim1", "delay1"), "odrd": ("stim1", "delay1", "delay2")},
)
VARIANTS["indi_random_delay"] = Variant(  # the same task without the other five
    ruleset="all_new_random_delay",
    rules=("odr_random_delay",),
    units={"odr_random_delay": ("stim1", "delay1")},
)
VARIANTS["two_items"] = Variant(
    ruleset="odr_and_two_items",
    units={"odr": ("stim1", "delay1"), "two_items": ("stim1", "delay1", "delay2")},
)
