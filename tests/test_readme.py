"""README says what the code does, where it repeats it."""

from pathlib import Path

from rnn_maturation.hyperparameters import PARAMETERS
from rnn_maturation.task import TASKS, rules_dict

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")


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
