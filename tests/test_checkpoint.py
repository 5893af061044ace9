"""Checkpoint folders: what is written, read, refused and slimmed."""

import os
import shutil
import signal

import numpy as np
import pytest
from small_networks import (
    MIX_RULE,
    NETWORKS,
    NOISY,
    QUIET,
    VARIABLES,
    assert_same,
    build,
    random_feed,
    session,
    shaken,
    stored_names,
    train_steps,
    variables_of,
    write_checkpoint,
)

from rnn_maturation.checkpoint import slim_checkpoint
from rnn_maturation.hyperparameters import complete_hp
from rnn_maturation.network import Model
from rnn_maturation.tensorflow1 import tf, tf1


@pytest.fixture(params=NETWORKS)
def name(request):
    return request.param


# ------------------------------------------------------------------------------------------------ checkpoints


CHECKPOINT_FILES = ["checkpoint", "model.ckpt.data-00000-of-00001", "model.ckpt.index", "model.ckpt.meta"]


def files_in(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def saved(tmp_path):
    """(model, folder of a checkpoint of it after two training steps, all its values there)"""
    model, folder = build("LeakyRNN", **QUIET), tmp_path / "run" / "1280"
    with session(model) as sess:
        model.initialize()
        train_steps(model, sess)
        model.save(folder)
        return model, folder, variables_of(model)


def test_saving_and_restoring_gives_the_same_network_and_optimizer(tmp_path, name):
    model = build(name, **QUIET)
    with session(model) as sess:
        model.initialize()
        train_steps(model, sess)
        want = variables_of(model)
        model.save(tmp_path / "0")
        train_steps(model, sess)
        after_training = variables_of(model)
        model.restore(tmp_path / "0")
        assert_same(variables_of(model), want)
        train_steps(model, sess)
        assert_same(variables_of(model), after_training)
    with session(model):
        model.restore(tmp_path / "0")  # nothing needs to be initialized before
        assert_same(variables_of(model), want)


def test_a_plain_saver_reads_what_was_saved(tmp_path, name):
    """As the original would."""
    model = build(name, **QUIET)
    with session(model) as sess:
        model.initialize()
        train_steps(model, sess)
        want = variables_of(model)
        model.save(tmp_path / "0")
    fixed = MIX_RULE if name == "separate" else {}
    with tf.Graph().as_default(), tf1.Session() as sess:
        variables = {key: tf1.get_variable(key, shape) for key, shape in {**VARIABLES[name], **fixed}.items()}
        for key, shape in VARIABLES[name].items():
            variables |= {f"{key}/{slot}": tf1.get_variable(f"{key}/{slot}", shape) for slot in ("Adam", "Adam_1")}
        variables |= {key: tf1.get_variable(key, ()) for key in ("beta1_power", "beta2_power")}
        tf1.train.Saver().restore(sess, str(tmp_path / "0" / "model.ckpt"))
        assert_same(sess.run(variables), want)
    assert tf1.train.latest_checkpoint(str(tmp_path / "0")) == str(tmp_path / "0" / "model.ckpt")


def test_a_checkpoint_without_optimizer_state_restores_and_the_state_starts_anew(tmp_path, name):
    model = build(name, **QUIET)
    with session(model) as sess:
        model.initialize()
        initial = variables_of(model)
        train_steps(model, sess)
        values = shaken({key: initial[key] for key in stored_names(model)})
        write_checkpoint(tmp_path / "0", values)
        model.restore(tmp_path / "0")
        assert_same(variables_of(model), {**initial, **values})


def test_a_network_trained_by_adam_goes_on_with_sgd(saved):
    _, folder, want = saved
    model = build("LeakyRNN", optimizer="sgd")
    with session(model):
        model.restore(folder)
        assert_same(variables_of(model), {key: want[key] for key in VARIABLES["LeakyRNN"]})


def test_the_saver_attribute_reads_checkpoints_too(saved):
    model, folder, want = saved
    with session(model) as sess:
        model.saver.restore(sess, str(folder / "model.ckpt"))
        assert_same(variables_of(model), want)


def test_the_model_directory_is_where_checkpoints_go_unless_told_otherwise(tmp_path):
    model = Model(str(tmp_path / "run"), hp=complete_hp({"n_rnn": 3}))
    with tf1.Session():
        model.initialize()
        want = variables_of(model)
        model.save()
        assert files_in(tmp_path / "run") == CHECKPOINT_FILES
        model.restore()
        assert_same(variables_of(model), want)


def save_again(saved, *folders, files=None):
    """Save another state of the network into each folder; all its values."""
    model, folder, _ = saved
    with session(model) as sess:
        model.restore(folder)
        train_steps(model, sess)
        for target in folders:
            model.save(target, files)
        return variables_of(model)


def restored(model, folder):
    with session(model):
        model.restore(folder)
        return variables_of(model)


def test_a_folder_appears_whole_and_nothing_else_is_left(saved):
    _, folder, _ = saved
    assert files_in(folder.parent) == ["1280"] and files_in(folder) == CHECKPOINT_FILES
    save_again(saved, folder.parent / "2560", files={"state.json": "{}"})
    assert files_in(folder.parent) == ["1280", "2560"]
    assert files_in(folder.parent / "2560") == [*CHECKPOINT_FILES, "state.json"]
    assert (folder.parent / "2560" / "state.json").read_text() == "{}"
    assert (folder / "checkpoint").read_text().splitlines()[0] == 'model_checkpoint_path: "model.ckpt"'


@pytest.mark.skipif(os.name == "nt", reason="Windows has no umask")
def test_the_folder_has_the_rights_that_the_user_gives_to_new_ones(saved):
    _, folder, _ = saved
    beside = folder.parent / "made by hand"
    beside.mkdir()
    assert folder.stat().st_mode == beside.stat().st_mode


def test_the_graph_is_written_once_and_linked(saved):
    _, folder, _ = saved
    save_again(saved, folder.parent / "2560", folder.parent / "3840")
    numbers = {path.name: (path / "model.ckpt.meta").stat().st_ino for path in folder.parent.iterdir()}
    assert list(sorted(numbers)) == ["1280", "2560", "3840"] and len(set(numbers.values())) == 1
    shutil.rmtree(folder.parent / "3840")  # the newest one, which the next would be linked to
    save_again(saved, folder.parent / "5120")
    assert files_in(folder.parent / "5120") == CHECKPOINT_FILES


def test_the_written_graph_can_be_imported_and_run(saved):
    model, folder, _ = saved
    feed = random_feed(model)
    with session(model) as sess:
        model.restore(folder)
        want = sess.run(model.y_hat, feed)
    with tf.Graph().as_default(), tf1.Session() as sess:
        saver = tf1.train.import_meta_graph(str(folder / "model.ckpt.meta"))
        saver.restore(sess, str(folder / "model.ckpt"))
        got = sess.run(model.y_hat.name, {tensor.name: value for tensor, value in feed.items()})
    np.testing.assert_allclose(got, want, atol=1e-6)


def test_overwriting_a_checkpoint_keeps_what_else_is_in_its_folder(saved):
    model, folder, _ = saved
    (folder / "H_odr.pkl").write_bytes(b"activity")
    want = save_again(saved, folder)
    assert files_in(folder) == ["H_odr.pkl", *CHECKPOINT_FILES] and files_in(folder.parent) == ["1280"]
    assert (folder / "H_odr.pkl").read_bytes() == b"activity"
    assert_same(restored(model, folder), want)


def test_a_save_that_fails_leaves_nothing(saved):
    model, folder, _ = saved
    with session(model), pytest.raises(tf.errors.FailedPreconditionError):
        model.save(folder.parent / "2560")  # no variable has a value
    (folder.parent / "note").write_text("a file")
    with pytest.raises(OSError):
        save_again(saved, folder.parent / "note")
    assert files_in(folder.parent) == ["1280", "note"]


def test_a_full_disk_leaves_the_old_checkpoint_whole(saved):
    resource = pytest.importorskip("resource", reason="Windows has no such limit")
    model, folder, want = saved
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
        for target in (folder, folder.parent / "2560"):
            with pytest.raises((tf.errors.OpError, OSError)):
                save_again(saved, target)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert files_in(folder.parent) == ["1280"] and files_in(folder) == CHECKPOINT_FILES
    assert_same(restored(model, folder), want)


@pytest.mark.skipif(os.name == "nt" or os.getuid() == 0, reason="the administrator may write everywhere")
def test_a_directory_that_may_not_be_written_to_is_an_error(saved):
    _, folder, _ = saved
    folder.parent.chmod(0o500)
    try:
        with pytest.raises(PermissionError):
            save_again(saved, folder.parent / "2560")
        assert files_in(folder.parent) == ["1280"]
    finally:
        folder.parent.chmod(0o700)


@pytest.mark.parametrize("folder_name", ["a b", "run [2]", "ä{b}", "%d", "-x"])
def test_any_folder_name_will_do(saved, folder_name):
    want = save_again(saved, saved[1].parent / folder_name / "0")
    assert_same(restored(saved[0], saved[1].parent / folder_name / "0"), want)


def test_restoring_and_saving_add_nothing_to_the_graph(saved):
    model, folder, _ = saved
    with session(model) as sess:
        before = len(sess.graph.get_operations())
        for _ in range(50):
            model.restore(folder)
        model.save(folder.parent / "2560")
        model.lesion_units(sess, [0])
        assert len(sess.graph.get_operations()) == before


def save_slimmable(saved):
    """Another checkpoint, and what it holds slimmed: the network without the optimizer's state."""
    model, folder, _ = saved
    with session(model):
        model.restore(folder)
        model.save(folder.parent / "2560", {"state.json": "{}"}, slimmable=True)
    return folder.parent / "2560"


def test_a_slimmed_checkpoint_keeps_the_network_and_loses_the_state_of_the_optimizer(saved):
    model, _, want = saved
    folder = save_slimmable(saved)
    assert_same(restored(model, folder), want)
    n_bytes = (folder / CHECKPOINT_FILES[1]).stat().st_size
    for _ in range(2):
        slim_checkpoint(folder)
        assert files_in(folder) == [*CHECKPOINT_FILES, "state.json"]
        assert (folder / CHECKPOINT_FILES[1]).stat().st_size < 0.4 * n_bytes
    got = restored(model, folder)
    assert_same({key: got[key] for key in VARIABLES["LeakyRNN"]}, {key: want[key] for key in VARIABLES["LeakyRNN"]})
    assert not any(got[key].any() for key in got if key.endswith(("Adam", "Adam_1")))
    with session(model), pytest.raises(ValueError, match=f"{folder} has no optimizer state"):
        model.restore(folder, whole=True)


def test_a_checkpoint_is_whole_also_half_way_through_slimming(saved):
    model, _, want = saved
    folder = save_slimmable(saved)
    os.replace(folder / "variables.ckpt.index", folder / "model.ckpt.index")  # and here the process is killed
    got = restored(model, folder)
    assert_same({key: got[key] for key in VARIABLES["LeakyRNN"]}, {key: want[key] for key in VARIABLES["LeakyRNN"]})
    slim_checkpoint(folder)
    assert files_in(folder) == [*CHECKPOINT_FILES, "state.json"]
    assert_same(restored(model, folder), got)


def test_slimming_leaves_other_folders_as_they_are(saved):
    model, folder, want = saved
    slim_checkpoint(folder)
    assert_same(restored(model, folder), want)
    slim_checkpoint(folder.parent / "99")
    assert files_in(folder.parent) == ["1280"]


def test_overwriting_a_slimmable_checkpoint_leaves_nothing_of_it(saved):
    model, _, _ = saved
    folder = save_slimmable(saved)
    want = save_again(saved, folder)
    slim_checkpoint(folder)
    assert_same(restored(model, folder), want)


# ------------------------------------------------------------------------------------------------ bad checkpoints


def test_a_folder_without_checkpoint_is_an_error(saved):
    model, folder, _ = saved
    for missing in (folder.parent / "99", folder.parent):
        with session(model), pytest.raises(FileNotFoundError, match=f"no checkpoint in {missing}.*give the folder"):
            model.restore(missing)


@pytest.mark.parametrize(
    "other, changes, difference",
    [
        ("LeakyRNN", NOISY, "rnn/leaky_rnn_cell/kernel has shape"),
        ("LSTM", QUIET, "rnn/lstm_cell/kernel"),
        ("separate", QUIET, "sen_input/kernel"),
    ],
)
def test_a_checkpoint_of_another_network_is_an_error(saved, other, changes, difference):
    _, folder, _ = saved
    model = build(other, **changes)
    with session(model):
        model.initialize()
        before = variables_of(model)
        with pytest.raises(
            ValueError, match=f"{folder} belongs to another network.*{difference}.*restore it with the hp"
        ):
            model.restore(folder)
        assert_same(variables_of(model), before)


def test_a_checkpoint_with_mixed_rules_is_not_restored_without_them(tmp_path):
    mixed, plain = build("separate", **QUIET), build("separate", **{**QUIET, "mix_rule": False})
    with session(mixed):
        mixed.initialize()
        mixed.save(tmp_path / "0")
    with session(plain), pytest.raises(ValueError, match="another network: it has mix_rule/kernel, which this"):
        plain.restore(tmp_path / "0")


def truncations(content):
    return [content[:length] for length in np.linspace(0, len(content) - 1, 12).astype(int)]


def flips(content):
    """A bit turned over here and there."""
    for bit in np.random.RandomState(0).randint(0, 8 * len(content), 40):
        damaged = bytearray(content)
        damaged[bit // 8] ^= 1 << bit % 8
        yield bytes(damaged)


@pytest.mark.parametrize("damage", [truncations, flips, lambda content: [b"not a checkpoint"]])
@pytest.mark.parametrize("file", CHECKPOINT_FILES[1:3])
def test_a_damaged_checkpoint_is_an_error_and_changes_nothing(saved, file, damage):
    model, folder, want = saved
    content, n_refused = (folder / file).read_bytes(), 0
    with session(model):
        model.initialize()
        before = variables_of(model)
        for damaged in damage(content):
            (folder / file).write_bytes(damaged)
            try:
                model.restore(folder)
            except ValueError as error:
                assert f"{folder}/model.ckpt is damaged" in str(error) and "delete the folder" in str(error)
                assert_same(variables_of(model), before)
                n_refused += 1
            else:  # a few bits of an index mean nothing
                assert file.endswith("index")
                assert_same(variables_of(model), want)
                model.initialize()
    assert n_refused > 0


def test_a_checkpoint_that_lacks_its_data_is_an_error(saved):
    model, folder, _ = saved
    (folder / CHECKPOINT_FILES[1]).unlink()
    with session(model), pytest.raises(ValueError, match=f"{folder}/model.ckpt is damaged.*delete the folder"):
        model.restore(folder)


def test_files_of_two_checkpoints_mixed_are_an_error(saved):
    model, folder, _ = saved
    save_again(saved, folder.parent / "2560")
    shutil.copy(folder / CHECKPOINT_FILES[1], folder.parent / "2560")
    with session(model), pytest.raises(ValueError, match="is damaged"):
        model.restore(folder.parent / "2560")
