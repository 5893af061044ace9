"""Train and analyze many networks: a table of variants, training with many seeds in parallel, and summaries of runs."""

from rnn_maturation.sweep.runs import train_runs
from rnn_maturation.sweep.summary import plot_sweep_summary
from rnn_maturation.sweep.table import sweep_table, table_text, trials_to_criterion, write_table
from rnn_maturation.sweep.variants import VARIANTS, TrainingRun, Variant, choose_runs, find_runs, parse_seeds

__all__ = [
    "VARIANTS",
    "TrainingRun",
    "Variant",
    "choose_runs",
    "find_runs",
    "parse_seeds",
    "plot_sweep_summary",
    "sweep_table",
    "table_text",
    "train_runs",
    "trials_to_criterion",
    "write_table",
]
