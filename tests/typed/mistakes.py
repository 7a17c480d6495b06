"""What type checkers must object to: one error in each line that ends in a comment, and none elsewhere."""

import numpy as np

import cyconv

x, w = np.ones((1, 4, 4, 1), np.float32), np.ones((3, 3, 1, 1), np.float32)
cyconv.conv2d(x, w, strides=2)  # no such argument
cyconv.conv2d(x, w, stride=1.5)  # no integer
cyconv.conv2d(x, w, padding="SAME")  # no such name
cyconv.max_pool2d(x, 2, 2)  # stride is a keyword
cyconv.max_pool2d_backward(x, x, 1, ties="last")  # no such rule
cyconv.conv2d(object(), w)  # no array
double: np.ndarray[tuple[int, ...], np.dtype[np.float64]] = cyconv.conv2d(x, w)  # float32
cyconv.convolve(x, w)  # no such function
