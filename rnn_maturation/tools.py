"""Collect the functions of the original program's module `tools` from the modules that now define them."""

from rnn_maturation.hyperparameters import gen_ortho_matrix
from rnn_maturation.model_directory import (
    find_all_models,
    find_model,
    load_hp,
    load_log,
    load_pickle,
    save_hp,
    save_log,
    save_pickle,
    select_by_perf,
    valid_model_dirs,
)
from rnn_maturation.stages import range_auto_select, smooth

__all__ = [
    "find_all_models",
    "find_model",
    "gen_feed_dict",
    "gen_ortho_matrix",
    "load_hp",
    "load_log",
    "load_pickle",
    "range_auto_select",
    "save_hp",
    "save_log",
    "save_pickle",
    "select_by_perf",
    "smooth",
    "valid_model_dirs",
]


def gen_feed_dict(model, trial, hp):
    """Return the feed dict with which a session runs `model` on trials; see `rnn_maturation.network.gen_feed_dict`.

    Parameters
    ----------
    model : rnn_maturation.network.Model
    trial : rnn_maturation.task.Trial
    hp : dict

    Returns
    -------
    dict
        {placeholder: array}
    """
    from rnn_maturation.network import (
        gen_feed_dict as feed_of_network,
    )  # loads TensorFlow, which other tools do not need

    return feed_of_network(model, trial, hp)
