"""Analyze recorded neurons of your own with the analyses of this program.

    python -m examples.own_recording

Every analysis has a function that takes arrays and needs no files. This example makes up two recording sessions in an
ODR task with a delay of 1.5 s, one of a young and one of an adult animal. Each session has 40 neurons, 8 locations and
12 trials per location. For your own recording, replace `made_up_session` with a function that reads your data.
"""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")  # draw into files, open no window

import numpy as np  # noqa: E402

from rnn_maturation.analysis.decoding import compute_recorded_decoder_scores  # noqa: E402
from rnn_maturation.analysis.dpca import compute_demixed_pca  # noqa: E402
from rnn_maturation.analysis.psth import compute_psth, compute_stage_psths  # noqa: E402
from rnn_maturation.analysis.selectivity import compute_neuron_info, select_units  # noqa: E402
from rnn_maturation.analysis.tuning import compute_tuning  # noqa: E402

DT = 20  # ms per bin
EPOCHS_MS = {"fix1": (0, 1000), "stim1": (1000, 1500), "delay1": (1500, 3000)}
EPOCHS = {name: (start // DT, end // DT) for name, (start, end) in EPOCHS_MS.items()}  # in bins
N_LOCATIONS, N_TRIALS, N_NEURONS = 8, 12, 40  # N_TRIALS: per location
FOLDER = Path("figure/own_recording")


def made_up_session(delay_gain, seed):
    """Make up a recording session.

    A firing rate is the number of spikes in a bin, divided by the bin width in s.

    Parameters
    ----------
    delay_gain : float
        Response of the neurons in the delay, relative to their response to the cue.
    seed : int
        Seed of the random numbers.

    Returns
    -------
    activity : (n_time, n_trials, n_neurons) array
        Firing rates in Hz.
    locations : (n_trials,) array of int
        Index of the location of the cue in each trial, 0 to 7.
    """
    rng = np.random.default_rng(seed)
    locations = np.repeat(np.arange(N_LOCATIONS), N_TRIALS)
    preferred = rng.integers(N_LOCATIONS, size=N_NEURONS)
    baseline = rng.uniform(4, 10, N_NEURONS)  # Hz
    distance = np.abs(locations[:, None] - preferred)
    distance = np.minimum(distance, N_LOCATIONS - distance)
    tuned = 15 * np.exp(-(distance**2) / 2)  # Hz, (n_trials, n_neurons)
    gain = np.zeros(EPOCHS["delay1"][1])
    gain[slice(*EPOCHS["stim1"])] = 1
    gain[slice(*EPOCHS["delay1"])] = delay_gain
    rate = baseline + gain[:, None, None] * tuned
    return rng.poisson(rate * DT / 1000) / (DT / 1000), locations


def main():
    FOLDER.mkdir(parents=True, exist_ok=True)
    sessions = {"young": made_up_session(delay_gain=0.2, seed=1), "adult": made_up_session(delay_gain=0.6, seed=2)}
    stages = {"early": ["young"], "mature": ["adult"]}  # the sessions of each stage
    performance = {"young": 0.62, "adult": 0.91}

    # Which neurons are selective in the delay, and for which location? Rates are not divided by the fixation rate
    # (norm=False), because with few trials the fixation rate at a single location is noisy.
    infos = {
        name: compute_neuron_info(activity, locations, EPOCHS, "delay1", norm=False)
        for name, (activity, locations) in sessions.items()
    }
    selected = {name: select_units(info, ("exh_neurons", "mix_neurons")) for name, info in infos.items()}
    for name, (neurons, _) in selected.items():
        print(f"{name}: {len(neurons)} of {N_NEURONS} neurons are selective in the delay")

    # Time course of their activity, with the cue at the preferred and at the opposite location
    logs = {}
    for opposite in (False, True):
        logs[opposite] = {}
        for name, (activity, locations) in sessions.items():
            psth = compute_psth(activity, locations, *selected[name], EPOCHS, DT, opposite=opposite, name=name)
            logs[opposite][name] = psth[name]
    curves = compute_stage_psths(
        logs[False], stages, performance, EPOCHS, DT, opposite=logs[True], title="Neurons selective in the delay"
    )
    curves.plot().savefig(FOLDER / "psth.png", dpi=150)
    curves.to_frame().to_csv(FOLDER / "psth.csv", index=False)

    # Their tuning in the delay
    rates = {name: infos[name]["firerate_loc_order"][neurons] for name, (neurons, _) in selected.items()}
    tuning = compute_tuning(rates, stages, performance, title="Tuning in the delay")
    tuning.plot().savefig(FOLDER / "tuning.png", dpi=150)
    print("width of tuning (locations):", {stage: round(of["width"], 2) for stage, of in tuning["stages"].items()})

    # Decoding across time and demixed PCA, for the adult session
    activity, locations = sessions["adult"]
    scores = compute_recorded_decoder_scores(activity, locations, DT, window_size=10, stride=10, epochs=EPOCHS)
    scores.plot().savefig(FOLDER / "decoder.png", dpi=150)
    parts = compute_demixed_pca(activity, locations, DT, EPOCHS, n_components=3)
    parts.plot().savefig(FOLDER / "dpca.png", dpi=150)


if __name__ == "__main__":
    main()
