"""The tools that users know from the original, gathered from the modules where they live."""

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
)
from rnn_maturation.stages import range_auto_select, smooth

__all__ = [
    "find_all_models",
    "find_model",
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
]
