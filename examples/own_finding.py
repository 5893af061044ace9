"""A finding of your own: a claim, a criterion fixed beforehand, and a function that measures it.

    python -m examples.own_finding data/6tasks_pretrained

The finding is judged in the same way as those of the reproduction report, for one network or several.
"""

import argparse

import numpy as np

from rnn_maturation.analysis.report.data import TrainedRun
from rnn_maturation.analysis.report.finding import Group, Measurement, NotDecidable
from rnn_maturation.analysis.report.report import judge_finding

MINE = Group("Stability")


@MINE.finding(
    claim="Once mature, ODR rarely falls back",
    shown="{share:.3f} of the evaluations after maturity are below .90",
    criterion="once smoothed performance has reached .95, at most .10 of the evaluations are below .90",
    reason="Evaluations (512 trials) of a network that has learned the task differ by .01 to .02 in performance.",
    needs=("share",),
    holds=lambda numbers: numbers["share"] <= 0.10,
)
def odr_stays_mature(run):
    """Measure the share of evaluations with a performance below .90 once ODR is mature."""
    mature = run.crossing("odr", "mature")  # position in the log; None if ODR is never mature
    if mature is None:
        raise NotDecidable("ODR is never mature")
    later = run.performance("odr")[mature:]
    return Measurement({"share": float(np.mean(later < 0.90))}, note=f"{len(later)} evaluations")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model_dirs", nargs="*", default=["data/6tasks_pretrained"], help="model directories")
    for model_dir in parser.parse_args().model_dirs:
        for finding in MINE.findings:
            judged = judge_finding(finding, TrainedRun(model_dir))
            print(f"{model_dir}: {judged['claim']}: {judged['verdict']} ({judged['shown']}; {judged['note']})")


if __name__ == "__main__":
    main()
