"""Convolution and pooling for NumPy arrays, NHWC, forward and backward, float32 and float64."""

from cyconv.config import show_config
from cyconv.conv import conv2d, conv2d_backward, conv2d_input_grad, conv2d_weight_grad
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
from cyconv.threads import get_num_threads, num_threads, set_num_threads
from cyconv.version import __version__

__all__ = [
    "__version__",
    "avg_pool2d",
    "avg_pool2d_backward",
    "conv2d",
    "conv2d_backward",
    "conv2d_input_grad",
    "conv2d_weight_grad",
    "conv_backward",
    "conv_forward",
    "conv_single_step",
    "create_mask_from_window",
    "distribute_value",
    "get_num_threads",
    "max_pool2d",
    "max_pool2d_backward",
    "num_threads",
    "pool_backward",
    "pool_forward",
    "set_num_threads",
    "show_config",
    "zero_pad",
]
