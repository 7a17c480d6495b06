"""Convolution and pooling for HIPS autograd: gradients of any order, in reverse and in forward mode.

``pip install 'cyconv[autograd]'``.  Arguments are those of the functions of the same names in `cyconv`, without `out`
and `activation`: write ``autograd.numpy.maximum(y, 0)``.

>>> import autograd.numpy as np
>>> from autograd import grad
>>> from cyconv.autograd import conv2d, max_pool2d
>>> def loss(w, x):
...     return np.sum(max_pool2d(np.tanh(conv2d(x, w, padding="same")), 2) ** 2)
>>> x, w = np.ones((1, 4, 4, 2)), np.full((3, 3, 2, 5), 0.01)
>>> grad(loss)(w, x).shape
(3, 3, 2, 5)
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

import cyconv
from cyconv.conv import bias_vector
from cyconv.geometry import Padding
from cyconv.trilinear import Trilinear, convolution, transposition
from cyconv.unpool import scatter

try:
    from autograd.extend import def_linear, defjvp, defvjp, primitive
    from autograd.tracer import getval
except ImportError as error:
    raise ImportError("cyconv.autograd needs autograd: pip install 'cyconv[autograd]'") from error

__all__ = ["avg_pool2d", "conv2d", "conv_transpose2d", "max_pool2d"]

# Each is linear in the two arrays it takes, and its gradients by them are the other two.
_conv, _transposed, _weight_grad = map(primitive, (Trilinear.conv, Trilinear.transposed, Trilinear.weight_grad))
defvjp(
    _conv,
    lambda y, form, x, w: lambda dy: _transposed(form, dy, w),
    lambda y, form, x, w: lambda dy: _weight_grad(form, dy, x),
    argnums=(1, 2),
)
defvjp(
    _transposed,
    lambda x, form, y, w: lambda dx: _conv(form, dx, w),
    lambda x, form, y, w: lambda dx: _weight_grad(form, y, dx),
    argnums=(1, 2),
)
defvjp(
    _weight_grad,
    lambda w, form, y, x: lambda dw: _conv(form, x, dw),
    lambda w, form, y, x: lambda dw: _transposed(form, y, dw),
    argnums=(1, 2),
)

_avg_pool, _avg_pool_backward = primitive(cyconv.avg_pool2d), primitive(cyconv.avg_pool2d_backward)
defvjp(
    _avg_pool,
    lambda y, x, kernel_size, **options: lambda dy: _avg_pool_backward(dy, x.shape, kernel_size, **options),
    argnums=(0,),
)
defvjp(
    _avg_pool_backward,
    lambda dx, dy, shape, kernel_size, **options: lambda u: _avg_pool(u, kernel_size, **options),
    argnums=(0,),
)


def _take(x: Any, indices: NDArray[np.int64]) -> Any:
    """The values of x at indices into its H*W planes."""
    *N, H, W, C = x.shape
    planes = x.reshape(*N, H * W, C)
    return np.take_along_axis(planes, indices.reshape(*N, -1, C), axis=-2).reshape(indices.shape)


# The maxima move with the places they were found in, which small changes of x leave alone.
_max_pool, _taken = primitive(cyconv.max_pool2d), primitive(_take)
_scattered = primitive(lambda y, indices, shape: scatter(y, indices, shape, add=True))


def _indices(x: Any, kernel_size: Any, options: dict[str, Any]) -> NDArray[np.int64]:
    indices: NDArray[np.int64] = cyconv.max_pool2d(getval(x), kernel_size, return_indices=True, **options)[1]
    return indices


def _max_pool_vjp(y: Any, x: Any, kernel_size: Any, **options: Any) -> Any:
    indices = _indices(x, kernel_size, options)
    return lambda dy: _scattered(dy, indices, x.shape)


def _max_pool_jvp(dx: Any, y: Any, x: Any, kernel_size: Any, **options: Any) -> Any:
    return _taken(dx, _indices(x, kernel_size, options))


defvjp(_max_pool, _max_pool_vjp, argnums=(0,))
defjvp(_max_pool, _max_pool_jvp, argnums=(0,))
defvjp(_taken, lambda y, x, indices: lambda dy: _scattered(dy, indices, x.shape), argnums=(0,))
defvjp(_scattered, lambda x, y, indices, shape: lambda dx: _taken(dx, indices), argnums=(0,))

for linear in (_conv, _transposed, _weight_grad, _avg_pool, _avg_pool_backward, _taken, _scattered):
    def_linear(linear)


def _plus_bias(y: Any, b: Any) -> Any:
    return y if b is None else y + bias_vector(b, y.shape[-1])


def conv2d(
    x: ArrayLike,
    w: ArrayLike,
    b: ArrayLike | None = None,
    *,
    stride: int | tuple[int, int] = 1,
    padding: Padding = 0,
    dilation: int | tuple[int, int] = 1,
    groups: int = 1,
    algorithm: str = "auto",
) -> Any:
    """`cyconv.conv2d`, differentiable by x, w and b.

    Examples
    --------
    >>> import autograd.numpy as np
    >>> from autograd import elementwise_grad
    >>> from cyconv.autograd import conv2d
    >>> x, w = np.ones((1, 3, 3, 1)), np.ones((2, 2, 1, 1))
    >>> elementwise_grad(conv2d)(x, w)[0, :, :, 0]
    array([[1., 2., 1.],
           [2., 4., 2.],
           [1., 2., 1.]])
    """
    form = convolution(np.shape(x), np.shape(w), stride, padding, dilation, groups, algorithm)
    return _plus_bias(_conv(form, x, w), b)


def conv_transpose2d(
    x: ArrayLike,
    w: ArrayLike,
    b: ArrayLike | None = None,
    *,
    stride: int | tuple[int, int] = 1,
    padding: Padding = 0,
    output_padding: int | tuple[int, int] = 0,
    output_size: int | tuple[int, int] | None = None,
    dilation: int | tuple[int, int] = 1,
    groups: int = 1,
    algorithm: str = "auto",
) -> Any:
    """`cyconv.conv_transpose2d`, differentiable by x, w and b.

    Examples
    --------
    >>> import autograd.numpy as np
    >>> from autograd import elementwise_grad
    >>> from cyconv.autograd import conv_transpose2d
    >>> x, w = np.ones((1, 2, 2, 1)), np.ones((2, 2, 1, 1))
    >>> elementwise_grad(conv_transpose2d)(x, w, stride=2)[0, :, :, 0]
    array([[4., 4.],
           [4., 4.]])
    """
    geometry = stride, padding, dilation, groups, output_padding, output_size
    form = transposition(np.shape(x), np.shape(w), *geometry, algorithm)
    return _plus_bias(_transposed(form, x, w), b)


def max_pool2d(
    x: ArrayLike,
    kernel_size: int | tuple[int, int],
    *,
    stride: int | tuple[int, int] | None = None,
    padding: Padding = 0,
    dilation: int | tuple[int, int] = 1,
    ceil_mode: bool = False,
) -> Any:
    """`cyconv.max_pool2d`, differentiable by x: the gradient goes to the first maximum of a window.

    Examples
    --------
    >>> import autograd.numpy as np
    >>> from autograd import elementwise_grad
    >>> from cyconv.autograd import max_pool2d
    >>> x = np.array([[1.0, 4.0], [4.0, 2.0]]).reshape(1, 2, 2, 1)
    >>> elementwise_grad(max_pool2d)(x, 2)[0, :, :, 0]
    array([[0., 1.],
           [0., 0.]])
    """
    return _max_pool(x, kernel_size, stride=stride, padding=padding, dilation=dilation, ceil_mode=ceil_mode)


def avg_pool2d(
    x: ArrayLike,
    kernel_size: int | tuple[int, int],
    *,
    stride: int | tuple[int, int] | None = None,
    padding: Padding = 0,
    dilation: int | tuple[int, int] = 1,
    ceil_mode: bool = False,
    count_include_pad: bool = False,
    divisor_override: int | None = None,
) -> Any:
    """`cyconv.avg_pool2d`, differentiable by x.

    Examples
    --------
    >>> import autograd.numpy as np
    >>> from autograd import elementwise_grad
    >>> from cyconv.autograd import avg_pool2d
    >>> elementwise_grad(avg_pool2d)(np.ones((1, 2, 2, 1)), 2)[0, :, :, 0]
    array([[0.25, 0.25],
           [0.25, 0.25]])
    """
    return _avg_pool(
        x,
        kernel_size,
        stride=stride,
        padding=padding,
        dilation=dilation,
        ceil_mode=ceil_mode,
        count_include_pad=count_include_pad,
        divisor_override=divisor_override,
    )
