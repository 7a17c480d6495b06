"""Convolution and pooling for NumPy arrays, NHWC, forward and backward, float32 and float64.

Begin with `conv2d`, `conv2d_backward`, `max_pool2d` and `avg_pool2d`: each docstring has shapes, dtypes, errors and an
example.  The functions of the notebook "Convolutional Neural Networks: Step by Step" are here under their own names,
from `zero_pad` to `pool_backward`.  `explain` says how a convolution would be computed, and `show_config` what this
installation is made of.

`cyconv.autograd`, `cyconv.jax`, `cyconv.dask` and `cyconv.torch` bring it to those libraries, each by an import of its
own.
"""

from cyconv.adaptive import (
    adaptive_avg_pool2d,
    adaptive_avg_pool2d_backward,
    adaptive_max_pool2d,
    adaptive_max_pool2d_backward,
    global_avg_pool2d,
    global_avg_pool2d_backward,
    global_max_pool2d,
    global_max_pool2d_backward,
)
from cyconv.algorithm import get_algorithm, set_algorithm
from cyconv.config import show_config
from cyconv.conv import conv2d, conv2d_backward, conv2d_input_grad, conv2d_weight_grad
from cyconv.conv_1d import conv1d, conv1d_backward, conv1d_input_grad, conv1d_weight_grad
from cyconv.explanation import explain
from cyconv.lp_pool import lp_pool2d, lp_pool2d_backward
from cyconv.notebook import (
    conv_backward,
    conv_forward,
    conv_single_step,
    create_mask_from_window,
    distribute_value,
    pool_backward,
    pool_forward,
    zero_pad,
)
from cyconv.pool import avg_pool2d, avg_pool2d_backward, max_pool2d, max_pool2d_backward
from cyconv.pool_1d import avg_pool1d, avg_pool1d_backward, max_pool1d, max_pool1d_backward
from cyconv.prepared import PreparedConv2d
from cyconv.subnormals import get_flush_subnormals, set_flush_subnormals
from cyconv.threads import get_num_threads, num_threads, set_num_threads
from cyconv.transpose import conv_transpose2d, conv_transpose2d_backward
from cyconv.unpool import max_unpool2d
from cyconv.version import __version__

__all__ = [
    "PreparedConv2d",
    "__version__",
    "adaptive_avg_pool2d",
    "adaptive_avg_pool2d_backward",
    "adaptive_max_pool2d",
    "adaptive_max_pool2d_backward",
    "avg_pool1d",
    "avg_pool1d_backward",
    "avg_pool2d",
    "avg_pool2d_backward",
    "conv1d",
    "conv1d_backward",
    "conv1d_input_grad",
    "conv1d_weight_grad",
    "conv2d",
    "conv2d_backward",
    "conv2d_input_grad",
    "conv2d_weight_grad",
    "conv_backward",
    "conv_forward",
    "conv_single_step",
    "conv_transpose2d",
    "conv_transpose2d_backward",
    "create_mask_from_window",
    "distribute_value",
    "explain",
    "get_algorithm",
    "get_flush_subnormals",
    "get_num_threads",
    "global_avg_pool2d",
    "global_avg_pool2d_backward",
    "global_max_pool2d",
    "global_max_pool2d_backward",
    "lp_pool2d",
    "lp_pool2d_backward",
    "max_pool1d",
    "max_pool1d_backward",
    "max_pool2d",
    "max_pool2d_backward",
    "max_unpool2d",
    "num_threads",
    "pool_backward",
    "pool_forward",
    "set_algorithm",
    "set_flush_subnormals",
    "set_num_threads",
    "show_config",
    "zero_pad",
]
