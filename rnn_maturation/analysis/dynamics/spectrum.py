"""Eigenvalues of the Jacobian of one time step: memory times, frequencies, the leading complex pair and its plane."""

import numpy as np
from scipy import linalg

IS_COMPLEX = 1e-9  # smallest imaginary part of an eigenvalue that counts as complex
# NumPy's complex numbers, because Python's abs(complex(nan)) raises an OverflowError after some unrelated overflows
NO_PAIR = np.complex128(complex(np.nan, np.nan))


def sorted_eigenvalues(jacobian):
    """Return the eigenvalues of a matrix, largest modulus first, and positive before negative imaginary parts."""
    values = np.linalg.eigvals(jacobian).astype(complex)
    return values[np.lexsort((-values.imag, -np.round(abs(values), 12)))]


def leading_pair(eigenvalues):
    """Return the complex eigenvalue with the largest modulus and positive imaginary part; nan if all are real."""
    upper = eigenvalues[eigenvalues.imag > IS_COMPLEX]
    return upper[np.argmax(abs(upper))] if len(upper) else NO_PAIR


def memory_time_s(eigenvalue, dt):
    """Return -dt / ln|eigenvalue| in s (dt in ms): infinite if the modulus is at least 1, nan if it is nan."""
    modulus = abs(eigenvalue)
    if np.isnan(modulus):
        return np.nan
    if modulus >= 1:
        return np.inf
    return float(-dt / 1000 / np.log(modulus)) if modulus > 0 else 0.0


def frequency_hz(eigenvalue, dt):
    """Return |arg eigenvalue| / (2 pi dt) in Hz (dt in ms)."""
    return float(abs(np.angle(eigenvalue)) / (2 * np.pi * dt / 1000))


def rotation(jacobian):
    """Return the leading complex pair of a Jacobian, with its right and left eigenvectors.

    Returns
    -------
    eigenvalue : complex
        The one with positive imaginary part.
    right, left : (n_state,) complex arrays
        J right = eigenvalue right, left J = eigenvalue left, left @ right = 1. A deviation d from the fixed point has
        the component z = left @ d in the pair. A step multiplies z by the eigenvalue. The part of d that belongs to z
        is 2 Re(z right).

    Raises
    ------
    ValueError
        If all eigenvalues are real.
    """
    values, left, right = linalg.eig(jacobian, left=True, right=True)
    pair = leading_pair(values)
    if np.isnan(pair):
        raise ValueError("No eigenvalue of this fixed point is complex: there is no rotation to analyze.")
    k = int(np.argmin(abs(values - pair)))
    right, left = right[:, k], left[:, k].conj()
    return pair, right, left / (left @ right)


def participation(jacobian):
    """Return the participation of each state variable in the leading complex pair, |left * right| (n_state,), sum 1."""
    _, right, left = rotation(jacobian)
    share = abs(left * right)
    return share / share.sum()


def plane(jacobian):
    """Return an orthonormal basis (n_state, 2) of the plane of the leading complex pair."""
    _, right, _ = rotation(jacobian)
    return np.linalg.qr(np.stack([right.real, right.imag], axis=1))[0]


def participation_ratio(activity):
    """Return the participation ratio: (sum of variances)^2 / sum of squared variances along the principal axes.

    Parameters
    ----------
    activity : (..., n_units) array

    Returns
    -------
    float
        The dimensionality of activity, from 1 to n_units; nan if nothing varies.
    """
    flat = np.asarray(activity, dtype=float).reshape(-1, np.shape(activity)[-1])
    covariance = np.cov(flat, rowvar=False, bias=True).reshape(flat.shape[1], -1)
    total = np.trace(covariance)
    return float(total**2 / (covariance**2).sum()) if total > 0 else np.nan


def rotation_size(states):
    """Return the root mean square distance of states (n_directions, n_units) from their mean over directions."""
    return float(np.sqrt(((states - states.mean(axis=0)) ** 2).sum(axis=1).mean()))


def principal_axes(states, n_axes=2):
    """Return the mean of states, their first principal axes and the share of the variance along each.

    Parameters
    ----------
    states : (..., n_state) array
    n_axes : int

    Returns
    -------
    mean : (n_state,) array
    axes : (n_state, n_axes) array
        Orthonormal columns.
    explained : (n_axes,) array
    """
    flat = np.asarray(states).reshape(-1, np.shape(states)[-1])
    mean = flat.mean(axis=0)
    variances, axes = np.linalg.eigh((flat - mean).T @ (flat - mean))
    explained = variances[::-1][:n_axes] / max(variances.sum(), np.finfo(float).tiny)
    return mean, axes[:, ::-1][:, :n_axes], explained
