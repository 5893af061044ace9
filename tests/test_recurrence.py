import numpy as np
import pytest
from scipy import stats

from rnn_maturation.recurrence import ACTIVATIONS, BLOCK, leaky_rnn, leaky_rnn_readout, normal_noise
from rnn_maturation.tensorflow1 import tf, tf1

N_IN, N_RNN = 3, 4
ALPHA = 0.2
SHAPES = [(1, 1), (BLOCK, 1), (BLOCK + 2, 3), (2 * BLOCK + 3, 2)]  # (T, B)
LEAKY_ACTIVATIONS = ["softplus", "relu", "tanh", "elu", "power", "retanh"]

# written from the formulas, in float64
NUMPY_ACTIVATIONS = {
    "softplus": lambda z: np.logaddexp(z, 0),
    "relu": lambda z: np.maximum(z, 0),
    "tanh": np.tanh,
    "elu": lambda z: np.where(z > 0, z, np.expm1(np.minimum(z, 0))),
    "power": lambda z: np.maximum(z, 0) ** 2,
    "retanh": lambda z: np.tanh(np.maximum(z, 0)),
}


def numpy_leaky_rnn(x, w_in, w_rec, bias, activation, noise=0.0, alpha=ALPHA):
    """h (T, B, N): h' = (1 - alpha) h + alpha f(x W_in + h W_rec + b + noise)."""
    noise = np.broadcast_to(noise, (*x.shape[:2], w_rec.shape[0]))
    h, states = np.zeros((x.shape[1], w_rec.shape[0])), []
    for x_t, noise_t in zip(x, noise, strict=True):
        z = x_t @ w_in + h @ w_rec + bias + noise_t
        h = (1 - alpha) * h + alpha * NUMPY_ACTIVATIONS[activation](z)
        states.append(h)
    return np.array(states)


def finite_differences(cost, arrays, width=1e-6):
    """Gradient of cost(*arrays) for each entry of each array, by central differences in float64."""
    gradients = []
    for array in arrays:
        gradient = np.zeros_like(array)
        for i in np.ndindex(array.shape):
            middle = array[i]
            array[i] = middle + width
            above = cost(*arrays)
            array[i] = middle - width
            gradient[i] = (above - cost(*arrays)) / (2 * width)
            array[i] = middle
        gradients.append(gradient)
    return gradients


def random_arrays(n_time, n_trials, seed=0):
    """x, w_in, w_rec, bias: the input reaches both sides of every kink, the recurrence does not explode with power."""
    rng = np.random.RandomState(seed)
    x, w_in = 0.6 * rng.randn(n_time, n_trials, N_IN), 0.6 * rng.randn(N_IN, N_RNN)
    return [x, w_in, 0.3 * rng.randn(N_RNN, N_RNN), 0.3 * rng.randn(N_RNN)]


def assert_close(got, want, tolerance):
    """Within tolerance of the largest value wanted: float32 has rounded sums of terms of that size."""
    assert np.shape(got) == np.shape(want) and np.isfinite(want).all()
    np.testing.assert_allclose(got, want, rtol=tolerance, atol=tolerance * max(1e-3, np.abs(want).max()))


def placeholders():
    shapes = [None, None, N_IN], [N_IN, N_RNN], [N_RNN, N_RNN], [N_RNN]
    return [tf1.placeholder(tf.float32, shape) for shape in shapes]


def plain_leaky_rnn(x, w_in, w_rec, bias, activation):
    """The same by one while_loop over [x, h] that TensorFlow differentiates itself; nothing of the module in it."""
    f = {"retanh": lambda z: tf.tanh(tf.nn.relu(z)), "power": lambda z: tf.square(tf.nn.relu(z))}.get(activation)
    f = f or getattr(tf.nn, activation)
    kernel = tf.concat([w_in, w_rec], 0)

    def step(t, h, states):
        z = tf.matmul(tf.concat([x[t], h], 1), kernel) + bias
        h = (1 - ALPHA) * h + ALPHA * f(z)
        return t + 1, h, states.write(t, h)

    n_time = tf.shape(x)[0]
    start = 0, tf.zeros([tf.shape(x)[1], N_RNN]), tf1.TensorArray(tf.float32, n_time)
    return tf1.while_loop(lambda t, *_: t < n_time, step, start)[-1].stack()


@pytest.fixture(scope="module", params=LEAKY_ACTIVATIONS)
def leaky_graph(request):
    """(activation, run): run(arrays, weights) gives activity and gradients, from the module and from the plain loop."""
    activation = request.param
    with tf.Graph().as_default(), tf1.Session() as session:
        inputs, weights = placeholders(), tf1.placeholder(tf.float32, [None, None, N_RNN])
        seed = tf.constant([0, 0], tf.int64)
        ours = ALPHA * leaky_rnn(*inputs, ALPHA, activation, 0.0, seed)
        plain = plain_leaky_rnn(*inputs, activation)
        fetches = [(h, tf1.gradients(tf.reduce_sum(weights * h), inputs)) for h in (ours, plain)]

        def run(arrays, weight_values):
            return session.run(fetches, dict(zip([*inputs, weights], [*arrays, weight_values], strict=True)))

        yield activation, run


# ------------------------------------------------------------------------------------------------ activity, gradient


@pytest.mark.parametrize("n_time, n_trials", SHAPES)
def test_the_gradient_is_that_of_finite_differences(leaky_graph, n_time, n_trials):
    activation, run = leaky_graph
    arrays = random_arrays(n_time, n_trials)
    weights = np.random.RandomState(1).randn(n_time, n_trials, N_RNN)

    (h, gradients), _ = run(arrays, weights)

    def cost(*arrays):
        return (weights * numpy_leaky_rnn(*arrays, activation)).sum()

    assert_close(h, numpy_leaky_rnn(*arrays, activation), 3e-6)
    for gradient, want in zip(gradients, finite_differences(cost, arrays), strict=True):
        assert_close(gradient, want, 1e-5)


@pytest.mark.parametrize("n_time, n_trials", [*SHAPES, (40, 5)])
def test_the_gradient_is_that_of_a_plain_loop(leaky_graph, n_time, n_trials):
    _, run = leaky_graph
    weights = np.random.RandomState(1).randn(n_time, n_trials, N_RNN)
    (h, gradients), (plain_h, plain_gradients) = run(random_arrays(n_time, n_trials, seed=2), weights)
    assert_close(h, plain_h, 3e-6)
    for gradient, want in zip(gradients, plain_gradients, strict=True):
        assert_close(gradient, want, 1e-5)


def test_an_empty_batch_has_no_activity_and_no_gradient(leaky_graph):
    _, run = leaky_graph
    (h, (dx, *gradients)), _ = run(random_arrays(7, 0), np.zeros((7, 0, N_RNN)))
    assert h.shape == (7, 0, N_RNN) and dx.shape == (7, 0, N_IN)
    assert not any(gradient.any() for gradient in gradients)


def test_the_last_step_has_a_gradient_of_its_own_and_what_follows_none(leaky_graph):
    """The padding to whole blocks must not leak: a cost of one step depends on no later input."""
    _, run = leaky_graph
    weights = np.zeros((BLOCK + 2, 1, N_RNN))
    weights[BLOCK - 1] = 1
    arrays = [np.abs(array) for array in random_arrays(BLOCK + 2, 1)]  # no rectifier is off
    (_, (dx, *_)), _ = run(arrays, weights)
    assert (dx[:BLOCK] != 0).all()
    assert (dx[BLOCK:] == 0).all()


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_derivatives_of_the_activation_functions(name):
    z = np.concatenate([np.linspace(-30, 30, 601) + 0.013, [-80.0, 80.0]]).astype(np.float32)
    f, derivative = ACTIVATIONS[name]
    with tf.Graph().as_default(), tf1.Session() as session:
        value, slope = session.run([f(tf.constant(z)), derivative(tf.constant(z))])
    exact, width = NUMPY_ACTIVATIONS[name], 1e-5
    z = z.astype(float)
    np.testing.assert_allclose(value, exact(z), rtol=2e-6, atol=1e-7)
    np.testing.assert_allclose(slope, (exact(z + width) - exact(z - width)) / (2 * width), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("alpha", [0.05, 1.0])
def test_other_time_steps(alpha):
    arrays = random_arrays(9, 2)
    with tf.Graph().as_default(), tf1.Session() as session:
        inputs = placeholders()
        h = alpha * leaky_rnn(*inputs, alpha, "tanh", 0.0, tf.constant([0, 0], tf.int64))
        gradient = tf1.gradients(tf.reduce_sum(h), inputs[2])
        h, (gradient,) = session.run([h, gradient], dict(zip(inputs, arrays, strict=True)))
    assert_close(h, numpy_leaky_rnn(*arrays, "tanh", alpha=alpha), 3e-6)
    want = finite_differences(lambda *arrays: numpy_leaky_rnn(*arrays, "tanh", alpha=alpha).sum(), arrays)[2]
    assert_close(gradient, want, 1e-5)


# ------------------------------------------------------------------------------------------------ noise of the network


@pytest.fixture(scope="module")
def noisy_run():
    """run(arrays, seed) of a noisy softplus network: activity, readout computed from it, readout of the lean loop."""
    sigma = 0.3
    rng = np.random.RandomState(4)
    w_out, b_out = rng.randn(N_RNN, 2).astype(np.float32), rng.randn(2).astype(np.float32)
    with tf.Graph().as_default(), tf1.Session() as session:
        inputs, seed = placeholders(), tf1.placeholder(tf.int64, [2])
        h = ALPHA * leaky_rnn(*inputs, ALPHA, "softplus", sigma, seed)
        lean = leaky_rnn_readout(*inputs, ALPHA, "softplus", sigma, seed, tf.constant(w_out), tf.constant(b_out))

        def run(arrays, seed_values):
            feed = dict(zip([*inputs, seed], [*arrays, seed_values], strict=True))
            h_value, lean_value = session.run([h, lean], feed)
            return h_value, h_value @ w_out + b_out, lean_value

        yield run


def noise_of(h):
    """The noise that made the activity of a softplus network without input and weights."""
    before = np.concatenate([np.zeros_like(h[:1]), h[:-1]])
    return np.log(np.expm1((h - (1 - ALPHA) * before) / ALPHA))


def without_weights(arrays):
    return [np.zeros_like(array) for array in arrays]


def test_noise_enters_where_the_formula_has_it(noisy_run):
    arrays = random_arrays(BLOCK + 3, 3)
    noise = noise_of(noisy_run(without_weights(arrays), [5, 6])[0].astype(float))
    assert noise.std() == pytest.approx(0.3, rel=0.3)
    h, _, _ = noisy_run(arrays, [5, 6])
    assert_close(h, numpy_leaky_rnn(*arrays, "softplus", noise), 1e-5)


def test_noise_is_a_pure_function_of_the_seed(noisy_run):
    arrays = random_arrays(11, 3)
    first, again, other = (noisy_run(arrays, seed)[0] for seed in ([1, 2], [1, 2], [1, 3]))
    assert np.array_equal(first, again)
    assert not np.isclose(first, other).any()


def test_what_comes_later_changes_nothing_before_it(noisy_run):
    x, *weights = random_arrays(2 * BLOCK + 1, 3)
    whole, start = noisy_run([x, *weights], [1, 2])[0], noisy_run([x[: BLOCK + 2], *weights], [1, 2])[0]
    assert np.array_equal(whole[: BLOCK + 2], start)


@pytest.mark.parametrize("activation", LEAKY_ACTIVATIONS)
@pytest.mark.parametrize("n_time, n_trials", [*SHAPES, (7, 0)])
def test_the_lean_readout_is_the_readout_of_the_activity(n_time, n_trials, activation):
    """Its noise is another, so they are compared without."""
    rng = np.random.RandomState(4)
    w_out, b_out = rng.randn(N_RNN, 2).astype(np.float32), rng.randn(2).astype(np.float32)
    arrays = random_arrays(n_time, n_trials)
    with tf.Graph().as_default(), tf1.Session() as session:
        inputs, seed = placeholders(), tf.constant([0, 0], tf.int64)
        lean = leaky_rnn_readout(*inputs, ALPHA, activation, 0.0, seed, tf.constant(w_out), tf.constant(b_out))
        readout = session.run(lean, dict(zip(inputs, arrays, strict=True)))
    assert readout.shape == (n_time, n_trials, 2)
    want = numpy_leaky_rnn(*arrays, activation) @ w_out + b_out
    np.testing.assert_allclose(readout, want, rtol=1e-5, atol=1e-5)


def test_the_noise_of_the_lean_readout_is_a_pure_function_of_the_seed(noisy_run):
    arrays = random_arrays(11, 3)
    first, again, other = (noisy_run(arrays, seed)[2] for seed in ([1, 2], [1, 2], [1, 3]))
    assert np.array_equal(first, again)
    assert not np.isclose(first, other).any()


def test_the_lean_readout_scatters_as_much_as_that_of_the_activity(noisy_run):
    """Many equal trials, so that all that differs is noise: mean and deviation agree to five standard errors."""
    x, *weights = random_arrays(BLOCK + 2, 1)
    _, readout, lean = noisy_run([np.repeat(x, 20_000, axis=1), *weights], [3, 4])
    difference = readout.mean(axis=1) - lean.mean(axis=1)
    assert (np.abs(difference) < 5 * readout.std(axis=1) * np.sqrt(2 / 20_000)).all()
    np.testing.assert_allclose(lean.std(axis=1), readout.std(axis=1), rtol=5 / np.sqrt(20_000))


@pytest.mark.parametrize("total", [-200.0, -20.0, 0.0, 19.9, 20.1, 88.0, 1e4])
def test_softplus_of_the_lean_readout_holds_for_any_input(total):
    """One unit without recurrence, from rest: after one step it is alpha f(total)."""
    arrays = [np.full((1, 1, 1), total), np.ones((1, 1)), np.zeros((1, 1)), np.zeros(1)]
    with tf.Graph().as_default(), tf1.Session() as session:
        inputs = [tf1.placeholder(tf.float32, array.shape) for array in arrays]
        one, zero, seed = tf.ones([1, 1]), tf.zeros([1]), tf.constant([0, 0], tf.int64)
        lean = leaky_rnn_readout(*inputs, ALPHA, "softplus", 0.0, seed, one, zero)
        readout = session.run(lean, dict(zip(inputs, arrays, strict=True)))
    np.testing.assert_allclose(readout.ravel(), ALPHA * np.logaddexp(total, 0), rtol=1e-6, atol=1e-7)


def test_the_gradient_is_taken_with_the_noise_of_the_forward_pass():
    arrays = random_arrays(BLOCK + 2, 3)
    with tf.Graph().as_default(), tf1.Session() as session:
        inputs, seed = placeholders(), tf1.placeholder(tf.int64, [2])
        h = ALPHA * leaky_rnn(*inputs, ALPHA, "softplus", 0.5, seed)
        fetches = [h, tf1.gradients(tf.reduce_sum(h), inputs)]
        quiet = dict(zip([*inputs, seed], [*without_weights(arrays), [8, 9]], strict=True))
        noise = noise_of(session.run(h, quiet).astype(float))
        _, gradients = session.run(fetches, dict(zip([*inputs, seed], [*arrays, [8, 9]], strict=True)))
    want = finite_differences(lambda *arrays: numpy_leaky_rnn(*arrays, "softplus", noise).sum(), arrays)
    for gradient, expected in zip(gradients, want, strict=True):
        assert_close(gradient, expected, 2e-5)


# ------------------------------------------------------------------------------------------------ the normal numbers


def draw(shape, sigma=1.0, seed=(0, 0), coarse=False):
    with tf.Graph().as_default(), tf1.Session() as session:
        return session.run(normal_noise(shape, sigma, tf.constant(seed, tf.int64), coarse))


@pytest.fixture(params=[False, True], ids=["fine", "coarse"])
def coarse(request):
    return request.param


def test_noise_is_normal(coarse):
    noise = draw([1_000_001], coarse=coarse).astype(float)
    assert stats.kstest(noise, "norm").pvalue > 1e-3
    assert abs(stats.skew(noise)) < 0.015 and abs(stats.kurtosis(noise)) < 0.03  # six standard errors
    for limit in (2, 3, 4):
        n_beyond, expected = (np.abs(noise) > limit).sum(), 2 * stats.norm.sf(limit) * noise.size
        assert abs(n_beyond - expected) < 5 * np.sqrt(expected)


def test_the_two_numbers_of_a_pair_are_independent(coarse):
    """Both come from one radius and one angle: neither signs nor sizes may know of each other."""
    first, second = draw([2, 500_000], coarse=coarse).astype(float)
    for a, b in ((first, second), (first**2, second**2), (np.sign(first), np.sign(second)), (first, second**2)):
        assert abs(np.corrcoef(a, b)[0, 1]) < 5 / np.sqrt(first.size)


def test_neighboring_seeds_give_independent_noise(coarse):
    draws = [draw([200_000], seed=seed, coarse=coarse) for seed in ((0, 0), (0, 1), (1, 0), (-1, 0), (2**62, 5))]
    correlations = np.corrcoef(draws) - np.eye(len(draws))
    assert np.abs(correlations).max() < 5 / np.sqrt(draws[0].size)


@pytest.mark.parametrize("shape", [[0], [1], [3, 1, 5], [4, 0, 2], [2, 3], [5, 16]])
def test_noise_of_any_size(shape, coarse):
    noise = draw(shape, sigma=2.0, coarse=coarse)
    assert noise.shape == tuple(shape) and noise.dtype == np.float32
    assert np.isfinite(noise).all() and (noise != 0).all()


def test_noise_scales_with_sigma(coarse):
    scaled = draw([1000], sigma=0.25, coarse=coarse)
    np.testing.assert_allclose(scaled, 0.25 * draw([1000], coarse=coarse), rtol=1e-6)


def test_coarse_noise_has_the_moments_of_a_normal_distribution():
    """All 65,536 radii and angles together: variance to 1e-4, and no tail beyond the one promised."""
    radius = np.sqrt(-2 * np.log((np.arange(2**16) + 0.5) / 2**16))
    assert (radius**2).mean() / 2 == pytest.approx(1, abs=1e-4)
    assert 4.8 < radius.max() < 4.9
    assert np.abs(draw([2_000_000], coarse=True)).max() <= radius.max() * (1 + 1e-6)
