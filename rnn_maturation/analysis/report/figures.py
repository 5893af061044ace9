"""Draw the figures of the reproduction report from what the findings have measured; no analysis is run again."""

from dataclasses import replace

import pandas as pd

from rnn_maturation.analysis.behavior import DistractorResult, SaccadeResult
from rnn_maturation.analysis.overview import compute_growth_of_performance
from rnn_maturation.analysis.psth import EpochGrowth, compute_stage_psths, selection_title
from rnn_maturation.analysis.report.activity import ANTI_SACCADE_NAMES
from rnn_maturation.analysis.report.behavior import distractor_by_stage, gap_errors_by_stage
from rnn_maturation.analysis.report.data import DECODER_WINDOW_MS
from rnn_maturation.analysis.report.finding import NotDecidable
from rnn_maturation.analysis.seldir import SharedUnits
from rnn_maturation.analysis.selectivity import DEFAULT_TYPES
from rnn_maturation.analysis.tuning import compute_tuning
from rnn_maturation.stages import GROWTH_WINDOW, performance_of, stage_by_trial
from rnn_maturation.task import rule_name


def _growth(run):
    curves = {rule: run.performance(rule) for rule in rule_name if f"perf_{rule}" in run.log}
    growth = compute_growth_of_performance(run.log["trials"], curves, GROWTH_WINDOW, run.stages)
    caption = "Performance of each rule during training, smoothed; the checkpoints of each stage are shaded."
    return caption, growth.plot()


def _psth(rule, epoch, caption):
    def draw(run):
        stages, psths = run.need_stages(rule), run.psths(rule, epoch)
        trials = list(stage_by_trial(stages))
        title = selection_title(rule, epoch, DEFAULT_TYPES, trials)
        performance = performance_of(run.log, rule, trials)
        result = compute_stage_psths(psths, stages, performance, run.epochs(rule), run.hp["dt"], run.norm, title=title)
        return caption, result.plot()

    return draw


_PSTHS = (
    _psth("odrd", "stim1", "Activity of ODR+d's cue-selective units at their preferred location."),
    _psth("odrd", "delay2", "The same for units selective after the distractor."),
    _psth("odr", "delay1", "Activity of ODR's delay-selective units at their preferred location."),
    *(
        _psth(rule, "stim1", f"Activity of cue-selective units in the anti-saccade task {rule_name[rule]}.")
        for rule in ANTI_SACCADE_NAMES
    ),
)


def _delay_growth(run):
    stages, means = run.need_stages("odr"), run.period_means("odr", "delay1", "delay1")
    rows = [(trial, means[trial], stage) for trial, stage in stage_by_trial(stages).items()]
    table = pd.DataFrame(rows, columns=["trial", "mean_activity", "stage"])
    title = selection_title("odr", "delay1", DEFAULT_TYPES, table["trial"]) + ", activity in delay1"
    caption = "Delay activity of ODR checkpoint by checkpoint, by the stage of its performance."
    return caption, EpochGrowth(table, run.norm, title).plot()


def _tuning(run):
    stages, found = run.need_stages("odrd"), run.units("odrd", "stim1")
    rates = {trial: units["rates"] for trial, units in found.items()}
    title = selection_title("odrd", "stim1", DEFAULT_TYPES, rates)
    result = compute_tuning(rates, stages, performance_of(run.log, "odrd", rates), height_ttest=False, title=title)
    return (
        "Mean tuning of ODR+d's cue-selective units around their preferred location, and Gaussian fits.",
        result.plot(),
    )


def _shared(run):
    columns = ["inter", "samedir", "diffdir"]
    table = pd.DataFrame.from_dict(run.shared_units, orient="index", columns=columns).sort_index()
    title = f"Units selective in {rule_name['odr']} stim1 and {rule_name['odrd']} stim1"
    return "Units selective for the cue in both ODR and ODR+d.", SharedUnits(table, title).plot()


def _distractor(run):
    table = pd.DataFrame.from_dict(distractor_by_stage(run), orient="index")
    number = {stage: len(trials) for stage, trials in run.few("odrd").items()}
    data = {"performance": table, "errors": {}}
    caption = "Performance by the distance between distractor and cue; at 0° the distractor is where the cue was."
    return caption, DistractorResult(data, run.hp["n_eachring"], number, {}, rule_name["odrd"]).plot()


def _saccades(run):
    figure = SaccadeResult(gap_errors_by_stage(run), {}, rule_name["gap"]).plot()
    return "Where saccades land in the gap task, relative to the target.", figure


def _decoder(run):
    caption = (
        f"Decoding the cue's location in mature ODR, windows of {DECODER_WINDOW_MS} ms, no trial both trained and "
        "tested on: a band along the diagonal is a dynamic code, a square a stable one."
    )
    return caption, run.decoder.plot()


def _demixed(run):
    names = [f"{where * 360 / run.hp['n_eachring']:g}°" for where in range(run.hp["n_eachring"])]
    title = f"{rule_name['odr']} at {run.mature_odr} trials"
    labels = {"location_names": names, "dt": run.hp["dt"], "epochs": run.epochs("odr"), "title": title}
    figure = replace(run.demixed, **labels).plot()
    return "Demixed components of mature ODR: locations (lines) are apart only after the cue.", figure


def _dynamics(run):
    caption = (
        "Dynamics of ODR's delay during training: memory time of the leading pair of eigenvalues, and performance."
    )
    return caption, run.eigenvalue_growth.plot()


def report_figures(run):
    """Yield the figures of a run, without those for which checkpoints or rules are missing.

    Parameters
    ----------
    run : TrainedRun

    Yields
    ------
    (str, matplotlib.figure.Figure)
        The caption and the figure.
    """
    population = (_distractor, _saccades, _decoder, _demixed)
    for draw in (_growth, *_PSTHS, _delay_growth, _tuning, _shared, *population, _dynamics):
        try:
            caption, figure = draw(run)
        except NotDecidable:
            continue
        yield caption, figure
