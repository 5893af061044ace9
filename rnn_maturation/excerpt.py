"""Make a small copy of a run to share: the complete log, some checkpoints, a model card and checksums.

    python -m rnn_maturation.excerpt data/6tasks data/6tasks_pretrained [--checkpoints 40]
    python -m rnn_maturation.excerpt data/6tasks_seed1 data/seeds/6tasks_seed1 --milestones

By default, the checkpoints show every stage of every rule. With --milestones, at most six checkpoints show how ODR was
learned.
"""

import argparse
import sys
from contextlib import suppress

import numpy as np

from rnn_maturation import model_directory
from rnn_maturation.analysis.report.data import TrainedRun
from rnn_maturation.analysis.report.finding import NotDecidable
from rnn_maturation.checkpoint import slim_checkpoint
from rnn_maturation.hyperparameters import STAGE_LEVELS
from rnn_maturation.model_card import describe
from rnn_maturation.network import Model
from rnn_maturation.stages import performance_of, range_auto_select
from rnn_maturation.tensorflow1 import tf1


def choose_checkpoints(hp, log, trial_nums, n_checkpoints):
    """Choose checkpoints so that every stage of every rule is represented as well as possible.

    Parameters
    ----------
    hp, log : dict
        Hyper-parameters and log of the run.
    trial_nums : list of int
        Trial numbers of the checkpoints to choose from, in order.
    n_checkpoints : int
        Number of checkpoints to choose. The first and the last one are always among them.

    Returns
    -------
    list of int
        The trial numbers chosen, in order.
    """
    ranges = [
        set(trials) & set(trial_nums)
        for rule in log["growth"][0]
        for trials in range_auto_select(hp, log, log["perf_" + rule]).values()
    ]
    chosen = {trial_nums[0], trial_nums[-1]}

    def worth(trial_num):
        """Return the need for a checkpoint in its stages and, for ties, its distance from the nearest one chosen."""
        lack = sum((1 + len(chosen & members)) ** -2 for members in ranges if trial_num in members)
        return lack, np.abs(np.subtract(list(chosen), trial_num)).min()

    while len(chosen) < min(n_checkpoints, len(trial_nums)):
        chosen.add(max((trial for trial in trial_nums if trial not in chosen), key=worth))
    return sorted(chosen)


def choose_milestones(model_dir):
    """Choose the checkpoints of a run that show how ODR was learned.

    The plateau and the mature checkpoint are those of the report's findings on the dynamics.

    Parameters
    ----------
    model_dir : str or Path
        A run that was trained on ODR and on anti-saccade rules.

    Returns
    -------
    dict of str to int
        {milestone: trial number}. The milestones are 'start of the plateau', 'end of the plateau', 'early' and 'mid'
        (between the plateau's end and maturity, performance in ODR nearest to the level of the stage), 'mature', 'end
        of the run'. What the run did not reach, or has no checkpoint of, is absent.
    """
    run = TrainedRun(model_dir)
    on_disk = sorted(run.on_disk)
    chosen = {}
    with suppress(NotDecidable):
        start = run.log["trials"][run.plateau("odr")[0]]
        chosen["start of the plateau"] = min(on_disk, key=lambda trial: abs(trial - start))
    with suppress(NotDecidable):
        chosen["end of the plateau"] = risen = run.first_risen_odr
        chosen["mature"] = mature = run.first_mature_odr
        for stage in ("early", "mid"):
            performance = performance_of(run.log, "odr", [trial for trial in on_disk if risen <= trial <= mature])
            chosen[stage] = min(performance, key=lambda trial: abs(performance[trial] - STAGE_LEVELS[stage]))
    chosen["end of the run"] = on_disk[-1]
    return dict(sorted(chosen.items(), key=lambda milestone: milestone[1]))


def excerpt(model_dir, target_dir, n_checkpoints=40, milestones=False):
    """Copy hp.json, log.json and some checkpoints of a run, without the optimizer's state, and write a model card.

    Parameters
    ----------
    model_dir : str or Path
        Model directory of the run.
    target_dir : str or Path
        Folder for the copy; it must not have a run yet.
    n_checkpoints : int
        Number of checkpoints to copy, see `choose_checkpoints`.
    milestones : bool
        Copy the checkpoints that `choose_milestones` names instead.

    Returns
    -------
    list of int
        The trial numbers of the checkpoints copied.

    Raises
    ------
    FileNotFoundError
        When model_dir lacks hp.json, log.json or checkpoints.
    ValueError
        When target_dir has a run already.
    """
    hp, log = model_directory.load_hp(model_dir), model_directory.load_log(model_dir)
    trial_nums = model_directory.checkpoint_trials(model_dir)
    if not trial_nums:
        raise FileNotFoundError(
            f"{model_dir} has no checkpoints to copy: name the model directory of a run that has some"
        )
    if model_directory.has_hp(target_dir):
        raise ValueError(f"{target_dir} has a run already: choose another directory")
    named = choose_milestones(model_dir) if milestones else {}
    chosen = sorted(set(named.values())) or choose_checkpoints(hp, log, trial_nums, n_checkpoints)
    model = Model(model_dir, hp=hp)
    with tf1.Session():
        for trial_num in chosen:
            model.restore(model_directory.checkpoint_dir(model_dir, trial_num))
            folder = model_directory.checkpoint_dir(target_dir, trial_num)
            model.save(folder, slimmable=True)
            slim_checkpoint(folder)
            (folder / f"{model_directory.CHECKPOINT_NAME}.meta").unlink()
    model_directory.save_log({**log, "model_dir": str(target_dir)}, target_dir)
    model_directory.save_hp(hp, target_dir)
    describe(target_dir, named)
    return chosen


def main():
    """Make the copy that the arguments name."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model_dir", help="model directory of the run")
    parser.add_argument("target_dir", help="folder for the copy")
    parser.add_argument(
        "--checkpoints", type=int, default=40, help="number of checkpoints to copy (default: %(default)s)"
    )
    parser.add_argument(
        "--milestones", action="store_true", help="copy at most six checkpoints that show how ODR was learned instead"
    )
    options = parser.parse_args()
    try:
        chosen = excerpt(options.model_dir, options.target_dir, options.checkpoints, options.milestones)
    except (ValueError, OSError) as error:
        sys.exit(f"excerpt: {error}")
    print(f"{options.target_dir} now has {len(chosen)} checkpoints: {', '.join(map(str, chosen))}")


if __name__ == "__main__":
    main()
