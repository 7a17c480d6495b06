"""The oracle: cyconv's functions, with its names and arguments, too simple to be wrong.

Float64 throughout, plain Python loops over positions and taps, no layout or speed in mind.
"""

from .adaptive import (
    adaptive_avg_pool2d,
    adaptive_avg_pool2d_backward,
    adaptive_max_pool2d,
    adaptive_max_pool2d_backward,
    global_avg_pool2d,
    global_max_pool2d,
    lp_pool2d,
    lp_pool2d_backward,
)
from .conv import conv2d, conv2d_backward, conv2d_input_grad, conv2d_weight_grad
from .pool import avg_pool2d, avg_pool2d_backward, max_pool2d, max_pool2d_backward, max_unpool2d
from .transpose import conv_transpose2d, conv_transpose2d_backward

__all__ = [
    "adaptive_avg_pool2d",
    "adaptive_avg_pool2d_backward",
    "adaptive_max_pool2d",
    "adaptive_max_pool2d_backward",
    "avg_pool2d",
    "avg_pool2d_backward",
    "conv2d",
    "conv2d_backward",
    "conv2d_input_grad",
    "conv2d_weight_grad",
    "conv_transpose2d",
    "conv_transpose2d_backward",
    "global_avg_pool2d",
    "global_max_pool2d",
    "lp_pool2d",
    "lp_pool2d_backward",
    "max_pool2d",
    "max_pool2d_backward",
    "max_unpool2d",
]
