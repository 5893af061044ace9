"""The recurrent network as a TensorFlow graph: variables, activity, output, costs and training step.

Importing this module switches TensorFlow's eager execution off: graphs and sessions are used as in TensorFlow 1.
"""

import numpy as np

from rnn_maturation import recurrence
from rnn_maturation.checkpoint import CheckpointWriter, difference, read_checkpoint
from rnn_maturation.checks import check_path, quoted
from rnn_maturation.cpu import n_cores
from rnn_maturation.hyperparameters import complete_hp, gen_ortho_matrix
from rnn_maturation.model_directory import load_hp
from rnn_maturation.tensorflow1 import tf, tf1

FIXATION_THRESHOLD = 0.5  # the network fixates while its fixation output is above this
RESPONSE_MARGIN = 0.2 * np.pi  # rad (36 degrees); a saccade that lands closer to its target than this is correct
CHANCE = RESPONSE_MARGIN / np.pi  # performance of saccades in random directions
# The batch is computed in this many independent parts, so that two threads can work without waiting for each other. The
# number is the same on every machine, because the noise and the last bits of the sums depend on it.
N_PARTS = 2
G_REC = {"tanh": 1.0, "power": 0.01}  # initial gain of the recurrent weights; it is 0.5 for other activations


def popvec(y):
    """Return the direction of the population vector of ring activity.

    Parameters
    ----------
    y : (..., R) array
        Activity of units with preferred directions 0, 2 pi / R, ...

    Returns
    -------
    (...) array
        Radians in [0, 2 pi).
    """
    directions = np.arange(y.shape[-1]) * (2 * np.pi / y.shape[-1])
    angle = np.mod(np.arctan2((y * np.sin(directions)).sum(-1), (y * np.cos(directions)).sum(-1)), 2 * np.pi)
    return np.where(angle >= 2 * np.pi, 0.0, angle)  # rounding may give 2 pi itself; nan stays nan


def tf_popvec(y):
    """Return `popvec` of a tensor (..., R)."""
    n_ring = y.shape[-1]
    directions = np.arange(n_ring) * (2 * np.pi / n_ring)
    components = tf.tensordot(y, np.stack([np.sin(directions), np.cos(directions)], 1).astype(np.float32), 1)
    circle = np.float32(2 * np.pi)
    angle = tf.math.floormod(tf.atan2(components[..., 0], components[..., 1]), circle)
    return tf.where(angle >= circle, tf.zeros_like(angle), angle)


def get_perf(y_hat, y_loc):
    """Return whether each trial is answered correctly, judged at its last step.

    If the network must fixate at the last step, the trial is correct if it fixates. Otherwise the trial is correct if
    the network makes a saccade that lands less than 36 degrees from the target.

    Parameters
    ----------
    y_hat : (T, B, R + 1) array
        Output of the network, fixation first.
    y_loc : (T, B) array
        Target direction (rad), negative where the network must fixate.

    Returns
    -------
    (B,) float array
        1 where the trial is correct, else 0.

    Raises
    ------
    ValueError
        If the arrays have other shapes.
    """
    if y_hat.ndim != 3 or y_loc.shape != y_hat.shape[:2]:
        raise ValueError(f"get_perf takes y_hat (T, B, R + 1) and y_loc (T, B), got {y_hat.shape} and {y_loc.shape}")
    y_hat, y_loc = y_hat[-1], y_loc[-1]
    fixating = y_hat[:, 0] > FIXATION_THRESHOLD
    offset = np.abs(popvec(y_hat[:, 1:]) - y_loc)
    hit = np.minimum(offset, 2 * np.pi - offset) < RESPONSE_MARGIN
    return np.where(y_loc < 0, fixating, ~fixating & hit).astype(float)


def gen_feed_dict(model, trial, hp):
    """Return the feed dict with which a session runs `model` on `trial`.

    Parameters
    ----------
    model : Model
    trial : task.Trial
    hp : dict
        Not used. The function has this argument because the original has it.

    Returns
    -------
    dict
    """
    return {model.x: trial.x, model.y: trial.y, model.c_mask: trial.c_mask}


def session_config(threads=None):
    """Return session settings for training, in which the parts of the batch run in parallel and share the cores.

    Parameters
    ----------
    threads : int, optional
        Number of processor cores to use; by default all that this process may use.

    Returns
    -------
    tf.compat.v1.ConfigProto
    """
    if threads is None:
        threads = n_cores()
    return tf1.ConfigProto(
        intra_op_parallelism_threads=max(1, threads // N_PARTS),
        inter_op_parallelism_threads=min(threads, N_PARTS),
        gpu_options=tf1.GPUOptions(allow_growth=True),
    )


def _glorot_uniform(rng, n_in, n_out):
    limit = np.sqrt(6 / (n_in + n_out))
    return rng.uniform(-limit, limit, (n_in, n_out))


def _initial_w_rec(rng, hp):
    """Draw the initial recurrent weights (N, N) of a leaky RNN."""
    n_rnn = hp["n_rnn"]
    make = {
        "randortho": lambda: gen_ortho_matrix(n_rnn, rng),
        "diag": lambda: np.eye(n_rnn),
        "randgauss": lambda: rng.randn(n_rnn, n_rnn) / np.sqrt(n_rnn),
    }
    return G_REC.get(hp["activation"], 0.5) * make[hp["w_rec_init"]]()


class Model:
    """A network in TensorFlow's default graph; making a model resets this graph.

    Use it inside ``with tf.compat.v1.Session() as sess:``, after `initialize` or `restore`.

    hp['alpha'] is always dt / tau. If you override `dt` or `sigma_rec`, make the trials with `model.hp` and not with
    the hp that you passed in, because trials depend on the time step too.

    Parameters
    ----------
    model_dir : str or Path
        Folder of hp.json, in which `save` and `restore` work by default. It may be None if hp is given.
    hp : dict, optional
        Hyper-parameters; by default they are read from model_dir. The dict is not changed.
    sigma_rec, dt : float, optional
        Standard deviation of the recurrent noise, and time step (ms), to use instead of the values in hp.

    Attributes
    ----------
    model_dir, hp
        The arguments; hp is complete and has the overridden values.
    x, y, c_mask : placeholders
        (T, B, n_input), (T, B, n_output), and the cost mask of the trials (see task.Trial).
    noise_seed : placeholder with default, (2,) int64
        Seed of the recurrent noise: the same seed gives the same noise. If it is not fed, every session run draws new
        noise.
    h, y_hat, y_hat_loc : tensors
        Activity (T, B, N), output (T, B, n_output), and the direction of its population vector (T, B) in [0, 2 pi).
    cost_lsq, cost_reg : scalar tensors
        Cost of the output, of either loss type in spite of the name; and cost of the regularization.
    evaluation : tuple of tensors
        cost_lsq, y_hat, and the l2_h part of cost_reg, which is a sum over trials. In a leaky RNN without a penalty on
        the activity, they are computed without keeping the activity, to save memory and time.
    train_step : operation
        Changes the variables by one step of the optimizer.
    var_list, weight_list : lists of variables
        All trainable variables, and the weights among them.
    w_in, w_rec, w_out, b_rec, b_out : tensors
        Weights and biases: (n_in, N), (N, N), (N, n_output), (N,), (n_output,). With separate input there are also
        w_sen_in, b_in and w_rule, and w_in is the input matrix that results from w_sen_in and w_rule. In a GRU, w_in,
        w_rec and b_rec are those of the candidate state; in an LSTM, those of the four gates side by side.
    saver : tf.compat.v1.train.Saver
        Saves and restores all variables, as in the original.

    Raises
    ------
    FileNotFoundError
        If hp is not given and model_dir has no hp.json.
    ValueError
        If hyper-parameters are wrong, or model_dir is not a path.
    """

    def __init__(self, model_dir, hp=None, sigma_rec=None, dt=None):
        if model_dir is not None or hp is None:
            check_path("model_dir", model_dir)
        hp = load_hp(model_dir) if hp is None else hp
        if not isinstance(hp, dict):
            raise ValueError(f"hp must be a dict of hyper-parameters, not {quoted(hp)}")
        if dt is not None:
            hp = {**{key: value for key, value in hp.items() if key != "alpha"}, "dt": dt}
        if sigma_rec is not None:
            hp = {**hp, "sigma_rec": sigma_rec}
        self.model_dir, self.hp = model_dir, complete_hp(hp)
        tf1.reset_default_graph()
        tf1.set_random_seed(self.hp.get("seed", 0))
        self._build()

    def _build(self):
        hp = self.hp
        self.x = tf1.placeholder(tf.float32, [None, None, hp["n_input"]], "x")
        self.y = tf1.placeholder(tf.float32, [None, None, hp["n_output"]], "y")
        self._lsq = hp["loss_type"] == "lsq"
        self.c_mask = tf1.placeholder(tf.float32, [None, hp["n_output"]] if self._lsq else [None], "c_mask")
        fresh = tf.random.uniform([2], maxval=tf.int64.max, dtype=tf.int64)
        self.noise_seed = tf1.placeholder_with_default(fresh, [2], "noise_seed")
        self._build_variables(np.random.RandomState(hp.get("seed", 0)))
        self.var_list = tf1.trainable_variables()
        self._network_variables = tf1.global_variables()
        self.weight_list = [v for v in self.var_list if v.op.name.endswith(("kernel", "weights"))]
        self._build_activity()
        self._build_costs()
        make_optimizer = {"adam": tf1.train.AdamOptimizer, "sgd": tf1.train.GradientDescentOptimizer}
        self.opt = make_optimizer[hp["optimizer"]](hp["learning_rate"])
        self.set_optimizer()
        self.saver = tf1.train.Saver(max_to_keep=None)
        slots = [v for v in tf1.global_variables() if v not in set(self._network_variables)]
        self._writer = CheckpointWriter(self._network_variables, slots, self.saver)

    # ------------------------------------------------------------------------------------------------ variables

    def _build_variables(self, rng):
        """Make the variables, named as in TensorFlow 1; initial values are drawn from rng, those of the output last."""
        hp = self.hp
        n_in, n_rnn = hp["n_input"], hp["n_rnn"]

        def variable(name, value, trainable=True):
            return tf1.get_variable(name, initializer=np.asarray(value, np.float32), trainable=trainable)

        self._separate = hp["rnn_type"] == "LeakyRNN" and hp["use_separate_input"]
        output = "output/kernel", "output/bias"
        if not self._separate:
            output = "output/weights", "output/biases"
            build = self._build_leaky_rnn if hp["rnn_type"] == "LeakyRNN" else self._build_gated
            build(variable, rng, n_in, n_rnn)
        else:
            self._build_separate_input(variable, rng, n_rnn)
        self.w_out = variable(output[0], _glorot_uniform(rng, n_rnn, hp["n_output"]))
        self.b_out = variable(output[1], np.zeros(hp["n_output"]))

    def _build_leaky_rnn(self, variable, rng, n_in, n_rnn):
        w_in = rng.randn(n_in, n_rnn) / np.sqrt(n_in)
        self._recurrent = [variable("rnn/leaky_rnn_cell/kernel", np.concatenate([w_in, _initial_w_rec(rng, self.hp)]))]
        self.b_rec = variable("rnn/leaky_rnn_cell/bias", np.zeros(n_rnn))
        self.w_in, self.w_rec = self._recurrent[0][:n_in], self._recurrent[0][n_in:]

    def _build_separate_input(self, variable, rng, n_rnn):
        hp = self.hp
        n_sensory, n_rule = hp["rule_start"], hp["n_rule"]
        w_rec = _initial_w_rec(rng, hp)
        self.w_sen_in = variable("sen_input/kernel", _glorot_uniform(rng, n_sensory, n_rnn))
        self.b_in = variable("sen_input/bias", np.zeros(n_rnn))
        mix = None
        if hp.get("mix_rule"):
            mix = variable("mix_rule/kernel", gen_ortho_matrix(n_rule, rng), trainable=False)
        self.w_rule = variable("rule_input/kernel", _glorot_uniform(rng, n_rule, n_rnn))
        self.w_rec = variable("rnn/leaky_rnn_cell_separate_input/kernel", w_rec)
        self.b_rec = variable("rnn/leaky_rnn_cell_separate_input/bias", np.zeros(n_rnn))
        self._recurrent = [self.w_rec]
        w_rule = tf.convert_to_tensor(self.w_rule) if mix is None else tf.matmul(mix, self.w_rule)
        self.w_in = tf.concat([self.w_sen_in, w_rule], 0)

    def _build_gated(self, variable, rng, n_in, n_rnn):
        rnn_type = self.hp["rnn_type"]
        n_rows = n_in + n_rnn
        if rnn_type == "LSTM":
            kernel = variable("rnn/lstm_cell/kernel", _glorot_uniform(rng, n_rows, 4 * n_rnn))
            self.b_rec = variable("rnn/lstm_cell/bias", np.zeros(4 * n_rnn))
            self._recurrent = [kernel]
        else:
            cell = {"LeakyGRU": "rnn/leaky_gru_cell", "GRU": "rnn/gru_cell"}[rnn_type]
            gates = variable(cell + "/gates/kernel", _glorot_uniform(rng, n_rows, 2 * n_rnn))
            self._b_gates = variable(cell + "/gates/bias", np.ones(2 * n_rnn))
            kernel = variable(cell + "/candidate/kernel", _glorot_uniform(rng, n_rows, n_rnn))
            self.b_rec = variable(cell + "/candidate/bias", np.zeros(n_rnn))
            self._recurrent = [gates, kernel]
        self.w_in, self.w_rec = kernel[:n_in], kernel[n_in:]

    # --------------------------------------------------------------------------------------- activity and output

    def _build_activity(self):
        """Build the activity and readout of each part of the batch, and the tensors that join the parts."""
        n_trials = tf.shape(self.x)[1]
        bounds = [n_trials * i // N_PARTS for i in range(N_PARTS + 1)]
        self._parts = [slice(start, stop) for start, stop in zip(bounds[:-1], bounds[1:], strict=True)]
        seeds = tf.random.stateless_uniform([N_PARTS, 2], self.noise_seed, minval=None, maxval=None, dtype=tf.int64)
        x_parts = [self.x[:, part] for part in self._parts]
        # leaky_rnn returns h / alpha, so that h = scale * activity
        activity = [self._activity(x, seeds[i]) for i, x in enumerate(x_parts)]
        scale, self._h_parts = activity[0][0], [h for _, h in activity]
        self._readout_parts = [self._readout(h, scale * tf.convert_to_tensor(self.w_out)) for h in self._h_parts]
        self._scale = scale
        self.h = scale * tf.concat(self._h_parts, 1)
        self._lean_parts = self._readout_parts
        if self.hp["rnn_type"] == "LeakyRNN":
            self._lean_parts = [
                recurrence.leaky_rnn_readout(x, *self._leaky_arguments(seeds[i]), self.w_out, self.b_out)
                for i, x in enumerate(x_parts)
            ]
        self.y_hat = self._output(self._readout_parts)
        self.y_hat_loc = tf_popvec(self.y_hat[..., 1:])

    def _sigma(self):
        """Return the standard deviation of the noise in one step, scaled so that its effect does not depend on dt."""
        return self.hp["sigma_rec"] * np.sqrt(2 / self.hp["alpha"])

    def _leaky_arguments(self, seed):
        bias = self.b_rec + self.b_in if self._separate else tf.convert_to_tensor(self.b_rec)
        w_rec = tf.convert_to_tensor(self.w_rec)
        return self.w_in, w_rec, bias, self.hp["alpha"], self.hp["activation"], self._sigma(), seed

    def _activity(self, x, seed):
        """Return, for one part of the batch, scale and activity such that h = scale * activity."""
        hp = self.hp
        if hp["rnn_type"] == "LeakyRNN":
            return hp["alpha"], recurrence.leaky_rnn(x, *self._leaky_arguments(seed))
        if hp["rnn_type"] == "LSTM":
            return 1.0, recurrence.lstm(x, self._recurrent[0], self.b_rec, hp["activation"])
        leaky = {"alpha": hp["alpha"], "sigma": self._sigma(), "seed": seed} if hp["rnn_type"] == "LeakyGRU" else {}
        gates, candidate = self._recurrent
        return 1.0, recurrence.gru(x, gates, self._b_gates, candidate, self.b_rec, hp["activation"], **leaky)

    def _readout(self, h, w_out):
        readout = tf.matmul(tf.reshape(h, [-1, self.hp["n_rnn"]]), w_out) + self.b_out
        return tf.reshape(readout, [tf.shape(h)[0], tf.shape(h)[1], self.hp["n_output"]])

    def _output(self, readout_parts):
        return (tf.sigmoid if self._lsq else tf.nn.softmax)(tf.concat(readout_parts, 1))

    # -------------------------------------------------------------------------------------------- costs, training

    def _output_cost(self, readout_parts):
        """Return the mean cost; the parts are added at the end, so that their gradients do not wait for each other."""
        n_time, n_trials = tf.shape(self.x)[0], tf.shape(self.x)[1]
        if not self._lsq:
            mask = tf.reshape(self.c_mask, [n_time, n_trials])
            sums = [
                tf.reduce_sum(mask[:, part] * tf.nn.softmax_cross_entropy_with_logits(self.y[:, part], readout))
                for part, readout in zip(self._parts, readout_parts, strict=True)
            ]
            return tf.add_n(sums) / tf.cast(n_time * n_trials, tf.float32)
        mask = tf.reshape(self.c_mask, [n_time, n_trials, self.hp["n_output"]])
        sums = [
            tf.nn.l2_loss((self.y[:, part] - tf.sigmoid(readout)) * mask[:, part])  # half the sum of squares
            for part, readout in zip(self._parts, readout_parts, strict=True)
        ]
        return 2 * tf.add_n(sums) / tf.cast(n_time * n_trials * self.hp["n_output"], tf.float32)

    def _build_costs(self):
        hp = self.hp
        self.cost_lsq = self._output_cost(self._readout_parts)
        self.cost_reg, l2_h = tf.constant(0.0), tf.constant(0.0)
        if hp["l1_h"] > 0:
            n_h = tf.cast(tf.size(self._h_parts[0]) + tf.size(self._h_parts[1]), tf.float32)
            total = tf.add_n([tf.reduce_sum(tf.abs(h)) for h in self._h_parts])
            self.cost_reg += hp["l1_h"] * self._scale * total / n_h
        if hp["l2_h"] > 0:
            l2_h = hp["l2_h"] * self._scale**2 * tf.add_n([tf.nn.l2_loss(h) for h in self._h_parts])
            self.cost_reg += l2_h
        for weight in self.weight_list:
            if hp["l1_weight"] > 0:
                self.cost_reg += hp["l1_weight"] * tf.reduce_mean(tf.abs(weight))
            if hp["l2_weight"] > 0:
                self.cost_reg += hp["l2_weight"] * tf.nn.l2_loss(weight)
        regularized = hp["l1_h"] > 0 or hp["l2_h"] > 0  # the penalty needs the activity anyway
        readout_parts = self._readout_parts if regularized else self._lean_parts
        self.evaluation = (self._output_cost(readout_parts), self._output(readout_parts), l2_h)

    def set_optimizer(self, extra_cost=None, var_list=None):
        """Replace train_step by one that minimizes cost_lsq + cost_reg + extra_cost, with gradients clipped to ±1.

        Parameters
        ----------
        extra_cost : scalar tensor, optional
            A further cost. It is not added to `cost_reg`, so the next call does not include it.
        var_list : list of variables, optional
            Variables to train; by default all trainable ones.
        """
        cost_reg = self.cost_reg if extra_cost is None else self.cost_reg + extra_cost
        var_list = self.var_list if var_list is None else var_list
        gradients = tf1.gradients(self.cost_lsq + cost_reg, var_list)
        clipped = [(tf.clip_by_value(g, -1.0, 1.0), v) for g, v in zip(gradients, var_list, strict=True)]
        self.train_step = self.opt.apply_gradients(clipped)

    # ------------------------------------------------------------------------------------------ values and files

    def _set(self, values):
        """Set variables, {variable: value}, without adding to the graph."""
        feed = {variable.initializer.inputs[1]: value for variable, value in values.items()}
        tf1.get_default_session().run([variable.initializer for variable in values], feed)

    def initialize(self):
        """Set all variables to their initial values, which follow from hp['seed']."""
        tf1.get_default_session().run(tf1.global_variables_initializer())

    def restore(self, load_dir=None, whole=False):
        """Read the variables, and the optimizer's state if the checkpoint has it, from a checkpoint folder.

        Checkpoints that TensorFlow 1 has written are read too.

        Parameters
        ----------
        load_dir : str or Path, optional
            Checkpoint folder; by default model_dir.
        whole : bool
            If True, a checkpoint without the optimizer's state is an error. If False, that state is set to its initial
            value.

        Raises
        ------
        FileNotFoundError
            If there is no checkpoint.
        ValueError
            If the checkpoint is damaged or belongs to another network, or if it lacks the optimizer's state and `whole`
            is True.
        """
        folder = self.model_dir if load_dir is None else load_dir
        stored = read_checkpoint(folder)
        different = difference(stored, self._network_variables)
        if different:
            raise ValueError(
                f"the checkpoint in {folder} belongs to another network: {different}; restore it with the hp of its run"
            )
        variables = tf1.global_variables()
        if whole and any(v.op.name not in stored for v in variables):
            raise ValueError(f"the checkpoint in {folder} has no optimizer state: training cannot be resumed from it")
        values = {v: stored[v.op.name] for v in variables if v.op.name in stored}
        tf1.get_default_session().run([v.initializer for v in variables if v not in set(values)])
        self._set(values)

    def save(self, modeldir=None, files=None, slimmable=False):
        """Write a checkpoint; the folder appears complete or not at all.

        Parameters
        ----------
        modeldir : str or Path, optional
            Checkpoint folder; by default model_dir.
        files, slimmable
            As for `checkpoint.CheckpointWriter.write`.

        Raises
        ------
        OSError
            If the disk is full or the folder is not writable. The message names the folder and the remedy.
        ValueError
            If the folder is a link.
        """
        self._writer.write(self.model_dir if modeldir is None else modeldir, files, slimmable)

    def lesion_units(self, sess, units, verbose=False):
        """Silence units: set their outgoing recurrent and output weights to zero.

        Parameters
        ----------
        sess : tf.compat.v1.Session
        units : int, sequence of ints, or None
            Indices of the units, from 0. With None or an empty sequence, nothing happens.
        verbose : bool
            Print the units.

        Raises
        ------
        ValueError
            If a unit does not exist, or an index is not an integer.
        """
        if units is None:
            return
        units = np.atleast_1d(units)
        n_rnn = self.hp["n_rnn"]
        if units.size and (units.dtype.kind not in "iu" or units.min() < 0 or units.max() >= n_rnn):
            raise ValueError(f"units to lesion must be integers from 0 to {n_rnn - 1}, got {quoted(units.tolist())}")
        units = units.astype(int)
        values = dict(zip(self._recurrent, sess.run(self._recurrent), strict=True))
        for value in values.values():
            value[value.shape[0] - n_rnn + units] = 0  # the recurrent rows come last
        values[self.w_out] = sess.run(self.w_out)
        values[self.w_out][units] = 0
        with sess.as_default():
            self._set(values)
        if verbose:
            print(f"lesioned units: {units.tolist()}")
