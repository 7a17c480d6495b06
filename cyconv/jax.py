"""Convolution and pooling for JAX: under jit, grad and vmap, on the CPU.

``pip install 'cyconv[jax]'``.  Arguments are those of the functions of the same names in `cyconv`, without `out` and
`activation`: write ``jax.nn.relu(y)``.  Arrays are computed in float64 if one of them is float64, else in float32.

Reverse mode gives derivatives of any order; forward mode (``jvp``, ``jacfwd``, ``hessian``) is not there: take
``jacrev`` twice.

The kernels are called through `jax.pure_callback`: 0.2 ms a call, and copies of what goes in and comes out.  On one
thread of a Zen 4 (``python -m bench.jax_cost``) 3x3 on 4x56x56x64 takes 2.5 ms in cyconv, 3.2 ms through this module
and 9.0 ms in XLA, and its gradients 5.7, 7.6 and 19 ms; but small calls take ten times XLA's time (0.19 ms and 0.019 ms
on 1x8x8x8), and where much data meets little work the copies cost what the kernels save (7x7/2 on 4x224x224x3: 8.8, 11
and 10 ms).

>>> import jax, jax.numpy as jnp
>>> from cyconv.jax import conv2d, max_pool2d
>>> @jax.jit
... def loss(w, x):
...     return jnp.sum(max_pool2d(jax.nn.relu(conv2d(x, w, padding="same")), 2) ** 2)
>>> x, w = jnp.ones((1, 4, 4, 2)), jnp.full((3, 3, 2, 5), 0.01)
>>> jax.grad(loss)(w, x).shape
(3, 3, 2, 5)
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import numpy as np

import cyconv
from cyconv.conv import bias_vector
from cyconv.geometry import Padding, Pair, images, integer, is_sequence, pool
from cyconv.trilinear import Trilinear, convolution, transposition
from cyconv.unpool import scatter

try:
    import jax
    import jax.numpy as jnp
    from jax import Array
    from jax.typing import ArrayLike
except ImportError as error:
    raise ImportError("cyconv.jax needs JAX: pip install 'cyconv[jax]'") from error

__all__ = ["avg_pool2d", "conv2d", "conv_transpose2d", "max_pool2d"]


def _real(*arrays: Any) -> list[Any]:
    """The arrays in the type that they are computed in."""
    dtype = jnp.promote_types(jnp.result_type(*(a for a in arrays if a is not None)), jnp.float32)
    if dtype not in (jnp.float32, jnp.float64):
        raise TypeError(f"arrays of dtype {dtype} are not accepted; they must be real")
    return [a if a is None else jnp.asarray(a, dtype) for a in arrays]


def _static(value: Any) -> Any:
    """A parameter that can be hashed: JAX compares them from call to call."""
    return tuple(map(_static, value)) if is_sequence(value) else value


# Calls of the kernels from within JAX.  vmap gives an array more axes before its four, of length 1 if it is not mapped.


def _fold(function: Any, *arrays: Any) -> Any:
    """`function` of the images of all members of a map, as one batch."""
    arrays = tuple(map(np.asarray, arrays))
    mapped = np.broadcast_shapes(*(a.shape[:-4] for a in arrays))
    N = arrays[0].shape[-4]
    batch = (np.broadcast_to(a, mapped + a.shape[-4:]).reshape(-1, *a.shape[-3:]) for a in arrays)
    return jax.tree.map(lambda result: result.reshape(*mapped, N, *result.shape[1:]), function(*batch))


def _each(function: Any, shape: tuple[int, ...], *arrays: Any) -> Any:
    """`function` of the arrays of each member of a map: results of the given shape."""
    arrays = tuple(map(np.asarray, arrays))
    mapped = np.broadcast_shapes(*(a.shape[:-4] for a in arrays))
    arrays = tuple(np.broadcast_to(a, mapped + a.shape[-4:]) for a in arrays)
    result = np.empty(mapped + shape, arrays[0].dtype)
    for member in np.ndindex(mapped):
        result[member] = function(*(a[member] for a in arrays))
    return result


def _filter(function: Any, shape: tuple[int, ...], x: Any, w: Any) -> Any:
    """`function` of images and filters, for all members of a map at once if they share the filters."""
    w = np.asarray(w)
    if w.size == np.prod(w.shape[-4:]):
        return _fold(lambda x: function(x, w.reshape(w.shape[-4:])), x)
    return _each(function, shape, x, w)


def _call(function: Any, result: Any, *arrays: Any) -> Any:
    return jax.pure_callback(function, result, *arrays, vmap_method="expand_dims")


# Convolution: each of the three is linear in the two arrays it takes, and its gradients by them are the other two.


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _conv(form: Trilinear, x: Any, w: Any) -> Any:
    shape = x.shape[0], *form.y_size, w.shape[3]
    return _call(partial(_filter, form.conv, shape), jax.ShapeDtypeStruct(shape, x.dtype), x, w)


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _transposed(form: Trilinear, y: Any, w: Any) -> Any:
    shape = y.shape[0], *form.x_size, w.shape[2] * form.groups
    return _call(partial(_filter, form.transposed, shape), jax.ShapeDtypeStruct(shape, y.dtype), y, w)


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _weight_grad(form: Trilinear, y: Any, x: Any) -> Any:
    shape = *form.kernel_size, x.shape[3] // form.groups, y.shape[3]
    return _call(partial(_each, form.weight_grad, shape), jax.ShapeDtypeStruct(shape, x.dtype), y, x)


def _kept(function: Any) -> Any:
    return lambda form, a, b: (function(form, a, b), (a, b))


_conv.defvjp(_kept(_conv), lambda form, xw, dy: (_transposed(form, dy, xw[1]), _weight_grad(form, dy, xw[0])))
_transposed.defvjp(_kept(_transposed), lambda form, yw, dx: (_conv(form, dx, yw[1]), _weight_grad(form, yw[0], dx)))
_weight_grad.defvjp(_kept(_weight_grad), lambda form, yx, dw: (_conv(form, yx[1], dw), _transposed(form, yx[0], dw)))


# Pooling.


class _Pool(NamedTuple):
    """A pooling of images of `size` (H, W) to `y_size`; y has as many images and channels as x."""

    size: Pair
    y_size: Pair
    kernel_size: Any
    items: tuple[tuple[str, Any], ...]

    @property
    def options(self) -> dict[str, Any]:
        return dict(self.items)


def _resized(a: Any, size: Pair, dtype: Any = None) -> Any:
    """What JAX needs to know of images like `a` of another size."""
    return jax.ShapeDtypeStruct((a.shape[0], *size, a.shape[3]), a.dtype if dtype is None else dtype)


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _avg_pool(form: _Pool, x: Any) -> Any:
    pool = partial(cyconv.avg_pool2d, kernel_size=form.kernel_size, **form.options)
    return _call(partial(_fold, pool), _resized(x, form.y_size), x)


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _avg_pool_backward(form: _Pool, dy: Any) -> Any:
    def backward(dy: Any) -> Any:
        shape = dy.shape[0], *form.size, dy.shape[3]
        return cyconv.avg_pool2d_backward(dy, shape, form.kernel_size, **form.options)

    return _call(partial(_fold, backward), _resized(dy, form.size), dy)


_avg_pool.defvjp(lambda form, x: (_avg_pool(form, x), None), lambda form, _, dy: (_avg_pool_backward(form, dy),))
_avg_pool_backward.defvjp(
    lambda form, dy: (_avg_pool_backward(form, dy), None), lambda form, _, u: (_avg_pool(form, u),)
)


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _max_pool(form: _Pool, x: Any) -> Any:
    pool = partial(cyconv.max_pool2d, kernel_size=form.kernel_size, **form.options)
    return _call(partial(_fold, pool), _resized(x, form.y_size), x)


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _max_pool_indices(form: _Pool, x: Any) -> Any:
    def pool(x: Any) -> Any:
        y, indices = cyconv.max_pool2d(x, form.kernel_size, return_indices=True, **form.options)
        return y, indices.astype(np.int32)

    return _call(partial(_fold, pool), (_resized(x, form.y_size), _resized(x, form.y_size, np.int32)), x)


def _max_pool_forward(form: _Pool, x: Any) -> Any:
    y, indices = _max_pool_indices(form, x)
    return (y, indices), indices


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _scatter(size: Pair, y: Any, indices: Any) -> Any:
    def add(y: Any, indices: Any) -> Any:
        return scatter(y, indices, (y.shape[0], *size, y.shape[3]), add=True)

    return _call(partial(_fold, add), _resized(y, size), y, indices)


def _take(x: Any, indices: Any) -> Any:
    """The values of x at indices into its H*W planes; JAX knows the derivatives."""
    N, H, W, C = x.shape
    planes = x.reshape(N, H * W, C)
    return jnp.take_along_axis(planes, indices.reshape(N, -1, C), axis=1).reshape(indices.shape)


_max_pool.defvjp(_max_pool_indices, lambda form, indices, dy: (_scatter(form.size, dy, indices),))
_max_pool_indices.defvjp(_max_pool_forward, lambda form, indices, dy: (_scatter(form.size, dy[0], indices),))
_scatter.defvjp(
    lambda size, y, indices: (_scatter(size, y, indices), indices), lambda size, indices, dx: (_take(dx, indices), None)
)


# The public functions: arguments checked while JAX traces, since what runs later may not raise.


def _batch(x: Any) -> Any:
    return x if x.ndim == 4 else x[None]


def _plus_bias(y: Any, b: Any, like: Any) -> Any:
    """y with the bias added, as one image if `like` is one."""
    y = y if b is None else y + bias_vector(b, y.shape[-1])
    return y if like.ndim == 4 else y[0]


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
) -> Array:
    """`cyconv.conv2d`, differentiable by x, w and b.

    Examples
    --------
    >>> import jax, jax.numpy as jnp
    >>> from cyconv.jax import conv2d
    >>> x, w = jnp.ones((1, 3, 3, 1)), jnp.ones((2, 2, 1, 1))
    >>> print(jax.grad(lambda x: conv2d(x, w).sum())(x)[0, :, :, 0])
    [[1. 2. 1.]
     [2. 4. 2.]
     [1. 2. 1.]]
    """
    x, w, b = _real(x, w, b)
    stride, padding, dilation = map(_static, (stride, padding, dilation))
    form = convolution(x.shape, w.shape, stride, padding, dilation, groups, algorithm)
    return _plus_bias(_conv(form, _batch(x), w), b, x)


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
) -> Array:
    """`cyconv.conv_transpose2d`, differentiable by x, w and b.

    Examples
    --------
    >>> import jax, jax.numpy as jnp
    >>> from cyconv.jax import conv_transpose2d
    >>> x, w = jnp.ones((1, 2, 2, 1)), jnp.ones((2, 2, 1, 1))
    >>> print(jax.grad(lambda x: conv_transpose2d(x, w, stride=2).sum())(x)[0, :, :, 0])
    [[4. 4.]
     [4. 4.]]
    """
    x, w, b = _real(x, w, b)
    stride, padding, dilation = map(_static, (stride, padding, dilation))
    form = transposition(x.shape, w.shape, stride, padding, dilation, groups, output_padding, output_size, algorithm)
    return _plus_bias(_transposed(form, _batch(x), w), b, x)


def _pooled(function: Any, x: Any, kernel_size: Any, **options: Any) -> Any:
    (x,) = _real(x)
    options = {name: _static(value) for name, value in options.items()}
    stride, padding, dilation, ceil_mode = (options[name] for name in ("stride", "padding", "dilation", "ceil_mode"))
    g = pool(x.shape, kernel_size, stride, padding, dilation, ceil_mode, False)
    form = _Pool(g.x[1:3], g.y[1:3], _static(kernel_size), tuple(options.items()))
    y = function(form, _batch(x))
    return y if x.ndim == 4 else y[0]


def max_pool2d(
    x: ArrayLike,
    kernel_size: int | tuple[int, int],
    *,
    stride: int | tuple[int, int] | None = None,
    padding: Padding = 0,
    dilation: int | tuple[int, int] = 1,
    ceil_mode: bool = False,
) -> Array:
    """`cyconv.max_pool2d`, differentiable by x: the gradient goes to the first maximum of a window.

    Images have at most 2**31 pixels: the indices that JAX keeps for the gradient are 32 bits wide.

    Examples
    --------
    >>> import jax, jax.numpy as jnp
    >>> from cyconv.jax import max_pool2d
    >>> x = jnp.array([[1.0, 4.0], [4.0, 2.0]]).reshape(1, 2, 2, 1)
    >>> print(jax.grad(lambda x: max_pool2d(x, 2).sum())(x)[0, :, :, 0])
    [[0. 1.]
     [0. 0.]]
    """
    _, H, W, _ = images(np.shape(x))
    if H * W > 2**31:
        raise ValueError(f"`x` has images of {H} by {W} pixels; at most 2**31 are allowed")
    return _pooled(_max_pool, x, kernel_size, stride=stride, padding=padding, dilation=dilation, ceil_mode=ceil_mode)


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
) -> Array:
    """`cyconv.avg_pool2d`, differentiable by x.

    Examples
    --------
    >>> import jax, jax.numpy as jnp
    >>> from cyconv.jax import avg_pool2d
    >>> print(jax.grad(lambda x: avg_pool2d(x, 2).sum())(jnp.ones((1, 2, 2, 1)))[0, :, :, 0])
    [[0.25 0.25]
     [0.25 0.25]]
    """
    if divisor_override is not None:
        integer(divisor_override, "divisor_override", 1)
    return _pooled(
        _avg_pool,
        x,
        kernel_size,
        stride=stride,
        padding=padding,
        dilation=dilation,
        ceil_mode=ceil_mode,
        count_include_pad=count_include_pad,
        divisor_override=divisor_override,
    )
