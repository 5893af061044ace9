"""Measure how much faster the analyses are than plain implementations, and compare the results of both.

    python -m benchmarks.analysis [--modeldir data/6tasks_pretrained] [--full]      about 3 minutes on two cores
    python -m benchmarks.analysis --whole [--modeldir data/6tasks]                  Main_analysis.py, time and memory

A plain implementation that takes minutes is run for only some of the training windows or penalties, and its time is
scaled up. With --full it is run for all of them.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402
from scipy.stats import ttest_rel  # noqa: E402
from sklearn.svm import SVC  # noqa: E402
from statsmodels.formula.api import ols  # noqa: E402
from statsmodels.stats.anova import anova_lm  # noqa: E402

RULE, EPOCH = "odr", "delay1"
N_CHECKPOINTS = 20  # for compute_H


# ---------------------------------------------------------------------------------------------- plain implementations


def plain_selectivity(activity, locations, epochs, epoch):
    """Return the p-values of the ANOVA (n_units,) and the t-tests (n_units, n_locations), computed unit by unit."""
    fix, stim, rate = (slice(*epochs[name]) for name in ("fix1", "stim1", epoch))
    p_anova, p_ttest = [], []
    for unit in range(activity.shape[2]):
        rows, p_of_unit = [], []
        for where in np.unique(locations):
            of_unit = activity[:, locations == where, unit].astype(float)
            level = of_unit[fix].mean(axis=0)
            p_of_unit.append(ttest_rel(level, of_unit[stim].mean(axis=0)).pvalue)
            rows += [(where, value) for value in of_unit[rate].mean(axis=0) / level.mean() - 1]
        table = anova_lm(ols("rate ~ C(location)", pd.DataFrame(rows, columns=["location", "rate"])).fit())
        p_anova.append(table["PR(>F)"].iloc[0])
        p_ttest.append(p_of_unit)
    return np.array(p_anova), np.array(p_ttest)


def plain_activity(hp, model_dir, trial_num):
    """Return the activity of a checkpoint, computed in a separate graph and session."""
    import tensorflow as tf

    from rnn_maturation.analysis.conditions import test_trials
    from rnn_maturation.analysis.restored import noise_seed
    from rnn_maturation.model_directory import checkpoint_dir
    from rnn_maturation.network import Model, gen_feed_dict

    model = Model(model_dir, hp=hp)
    with tf.compat.v1.Session():
        model.restore(checkpoint_dir(model_dir, trial_num))
        feed = gen_feed_dict(model, test_trials(hp, RULE), hp)
        return tf.compat.v1.get_default_session().run(
            model.h, {**feed, model.noise_seed: noise_seed(hp, trial_num, RULE)}
        )


def plain_decoder_row(rates, locations, window, test_num):
    """Return the scores, at all windows one by one, of the classifier trained at one window."""
    held_out = np.arange(len(locations)) % (len(locations) // len(np.unique(locations))) < test_num
    model = SVC().fit(rates[window][~held_out], locations[~held_out])
    scores = [model.score(of_window, locations) for of_window in rates]
    scores[window] = model.score(rates[window][held_out], locations[held_out])
    return scores


def plain_dpca(mean, parts, regularizer, n_components):
    """Return {part: (decoder, encoder)} of a demixed PCA, computed from singular vectors of the full data."""
    n_units = len(mean)
    ridge = regularizer * (mean**2).sum()
    gram = mean @ mean.T + ridge**2 * np.eye(n_units)
    padded = np.hstack([mean, ridge * np.eye(n_units)])
    fits = {}
    for name, part in parts.items():
        regression = np.linalg.solve(gram, mean @ part.T).T
        encoder = np.linalg.svd(regression @ padded, full_matrices=False)[0][:, :n_components]
        fits[name] = regression.T @ encoder, encoder
    return fits


def plain_dpca_error(mean, parts, fits):
    """Return the error of a fit on held-out data."""
    error = 0.0
    for name, (decoder, encoder) in fits.items():
        own = (encoder * decoder).sum(axis=1)
        error += ((parts[name] - encoder @ (decoder.T @ mean) + own[:, None] * mean) ** 2).sum()
    return error


def plain_psths(activity, locations, neuron_info, fixation):
    """Return the PSTHs of selective units, computed in loops over units, trials and time."""
    psths = []
    for unit, _, preferred in sorted(neuron_info["selective_neurons"]):
        total = np.zeros(len(activity))
        n_trials = 0
        for trial in range(activity.shape[1]):
            if locations[trial] == preferred:
                for step in range(len(activity)):
                    total[step] += activity[step, trial, unit]
                n_trials += 1
        total /= n_trials
        psths.append(total / total[fixation].mean() - 1)
    return np.array(psths)


# ------------------------------------------------------------------------------------------------------ comparisons


def timed(action, *arguments, repeats=1):
    """Return the result of an action and the shortest time of `repeats` runs, in s."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        result = action(*arguments)
        times.append(time.perf_counter() - start)
    return result, min(times)


def show(label, plain_s, fast_s, target, difference):
    print(
        f"{label:58s} {plain_s:9.3f} {fast_s:9.4f} {plain_s / fast_s:8.0f}x  (aim {target})  {difference}", flush=True
    )


def compare_selectivity(activity, info):
    from rnn_maturation.analysis.selectivity import compute_neuron_info, paired_ttest, trial_rates

    locations, epochs = np.asarray(info["in_loc"]), info["epoch_info"]
    (p_anova, p_ttest), plain_s = timed(plain_selectivity, activity, locations, epochs, EPOCH)
    neuron_info, fast_s = timed(compute_neuron_info, activity, locations, epochs, EPOCH, repeats=10)
    p = {unit: p for unit, p, _ in neuron_info["selective_neurons"]}
    fix, stim = (trial_rates(activity, epochs[name]) for name in ("fix1", "stim1"))
    error = max(
        max(abs(value / p_anova[unit] - 1) for unit, value in p.items() if p_anova[unit] > 0),
        np.abs(paired_ttest(fix, stim, locations)[1].T / p_ttest - 1).max(),
    )
    show("selectivity of one checkpoint and epoch (unit by unit)", plain_s, fast_s, "300x", f"p differ by {error:.0e}")
    return neuron_info


def compare_psths(activity, info, neuron_info):
    from rnn_maturation.analysis.activity import mean_by_location
    from rnn_maturation.analysis.conditions import epoch_steps
    from rnn_maturation.analysis.psth import unit_psths
    from rnn_maturation.analysis.selectivity import select_units

    locations, fixation = np.asarray(info["in_loc"]), epoch_steps(info, RULE, "fix1")

    def fast():
        units, preferred = select_units(neuron_info, ["selective_neurons"])
        return unit_psths(mean_by_location(activity, locations), units, preferred, fixation)

    plain, plain_s = timed(plain_psths, activity, locations, neuron_info, fixation)
    psths, fast_s = timed(fast, repeats=10)
    show("PSTHs of one checkpoint (loops)", plain_s, fast_s, "none", f"differ by {np.abs(plain - psths).max():.0e}")


def compare_activity(hp, model_dir, trials):
    from rnn_maturation.analysis.activity import compute_activity
    from rnn_maturation.analysis.parallel import in_order

    trials = trials[-N_CHECKPOINTS:]
    plain_activity(hp, model_dir, trials[0])  # TensorFlow's own start
    plain, plain_s = timed(lambda: [plain_activity(hp, model_dir, trial) for trial in trials[:4]])
    last, fast_s = timed(lambda: list(in_order(lambda t: compute_activity(hp, model_dir, t, RULE)[-1].copy(), trials)))
    difference = max(np.abs(a[-1] - b).max() for a, b in zip(plain, last, strict=False))
    label = f"compute_H, a checkpoint (a graph each), mean of {len(trials)}"
    show(label, plain_s / 4, fast_s / len(trials), "5x", f"differ by {difference:.0e}")


def compare_decoder(activity, info, everything):
    from rnn_maturation.analysis.decoding import cross_temporal_scores, window_rates

    locations = np.asarray(info["in_loc"])
    rates = window_rates(activity, 10, 1)
    rows = range(0, len(rates), 1 if everything else 16)
    plain, plain_s = timed(lambda: [plain_decoder_row(rates, locations, window, 2) for window in rows])
    scores, fast_s = timed(cross_temporal_scores, rates, locations)
    n_different = int((np.array(plain) != scores[list(rows)]).sum())
    label = f"decoder, {len(rates)} x {len(rates)} windows ({len(rows)} rows of the pairwise loop run)"
    show(label, plain_s * len(rates) / len(rows), fast_s, "10x", f"{n_different} scores differ")
    _, all_s = timed(cross_temporal_scores, rates, locations, 2, "everywhere")
    print(f"{'  the same, held out everywhere (8 folds)':58s} {'':9s} {all_s:9.4f}")


def compare_dpca(activity, info, everything):
    from rnn_maturation.analysis.dpca import REGULARIZER_GRID, _marginalize, demixed_pca, trials_by_location

    trials = trials_by_location(activity, info["in_loc"], info["in_loc_set"]).astype(float)
    training, test = _marginalize(trials[1:].mean(axis=0)), _marginalize(trials[0])
    grid = REGULARIZER_GRID[:: 1 if everything else 9]

    def plain():
        return [plain_dpca_error(*test, plain_dpca(*training, regularizer, 10)) for regularizer in grid]

    _, plain_s = timed(plain)
    result, fast_s = timed(demixed_pca, trials)
    mean, parts = _marginalize(trials.mean(axis=0))
    textbook = plain_dpca(mean, parts, result.regularizer, 1)
    aligned = [abs((textbook[part][1][:, 0] * result.encoders[part][:, 0]).sum()) for part in parts]
    label = f"demixed PCA, automatic penalty ({len(grid)} of 45 x 3 full fits run)"
    show(label, 3 * plain_s * 45 / len(grid), fast_s, "15x", f"first axes differ by {1 - min(aligned):.0e}")


def compare(model_dir, everything):
    from rnn_maturation.analysis.activity import Get_H
    from rnn_maturation.analysis.conditions import task_info
    from rnn_maturation.model_directory import checkpoint_trials, load_hp

    hp, trials = load_hp(model_dir), checkpoint_trials(model_dir)
    if hp is None or not trials:
        sys.exit(
            f"benchmarks.analysis: {model_dir} has no trained run: name the model directory of a run with --modeldir"
        )
    activity, info = Get_H(hp, model_dir, trials[-1], RULE), task_info(hp, model_dir, RULE)
    print(f"{model_dir}, {RULE}, activity {activity.shape}\n{'':58s} {'plain s':>9s} {'here s':>9s} {'ratio':>9s}")
    neuron_info = compare_selectivity(activity, info)
    compare_psths(activity, info, neuron_info)
    compare_activity(hp, model_dir, trials)
    compare_decoder(activity, info, everything)
    compare_dpca(activity, info, everything)


def run_main_analysis(model_dir):
    """Run Main_analysis.py on a copy of the run that has no files of earlier analyses; print its time and memory."""
    script = Path(__file__).resolve().parents[1] / "Main_analysis.py"
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / Path(model_dir).resolve().name
        for file in Path(model_dir).rglob("*"):
            if file.is_file() and file.suffix != ".pkl":
                target = copy / file.relative_to(model_dir)
                target.parent.mkdir(parents=True, exist_ok=True)
                os.symlink(file.resolve(), target)
        start = time.perf_counter()
        subprocess.run([sys.executable, str(script), "--modeldir", str(copy)], cwd=folder, check=True)
        seconds = time.perf_counter() - start
        n_figures = len(list(Path(folder).rglob("*.png")))
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = usage.ru_utime + usage.ru_stime
    print(f"Main_analysis.py: {seconds:.0f} s ({cpu:.0f} s of processor time), {usage.ru_maxrss / 1e6:.2f} GB at most,")
    print(f"{n_figures} figures; the aim is 2 minutes and 2 GB on two cores for a run of 370 checkpoints.")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--modeldir", default="data/6tasks_pretrained", help="model directory (default: %(default)s)")
    parser.add_argument("--full", action="store_true", help="run the plain implementations completely")
    parser.add_argument("--whole", action="store_true", help="measure Main_analysis.py on the model directory instead")
    options = parser.parse_args()
    if options.whole:
        run_main_analysis(options.modeldir)
    else:
        compare(options.modeldir, options.full)


if __name__ == "__main__":
    main()
