"""README says what the code does, where it repeats it."""

from pathlib import Path

import pandas as pd

from rnn_maturation.hyperparameters import PARAMETERS
from rnn_maturation.sweep import find_runs, sweep_table
from rnn_maturation.task import TASKS, rules_dict

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def table_rows(first_cell):
    return [line.split("|")[1:-1] for line in README.splitlines() if line.startswith(f"| `{first_cell}`")]


def test_hyperparameter_table_agrees_with_the_code():
    for key, parameter in PARAMETERS.items():
        for _, default, meaning, allowed in table_rows(key):
            assert (meaning.strip(), allowed.strip()) == (parameter.meaning, parameter.check.allowed), key
            if default.strip() not in ("absent", "follows"):
                assert default.strip() == repr(parameter.default), key


def test_settings_that_users_change_are_in_the_hyperparameter_table():
    changed = ["n_rnn", "activation", "learning_rate", "loss_type", "w_rec_init", "rnn_type"]
    changed += ["target_perf", "sigma_rec"]
    for key in changed:
        assert len(table_rows(key)) == 1, key


def test_task_table_agrees_with_the_code():
    for rule in rules_dict["all_new"]:
        (row,) = table_rows(rule)
        epochs = ", ".join(f"{epoch} {duration}" for epoch, duration in TASKS[rule].epochs.items())
        assert row[2].strip() == epochs, rule


def test_what_holds_over_seeds_is_told_by_the_logs_that_come_along():
    table = sweep_table(find_runs(ROOT / "docs" / "seeds"))
    written = pd.read_csv(ROOT / "docs" / "seeds" / "sweep.csv")
    told = [column for column in table if column not in ("message", "wall_s")]
    assert table[told].astype(object).to_numpy().tolist() == written[told].astype(object).to_numpy().tolist()
    *most, last = sorted(table["odr_to_0.35"])
    assert f"after {', '.join(f'{n:,}' for n in most)} and {last:,} trials, a factor of {last / most[0]:.1f}" in README
    anti_saccades = table[[f"{rule}_to_0.95" for rule in ("overlap", "zero_gap", "gap", "gap500")]]
    assert f"within {anti_saccades.min().min():,} to {anti_saccades.max().max():,} trials" in README
    assert (anti_saccades.max(axis=1) < table[["odr_to_0.35", "odrd_to_0.35"]].min(axis=1)).all()
