"""Blur a photograph with a Gaussian and find its edges with Sobel's filters; before and after, side by side.

    python examples/photograph.py edges.png

The photograph is `skimage.data.coffee`, which ships with scikit-image.
"""

import sys

import imageio.v3
import numpy as np
from skimage.data import coffee

import cyconv


def gaussian(sigma: float) -> np.ndarray:
    """The samples of a Gaussian within four standard deviations, of sum 1."""
    radius = round(4 * sigma)
    samples = np.exp(-0.5 * (np.arange(-radius, radius + 1, dtype=np.float32) / sigma) ** 2)
    return samples / samples.sum()


def blur(image: np.ndarray, sigma: float) -> np.ndarray:
    """Each channel by itself, rows then columns: two depthwise convolutions with 1-D filters."""
    C, line = image.shape[-1], gaussian(sigma)
    filters = np.repeat(line[:, None], C, axis=1)
    radius = len(line) // 2
    image = np.pad(image, ((radius, radius), (radius, radius), (0, 0)), mode="symmetric")
    rows = cyconv.conv2d(image, filters[:, None, None, :], groups=C)
    return cyconv.conv2d(rows, filters[None, :, None, :], groups=C)


def edges(gray: np.ndarray) -> np.ndarray:
    """The length of Sobel's gradient: one convolution with two output channels."""
    difference, smooth = np.float32([-1, 0, 1]), np.float32([1, 2, 1])
    filters = np.stack([np.outer(difference, smooth), np.outer(smooth, difference)], axis=-1)[:, :, None, :]
    gradient = cyconv.conv2d(np.pad(gray, 1, mode="symmetric")[..., None], filters)
    return np.hypot(gradient[..., 0], gradient[..., 1])


def side_by_side() -> np.ndarray:
    """The photograph, blurred, and the edges of what was blurred a little."""
    photograph = coffee().astype(np.float32) / 255
    gray = blur(photograph, 1.0) @ np.float32([0.299, 0.587, 0.114])
    found = edges(gray)
    found = np.repeat((found / found.max())[..., None], 3, axis=-1)
    picture = np.concatenate([photograph, blur(photograph, 5.0), found], axis=1)
    return np.round(255 * picture.clip(0, 1)).astype(np.uint8)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    imageio.v3.imwrite(sys.argv[1], side_by_side())
    print(f"{sys.argv[1]}: the photograph, blurred, and its edges")
