"""Where the windows lie. Every loop of the oracle walks over one `Windows`."""

import numpy as np


def pair(value):
    """`value` for both axes: a pair stays a pair, anything else counts twice."""
    return tuple(value) if isinstance(value, (tuple, list)) else (value, value)


def pads(padding, size, window, stride):
    """Rows and columns of padding as ((top, bottom), (left, right)).

    `window` is the extent of a window, dilation included.
    """
    if padding == "valid":
        return (0, 0), (0, 0)
    if padding in ("same", "same_lower"):
        sides = []
        for length, extent, step in zip(size, window, stride, strict=True):
            total = max((-(-length // step) - 1) * step + extent - length, 0)
            less, more = total // 2, total - total // 2
            sides.append((less, more) if padding == "same" else (more, less))
        return tuple(sides)
    vertical, horizontal = pair(padding)
    return pair(vertical), pair(horizontal)


def output_length(length, extent, stride, before, after, ceil_mode):
    """Number of windows along one axis."""
    room = length + before + after - extent
    if not ceil_mode:
        return room // stride + 1
    count = -(-room // stride) + 1
    # The last window has to start inside the input or the padding before it.
    return count - 1 if (count - 1) * stride >= length + before else count


class Windows:
    """The windows of one convolution or pooling over an input of `size` (H, W)."""

    def __init__(self, size, kernel_size, stride=1, padding=0, dilation=1, ceil_mode=False):
        self.H, self.W = size
        self.R, self.S = pair(kernel_size)
        self.stride, self.dilation = pair(stride), pair(dilation)
        dh, dw = self.dilation
        extent = (self.R - 1) * dh + 1, (self.S - 1) * dw + 1
        (self.top, self.bottom), (self.left, self.right) = pads(padding, size, extent, self.stride)
        self.OH = output_length(self.H, extent[0], self.stride[0], self.top, self.bottom, ceil_mode)
        self.OW = output_length(self.W, extent[1], self.stride[1], self.left, self.right, ceil_mode)

    def __iter__(self):
        """The output positions (oh, ow), row by row."""
        return iter(np.ndindex(self.OH, self.OW))

    def taps(self, oh, ow):
        """All (r, s, h, w) of the window at (oh, ow); h and w may lie outside the input."""
        for r, s in np.ndindex(self.R, self.S):
            h = oh * self.stride[0] - self.top + r * self.dilation[0]
            w = ow * self.stride[1] - self.left + s * self.dilation[1]
            yield r, s, h, w

    def inside(self, oh, ow):
        """The taps that fall on the input."""
        for r, s, h, w in self.taps(oh, ow):
            if 0 <= h < self.H and 0 <= w < self.W:
                yield r, s, h, w

    def count_padded(self, oh, ow):
        """How many taps fall on the input or its padding, not beyond both."""
        return sum(h < self.H + self.bottom and w < self.W + self.right for _, _, h, w in self.taps(oh, ow))
