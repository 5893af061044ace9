"""A model card and a list of checksums for the folder of a run, so that others can judge and trust a shared network."""

import hashlib
from pathlib import Path

from rnn_maturation import model_directory
from rnn_maturation.files import atomic_write
from rnn_maturation.hyperparameters import STAGE_LEVELS
from rnn_maturation.stages import GROWTH_WINDOW, first_reaching, performance_at
from rnn_maturation.task import rule_name

CARD, CHECKSUMS = "README.md", "SHA256SUMS"
MILESTONES = """ The plateau starts when all
anti-saccade tasks are learned, and ends when smoothed performance in ODR reaches 0.35. The milestones early, mid and
mature are about ODR: performance nearest to 0.35, nearest to 0.65, and the first of at least 0.95."""


def describe(model_dir, named=None):
    """Write a model card, README.md, and the SHA-256 checksums of all files of a run, SHA256SUMS.

    Parameters
    ----------
    model_dir : str or Path
        A run or a copy of one. ``sha256sum --check SHA256SUMS`` in this folder compares its files with the list.
    named : dict of str to int, optional
        Milestones of training and their checkpoints, see `choose_milestones`.

    Raises
    ------
    FileNotFoundError
        When model_dir lacks hp.json or log.json.
    """
    folder = Path(model_dir)
    hp, log = model_directory.load_hp(folder), model_directory.load_log(folder)
    with atomic_write(folder / CARD) as temporary:
        temporary.write_text(_card(folder, hp, log, named or {}), encoding="utf-8")
    files = sorted(file for file in folder.rglob("*") if file.is_file() and file.name not in (CHECKSUMS, ".lock"))
    sums = [f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.relative_to(folder).as_posix()}" for file in files]
    with atomic_write(folder / CHECKSUMS) as temporary:
        temporary.write_text("\n".join(sums) + "\n", encoding="utf-8", newline="\n")


def _card(folder, hp, log, named):
    """Return the model card of a run: task, training, performance, checkpoints, limits."""
    rules = hp["rules"]
    trained = log["perf_min"][-1] > hp["target_perf"]
    goal = "reached" if trained else "had not reached"
    levels = list(STAGE_LEVELS.values())

    def crossed(rule, level):
        position = first_reaching(log[f"perf_{rule}"], level)
        return "–" if position is None else f"{log['trials'][position]:,}"

    learned = []
    for rule in rules:
        trials = " | ".join(crossed(rule, level) for level in levels)
        learned.append(f"| {rule_name[rule]} | {trials} | {log[f'perf_{rule}'][-1]:.3f} |")
    checkpoints = []
    for trial in model_directory.checkpoint_trials(folder):
        what = ", ".join(name for name, number in named.items() if number == trial)
        performance = " | ".join(f"{performance_at(log, rule, trial):.2f}" for rule in rules)
        checkpoints.append(f"| {trial:,} | {what} | {performance} |")
    names = " | ".join(rule_name[rule] for rule in rules)
    return f"""# {folder.name}: a network trained by rnn_maturation

**Tasks.** {", ".join(rule_name[rule] for rule in rules)}. These are eye-movement tasks that are used in research
on the prefrontal cortex, as in Liu, Zhu, Constantinidis and Zhou, iScience 24(10):103178, 2021.

**Network.** A recurrent network ({hp["rnn_type"]}) of {hp["n_rnn"]} units with activation {hp["activation"]}, a time
step of {hp["dt"]} ms and a time constant of {hp["tau"]} ms. All settings are in hp.json.

**Training.** Seed {hp["seed"]}, batches of {hp["batch_size_train"]} trials, learning rate {hp["learning_rate"]:g}.
The network {goal} its target (every task above {hp["target_perf"]:g}) after {log["trials"][-1]:,} trials. log.json has
the performance at every evaluation.

**Performance.** The table gives the number of trials after which performance first reached a level, and the
performance at the end. Before the end, performance is smoothed: each value is the mean of an evaluation and the
{GROWTH_WINDOW} evaluations after it.

| task | {" | ".join(f"{level:g}" for level in levels)} | at the end |
|---|{"---|" * len(levels)}---|
{chr(10).join(learned)}

**Checkpoints.** The checkpoints have the weights without the state of the optimizer. The table gives the performance
that was logged at each of them, in a single evaluation.{MILESTONES if named else ""}

| trials | milestone | {names} |
|---|---|{"---|" * len(rules)}
{chr(10).join(checkpoints)}

This code restores the network of a checkpoint and computes its activity in test trials:

```python
from rnn_maturation import analysis
from rnn_maturation.model_directory import load_hp

model_dir = "{folder.as_posix()}"
activity = analysis.Get_H(load_hp(model_dir), model_dir, {log["trials"][-1]}, "{rules[0]}")
print(activity.shape)  # time steps, trials, units
```

**Limits.** This is one network; other networks with the same settings (another seed) differ from it. It was trained
with one duration of each epoch and may fail with other durations; `delay_generalization_analysis` tests this for the
delay. Training cannot be resumed from these checkpoints. Performance was measured in {hp["batch_size_test"]} noisy
trials per task and scatters by a few hundredths. The network is a model of how such tasks can be learned, not of the
brain of an animal.

**Files.** `sha256sum --check {CHECKSUMS}` (macOS: `shasum -a 256 -c {CHECKSUMS}`) in this folder compares all files
with their checksums.
"""
