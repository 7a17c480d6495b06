"""A denoising autoencoder on scikit-learn's handwritten digits, in float32.

    python examples/denoise.py [denoised.png]

Two convolutions of stride 2 bring an 8x8 digit to 2x2, two transposed convolutions back.  The network sees digits with
noise added and learns to give the clean ones.  With a file name it also draws twelve unseen digits: clean, noisy,
denoised.
"""

import sys

import numpy as np
from sklearn.datasets import load_digits

import cyconv

CONV = {"stride": 2, "padding": 1}
NOISE = 0.3


class Autoencoder:
    """8x8x1 -> 4x4x16 -> 2x2x32 -> 4x4x16 -> 8x8x1, with 4 by 4 windows."""

    LAYERS = (
        (cyconv.conv2d, cyconv.conv2d_backward, (4, 4, 1, 16), "relu"),
        (cyconv.conv2d, cyconv.conv2d_backward, (4, 4, 16, 32), "relu"),
        (cyconv.conv_transpose2d, cyconv.conv_transpose2d_backward, (4, 4, 16, 32), "relu"),
        (cyconv.conv_transpose2d, cyconv.conv_transpose2d_backward, (4, 4, 1, 16), None),
    )

    def __init__(self, rng: np.random.Generator) -> None:
        self.parameters = []
        for function, _, shape, _ in self.LAYERS:
            transposed = function is cyconv.conv_transpose2d
            inputs = shape[3] * 4 if transposed else 16 * shape[2]  # numbers that one output adds up
            self.parameters.append(rng.standard_normal(shape, dtype=np.float32) * np.float32(np.sqrt(2 / inputs)))
            self.parameters.append(np.zeros(shape[2 if transposed else 3], np.float32))

    def forward(self, x: np.ndarray) -> list[np.ndarray]:
        """What goes into each layer, and last the result."""
        values = [x]
        for (function, _, _, activation), (w, b) in zip(self.LAYERS, self.pairs(), strict=True):
            values.append(function(values[-1], w, b, activation=activation, **CONV))
        return values

    def backward(self, dy: np.ndarray, values: list[np.ndarray]) -> list[np.ndarray]:
        """Gradients of the parameters, given that of the result."""
        gradients: list[np.ndarray] = []
        layers = list(zip(self.LAYERS, self.pairs(), values[:-1], values[1:], strict=True))
        for (_, gradients_of, _, activation), (w, _), x, y in reversed(layers):
            dy, dw, db = gradients_of(dy, x, w, activation=activation, y=y, **CONV)
            gradients = [dw, db, *gradients]
        return gradients

    def pairs(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """The weights and biases of each layer."""
        return list(zip(self.parameters[::2], self.parameters[1::2], strict=True))


def adam(parameters: list[np.ndarray], rate: float):
    """Kingma and Ba's optimiser, 2015: send it gradients."""
    first, second = ([np.zeros_like(p) for p in parameters] for _ in range(2))
    gradients = yield
    for step in range(1, sys.maxsize):
        for p, m, v, g in zip(parameters, first, second, gradients, strict=True):
            m += 0.1 * (g - m)
            v += 0.001 * (g * g - v)
            p -= rate * (m / (1 - 0.9**step)) / (np.sqrt(v / (1 - 0.999**step)) + 1e-8)
        gradients = yield


def train(epochs: int = 30, seed: int = 0) -> tuple[list[np.ndarray], list[float]]:
    """Unseen digits: clean, noisy, denoised; and the mean squared errors of the last two."""
    rng = np.random.default_rng(seed)
    digits = (load_digits().images[..., None] / 16).astype(np.float32)
    digits = digits[rng.permutation(len(digits))]
    noisy = digits + NOISE * rng.standard_normal(digits.shape, dtype=np.float32)
    clean, seen = digits[1437:], noisy[1437:]
    network = Autoencoder(rng)
    optimiser = adam(network.parameters, rate=3e-3)
    next(optimiser)
    for epoch in range(epochs):
        for batch in rng.permutation(1437)[: 1437 // 32 * 32].reshape(-1, 32):
            noise = NOISE * rng.standard_normal((32, 8, 8, 1), dtype=np.float32)
            values = network.forward(digits[batch] + noise)
            dy = 2 * (values[-1] - digits[batch]) / digits[batch].size
            optimiser.send(network.backward(dy, values))
        denoised = network.forward(seen)[-1]
        errors = [float(((guess - clean) ** 2).mean()) for guess in (seen, denoised)]
        print(f"epoch {epoch + 1:2}: mean squared error {errors[1]:.4f}, of the noisy digits {errors[0]:.4f}")
    return [clean, seen, denoised], errors


def draw(rows: list[np.ndarray], name: str) -> None:
    """The first twelve digits of each row, eight times as large."""
    import matplotlib.image

    picture = np.vstack([np.hstack([np.pad(image[..., 0], 1) for image in images[:12]]) for images in rows])
    matplotlib.image.imsave(name, np.kron(picture, np.ones((8, 8))), cmap="gray", vmin=0, vmax=1)


if __name__ == "__main__":
    results, _ = train()
    if len(sys.argv) > 1:
        draw(results, sys.argv[1])
