"""The recurrence of the networks as TensorFlow graphs: leaky RNN (with its gradient), leaky GRU, GRU and LSTM.

The functions take the input x (T, B, n_in) and return the activity h (T, B, N); `leaky_rnn` returns h / alpha, and
`leaky_rnn_readout` the readout. The program spends most of its time here, which explains how they are written:

- the input product and the noise are computed for a block of steps at a time, so that blocks stay in the processor's
  cache;
- the leaky RNN is integrated as s = h / alpha, s' = (1 - alpha) s + f(z), z = s (alpha W_rec) + drive, which saves one
  product per step;
- its gradient is written by hand (backpropagation through time, with one large product for each weight matrix), since
  TensorFlow's own gradient accumulates the weight gradient step by step.
"""

import math

from rnn_maturation.tensorflow1 import tf, tf1

BLOCK = 5  # time steps that one iteration of a loop computes; their noise is drawn at once


def _retanh(z):
    return tf.tanh(tf.nn.relu(z))


def _positive(z):
    return tf.cast(z > 0, z.dtype)


# name: (f, df/dz) of the activation functions of the leaky RNN
ACTIVATIONS = {
    "softplus": (tf.nn.softplus, tf.sigmoid),
    "relu": (tf.nn.relu, _positive),
    "tanh": (tf.tanh, lambda z: 1 - tf.square(tf.tanh(z))),
    "elu": (tf.nn.elu, lambda z: tf.exp(tf.minimum(z, 0.0))),
    "power": (lambda z: tf.square(tf.nn.relu(z)), lambda z: 2 * tf.nn.relu(z)),
    "retanh": (_retanh, lambda z: _positive(z) * (1 - tf.square(tf.tanh(z)))),
}


def normal_noise(shape, sigma, seed, coarse=False):
    """Draw normal noise of standard deviation sigma; the same seed gives the same noise.

    It is computed from counter-based uniform numbers by the transform of Box and Muller (Ann. Math. Statist. 29, 1958).
    The uniform numbers have a resolution of 2**-23, so that the tails of the noise end at 5.6 sigma; otherwise it is
    exactly normal. On a CPU it is twice as fast as TensorFlow's own generator.

    Parameters
    ----------
    shape : list of ints or scalar tensors
        Shape of the noise.
    sigma : float
        Standard deviation.
    seed : (2,) integer tensor
        Seed; the same seed gives the same noise.
    coarse : bool
        Use 16 random bits per number instead of 32. This saves a third of the time; the resolution is 2**-16, and the
        tails end at 4.9 sigma.

    Returns
    -------
    float32 tensor
        Of the given shape.
    """
    size = tf.reduce_prod(shape)
    if coarse:
        bits = tf.random.stateless_uniform([(size + 3) // 4], seed, minval=None, maxval=None, dtype=tf.int64)
        levels = tf.cast(tf.reshape(tf.bitcast(bits, tf.uint16), [2, -1]), tf.float32)
        uniform, angle = (levels[0] + 0.5) / 2**16, levels[1] * (2 * math.pi / 2**16)
    else:
        draws = tf.random.stateless_uniform([2, (size + 1) // 2], seed)
        uniform, angle = 1 - draws[0], (2 * math.pi) * draws[1]  # 1 - u lies in (0, 1]
    radius = tf.sqrt((-2 * sigma**2) * tf.math.log(uniform))
    normals = tf.reshape(tf.stack([radius * tf.cos(angle), radius * tf.sin(angle)]), [-1])
    return tf.reshape(normals[:size], shape)


def _pad_to_blocks(x):
    """Append zeros to x until its length is a multiple of BLOCK; later steps do not change earlier ones."""
    return tf.pad(x, [[0, -tf.shape(x)[0] % BLOCK], [0, 0], [0, 0]])


def _drive(x, t, w_in, bias, sigma, seed, coarse=False):
    """Return the sum of weighted input, bias and noise in the steps t to t + BLOCK - 1, (BLOCK, B, N)."""
    n_in, n_rnn = w_in.shape
    shape = [BLOCK, tf.shape(x)[1], n_rnn]
    drive = tf.reshape(tf.matmul(tf.reshape(x[t : t + BLOCK], [-1, n_in]), w_in) + bias, shape)
    if sigma > 0:
        drive += normal_noise(shape, sigma, seed + tf.stack([0, tf.cast(t, tf.int64)]), coarse)
    return drive


def _softplus_of_many(z):
    """Return softplus computed by elementary operations, which are faster than tf.nn.softplus if z has many rows."""
    return tf.maximum(z, tf.math.log(1 + tf.exp(tf.minimum(z, 20.0))))  # from 20 on, softplus(z) is z in float32


def _leaky_block(s, drive, w, alpha, activation):
    """Integrate one block of steps; return lists of the total input z and the scaled state s after each step."""
    z_block, s_block = [], []
    for k in range(BLOCK):
        z = tf.matmul(s, w) + drive[k]
        s = (1 - alpha) * s + activation(z)
        z_block.append(z)
        s_block.append(s)
    return z_block, s_block


def _array(size, width):
    """Return an empty TensorArray for `size` matrices (any number of rows, width)."""
    return tf1.TensorArray(tf.float32, size, infer_shape=False, element_shape=[None, width])


def _write(array, t, values):
    for k, value in enumerate(values):
        array = array.write(t + k, value)
    return array


def leaky_rnn(x, w_in, w_rec, bias, alpha, activation, sigma, seed):
    """Return the activity of the leaky RNN, divided by alpha.

    The activity is h' = (1 - alpha) h + alpha f(x W_in + h W_rec + b + noise), with h = 0 before the first step.

    Parameters
    ----------
    x : (T, B, n_in) tensor
    w_in, w_rec, bias : (n_in, N), (N, N), (N,) tensors
    alpha : float
        dt / tau.
    activation : str
        Key of `ACTIVATIONS`.
    sigma : float
        Standard deviation of the noise, which is independent in each unit, trial and step.
    seed : (2,) int64 tensor
        Seed of the noise.

    Returns
    -------
    (T, B, N) tensor
        h / alpha. Before a product with a smaller array, it is faster to multiply that array by alpha than this one.
    """
    f, derivative = ACTIVATIONS[activation]
    n_in, n_rnn = w_in.shape

    @tf.custom_gradient
    def scan(x, w_in, w_rec, bias):
        padded = _pad_to_blocks(x)
        n_time, n_trials, n_padded = tf.shape(x)[0], tf.shape(x)[1], tf.shape(padded)[0]
        w = alpha * w_rec
        at_rest = tf.zeros([n_trials, n_rnn])

        def forward(t, s, z_all, s_all):
            z_block, s_block = _leaky_block(s, _drive(padded, t, w_in, bias, sigma, seed), w, alpha, f)
            return t + BLOCK, s_block[-1], _write(z_all, t, z_block), _write(s_all, t, s_block)

        start = (0, at_rest, _array(n_padded, n_rnn), _array(n_padded, n_rnn))
        _, _, z_all, s_all = tf1.while_loop(lambda t, *_: t < n_time, forward, start)
        s_all = tf.reshape(s_all.stack(), [n_padded, n_trials, n_rnn])[:n_time]

        def gradient(ds_all):
            """Propagate the gradient back in time: dz is that of the total input z, carry that of the leaking state."""
            w_back = tf.transpose(w)
            ds_all = tf1.cond(tf.equal(n_padded, n_time), lambda: ds_all, lambda: _pad_to_blocks(ds_all))

            def backward(t, carry, dz, dz_all):
                for k in range(BLOCK):
                    ds = ds_all[t - k] + carry + tf.matmul(dz, w_back)
                    dz = ds * derivative(z_all.read(t - k))
                    dz_all = dz_all.write(t - k, dz)
                    carry = (1 - alpha) * ds
                return t - BLOCK, carry, dz, dz_all

            start = (n_padded - 1, at_rest, at_rest, _array(n_padded, n_rnn))
            dz_all = tf1.while_loop(lambda t, *_: t >= 0, backward, start)[-1].stack()
            dz_all = tf.reshape(dz_all, [n_padded, n_trials, n_rnn])[:n_time]
            dz = tf.reshape(dz_all, [-1, n_rnn])
            dw_rec = alpha * tf.matmul(
                tf.reshape(s_all[:-1], [-1, n_rnn]), tf.reshape(dz_all[1:], [-1, n_rnn]), transpose_a=True
            )
            dw_in = tf.matmul(tf.reshape(x, [-1, n_in]), dz, transpose_a=True)
            dx = tf.reshape(tf.matmul(dz, w_in, transpose_b=True), tf.shape(x))
            return dx, dw_in, dw_rec, tf.reduce_sum(dz, 0)

        return s_all, gradient

    return scan(x, w_in, w_rec, bias)


def leaky_rnn_readout(x, w_in, w_rec, bias, alpha, activation, sigma, seed, w_out, b_out):
    """Return the readout h W_out + b_out of `leaky_rnn` without keeping the activity.

    Evaluations use it: they have many trials and need no gradient. Its noise is coarse, see `normal_noise`.

    Parameters
    ----------
    x, w_in, w_rec, bias, alpha, activation, sigma, seed
        As for `leaky_rnn`.
    w_out, b_out : (N, n_out), (n_out,) tensors

    Returns
    -------
    (T, B, n_out) tensor
    """
    f = _softplus_of_many if activation == "softplus" else ACTIVATIONS[activation][0]
    padded = _pad_to_blocks(x)
    n_time, n_trials = tf.shape(padded)[0], tf.shape(padded)[1]
    w, w_readout = alpha * w_rec, alpha * w_out

    def forward(t, s, readouts):
        _, s_block = _leaky_block(s, _drive(padded, t, w_in, bias, sigma, seed, coarse=True), w, alpha, f)
        return t + BLOCK, s_block[-1], readouts.write(t // BLOCK, tf.matmul(tf.concat(s_block, 0), w_readout) + b_out)

    start = (0, tf.zeros([n_trials, w_in.shape[1]]), _array(n_time // BLOCK, w_out.shape[1]))
    readouts = tf1.while_loop(lambda t, *_: t < n_time, forward, start)[-1].concat()
    return tf.reshape(readouts, [n_time, n_trials, w_out.shape[1]])[: tf.shape(x)[0]]


def gated_activation(name):
    """Return the activation function of a gated network: one of `ACTIVATIONS`, relu+, or a function of tf.nn.

    Parameters
    ----------
    name : str
        One of `hyperparameters.GATED_ACTIVATIONS`.

    Returns
    -------
    function of a tensor
    """
    if name == "relu+":
        return lambda z: tf.nn.relu(z + 1)
    return ACTIVATIONS[name][0] if name in ACTIVATIONS else getattr(tf.nn, name)


def _gated_scan(x, step, n_rnn, n_states):
    """Return h (T, B, N) of a gated network, where step(x_t, t, states) gives the states after step t, h first."""
    n_time = tf.shape(x)[0]

    def body(t, states, h_all):
        states = step(x[t], t, states)
        return t + 1, states, h_all.write(t, states[0])

    at_rest = tuple(tf.zeros([tf.shape(x)[1], n_rnn]) for _ in range(n_states))
    h_all = tf1.while_loop(lambda t, *_: t < n_time, body, (0, at_rest, _array(n_time, n_rnn)))[-1].stack()
    return tf.reshape(h_all, [n_time, tf.shape(x)[1], n_rnn])


def gru(x, w_gates, b_gates, w_candidate, b_candidate, activation, alpha=None, sigma=0.0, seed=None):
    """Return the activity of a network of gated recurrent units or, with alpha, of the leaky GRU.

    r, u = sigmoid([x, h] W_gates + b_gates), c = f([x, r h] W_candidate + b_candidate + noise), and then
    h' = u h + (1 - u) c in the GRU, or h' = (1 - alpha u) h + alpha u c in the leaky GRU.

    Parameters
    ----------
    x : (T, B, n_in) tensor
    w_gates, b_gates : (n_in + N, 2 N), (2 N,) tensors
    w_candidate, b_candidate : (n_in + N, N), (N,) tensors
    activation : str
        See `gated_activation`.
    alpha : float, optional
        dt / tau of the leaky GRU. By default the network is a GRU.
    sigma, seed
        Noise of the leaky GRU, as for `leaky_rnn`.

    Returns
    -------
    (T, B, N) tensor
        h
    """
    f = gated_activation(activation)

    def step(x_t, t, states):
        (h,) = states
        r, u = tf.split(tf.sigmoid(tf.matmul(tf.concat([x_t, h], 1), w_gates) + b_gates), 2, 1)
        z = tf.matmul(tf.concat([x_t, r * h], 1), w_candidate) + b_candidate
        if sigma > 0:
            z += normal_noise(tf.shape(z), sigma, seed + tf.stack([0, tf.cast(t, tf.int64)]))
        c = f(z)
        return (u * h + (1 - u) * c,) if alpha is None else ((1 - alpha * u) * h + alpha * u * c,)

    return _gated_scan(x, step, w_candidate.shape[1], 1)


def lstm(x, w, b, activation):
    """Return the activity of the LSTM, computed as in TensorFlow 1's cell.

    The gates are in the order i, j, f, o, and 1 is added to the bias of the forget gate.

    Parameters
    ----------
    x : (T, B, n_in) tensor
    w, b : (n_in + N, 4 N), (4 N,) tensors
    activation : str
        See `gated_activation`.

    Returns
    -------
    (T, B, N) tensor
        h
    """
    f = gated_activation(activation)

    def step(x_t, t, states):
        h, c = states
        i, j, forget, o = tf.split(tf.matmul(tf.concat([x_t, h], 1), w) + b, 4, 1)
        c = c * tf.sigmoid(forget + 1) + tf.sigmoid(i) * f(j)
        return f(c) * tf.sigmoid(o), c

    return _gated_scan(x, step, w.shape[1] // 4, 2)
