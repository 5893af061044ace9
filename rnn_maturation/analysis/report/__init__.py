"""The reproduction report: which findings of the paper a network reproduces."""

from rnn_maturation.analysis.report.report import reproduction_report

__all__ = ["reproduction_report"]
