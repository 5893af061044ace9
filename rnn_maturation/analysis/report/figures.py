"""Figures of the reproduction report, from what it measured: nothing is computed for them alone."""

import pandas as pd

from rnn_maturation import figures
from rnn_maturation.analysis.psth import stage_means
from rnn_maturation.analysis.report.activity import tuning_curves
from rnn_maturation.analysis.report.behavior import distractor_by_stage, gap_errors_by_stage
from rnn_maturation.analysis.report.data import ANTI_SACCADE_RULES, CROSSING_WINDOW, DECODER_WINDOW_MS
from rnn_maturation.analysis.report.finding import NotDecidable
from rnn_maturation.analysis.tuning import gaussian
from rnn_maturation.stages import mean_performance, smooth, stage_by_trial
from rnn_maturation.task import rule_name


def _growth(run):
    curves = {rule: smooth(run.performance(rule), CROSSING_WINDOW) for rule in rule_name if f"perf_{rule}" in run.log}
    figure = figures.growth_of_performance(run.log["trials"], curves, rule_name, run.stages)
    return (
        "Performance of each rule during training, smoothed; shaded: where the checkpoints of each stage are.",
        figure,
    )


def _psth(rule, epoch, caption):
    def draw(run):
        stages, psths = run.need_stages(rule), run.psths(rule, epoch)
        shown = {
            stage: {
                "PSTH": stage_means(psths, trials),
                "growth": mean_performance(run.log, rule, trials),
                "n_num": sum(len(psths[trial]) for trial in trials) / len(trials),
            }
            for stage, trials in stages.items()
        }
        title = f"{rule_name[rule]}, units selective in {epoch}"
        return caption, figures.psth(shown, run.epochs(rule), run.hp["dt"], run.norm, title)

    return draw


_PSTHS = (
    _psth("odrd", "stim1", "Activity of ODRD's cue-selective units at their preferred location."),
    _psth("odrd", "delay2", "The same for units selective after the distractor."),
    _psth("odr", "delay1", "Activity of ODR's delay-selective units at their preferred location."),
    *(
        _psth(rule, "stim1", f"Activity of cue-selective units in the anti-saccade task {rule_name[rule]}.")
        for rule in ANTI_SACCADE_RULES
        if rule != "gap500"
    ),
)


def _delay_growth(run):
    stages, means = run.need_stages("odr"), run.period_means("odr", "delay1", "delay1")
    stage_of = stage_by_trial(stages)
    trials = list(stage_of)
    title = f"{rule_name['odr']}, units selective in delay1: activity in delay1"
    values = [means[trial] for trial in trials]
    figure = figures.epoch_mean_growth(trials, values, list(stage_of.values()), run.norm, title)
    return "Delay activity of ODR checkpoint by checkpoint, by the stage of its performance.", figure


def _tuning(run):
    stages, found = run.need_stages("odrd"), run.units("odrd", "stim1")
    shown = {
        stage: {
            "curve": curve,
            "fit": fit,
            "width": 2 * abs(fit[2]) if fit else float("nan"),
            "n_units": sum(len(found[trial]["units"]) for trial in stages[stage]) / len(stages[stage]),
            "growth": mean_performance(run.log, "odrd", stages[stage]),
        }
        for stage, (curve, fit) in tuning_curves(run).items()
    }
    title = f"{rule_name['odrd']}, units selective in stim1"
    figure = figures.tuning(shown, {}, run.hp["n_eachring"], title, gaussian)
    return "Mean tuning of ODRD's cue-selective units around their preferred location, and Gaussian fits.", figure


def _shared(run):
    columns = ["inter", "samedir", "diffdir"]
    table = pd.DataFrame.from_dict(run.shared_units, orient="index", columns=columns).sort_index()
    title = f"Units selective in {rule_name['odr']} stim1 and {rule_name['odrd']} stim1"
    return "Units selective for the cue in both ODR and ODRD.", figures.shared_units(table, title)


def _distractor(run):
    table = pd.DataFrame.from_dict(distractor_by_stage(run), orient="index")
    title = f"{rule_name['odrd']}: distractors at all distances"
    caption = "Performance by the distance between distractor and cue; at 0° the distractor is where the cue was."
    return caption, figures.distractor_performance(table, run.hp["n_eachring"], title)


def _saccades(run):
    errors = gap_errors_by_stage(run)
    labels = {stage: f"{stage}, n={len(values)}" for stage, values in errors.items()}
    figure = figures.saccade_errors(errors, labels, rule_name["gap"])
    return "Where saccades land in the gap task, relative to the target.", figure


def _decoder(run):
    window, stride = run.decoder_steps
    title = f"{rule_name['odr']} at {run.mature_odr} trials, held out everywhere"
    chance = 1 / run.hp["n_eachring"]
    scores = run.decoder_scores
    figure = figures.decoder_scores(scores, run.hp["dt"], window, stride, run.epochs("odr"), chance, title)
    caption = (
        f"Decoding the cue's location in mature ODR, windows of {DECODER_WINDOW_MS} ms, no trial both trained and "
    )
    return caption + "tested on: a band along the diagonal is a dynamic code, a square a stable one.", figure


def _demixed(run):
    names = [f"{where * 360 / run.hp['n_eachring']:g}°" for where in range(run.hp["n_eachring"])]
    limits = dict.fromkeys(("t", "s", "st"), (None, None))
    upright = dict.fromkeys(limits, False)
    title = f"{rule_name['odr']} at {run.mature_odr} trials"
    figure = figures.demixed_components(run.demixed, run.hp["dt"], run.epochs("odr"), names, limits, upright, title)
    return "Demixed components of mature ODR: locations (lines) are apart only after the cue.", figure


def _dynamics(run):
    caption = (
        "Dynamics of ODR's delay during training: memory time of the leading pair of eigenvalues, and performance."
    )
    return caption, run.eigenvalue_growth.plot()


def report_figures(run):
    """Yield the figures of a run; those whose checkpoints or rules are missing are left out.

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
