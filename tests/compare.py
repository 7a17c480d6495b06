"""How results are judged: exactly where the data allow it, else elementwise against a rounding bound."""

import numpy as np


def assert_exact(actual, expected):
    """Equal values and shapes; NaN equals NaN, and the dtype is not looked at."""
    assert actual.shape == expected.shape
    np.testing.assert_array_equal(actual, expected)


def assert_same_bits(actual, expected):
    """The same dtype, shape and bytes."""
    assert actual.dtype == expected.dtype
    assert actual.shape == expected.shape
    assert actual.tobytes() == expected.tobytes()


def assert_rounded(actual, expected, magnitude, terms):
    """Each element within 8 u sqrt(terms) of the sum of absolute products, u the unit roundoff.

    `magnitude` is the same operation on absolute values. A rigorous bound has `terms` in place of its
    root; rounding errors that are as good as random stay within 8 roots. Cancellation neither hides
    an error here nor raises a false alarm.
    """
    assert actual.shape == expected.shape
    u = np.finfo(actual.dtype).eps / 2
    error = np.abs(actual.astype(np.float64) - expected)
    excess = error - u * (8 * np.sqrt(terms) * magnitude + np.abs(expected))
    assert not excess.size or excess.max() <= 0, (
        f"off by {error.max():.3g}, beyond the bound by {excess.max():.3g} "
        f"at {np.unravel_index(excess.argmax(), excess.shape)}"
    )


def assert_adjoint(*products):
    """The inner products of an adjoint identity agree to float64 rounding.

    Each product is a pair of arrays; the scale is that of the sums of absolute values.
    """
    values = [np.vdot(a, b) for a, b in products]
    scale = max(np.vdot(np.abs(a), np.abs(b)) for a, b in products)
    np.testing.assert_allclose(values, values[0], rtol=0, atol=1e-13 * scale)
