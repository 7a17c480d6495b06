"""The notebook's network on scikit-learn's handwritten digits, with one import line changed.

    python examples/digits.py

Written as the notebook "Convolutional Neural Networks: Step by Step" has it: its functions, its arguments, its caches.
"""

import numpy as np
from sklearn.datasets import load_digits

# from cnn_step_by_step import conv_backward, conv_forward, pool_backward, pool_forward
from cyconv import conv_backward, conv_forward, pool_backward, pool_forward

CONV = {"stride": 1, "pad": 1}
POOL = {"stride": 2, "f": 2}


def initialise(rng: np.random.Generator) -> list[np.ndarray]:
    """Weights and biases: 8x8x1 -> convolved to 16 channels, halved -> 32, halved -> 10 scores."""
    parameters = []
    for shape in ((3, 3, 1, 16), (3, 3, 16, 32), (2, 2, 32, 10)):
        parameters.append(rng.standard_normal(shape) * np.sqrt(2 / np.prod(shape[:3])))
        parameters.append(np.zeros((1, 1, 1, shape[3])))
    return parameters


def forward(X: np.ndarray, parameters: list[np.ndarray]) -> tuple[np.ndarray, list]:
    W1, b1, W2, b2, W3, b3 = parameters
    Z1, conv1 = conv_forward(X, W1, b1, CONV)
    P1, pool1 = pool_forward(np.maximum(Z1, 0), POOL)
    Z2, conv2 = conv_forward(P1, W2, b2, CONV)
    P2, pool2 = pool_forward(np.maximum(Z2, 0), POOL)
    Z3, conv3 = conv_forward(P2, W3, b3, {"stride": 1, "pad": 0})
    return Z3[:, 0, 0], [conv1, Z1, pool1, conv2, Z2, pool2, conv3]


def backward(dZ3: np.ndarray, caches: list) -> list[np.ndarray]:
    conv1, Z1, pool1, conv2, Z2, pool2, conv3 = caches
    dP2, dW3, db3 = conv_backward(dZ3[:, None, None], conv3)
    dP1, dW2, db2 = conv_backward(pool_backward(dP2, pool2) * (Z2 > 0), conv2)
    _, dW1, db1 = conv_backward(pool_backward(dP1, pool1) * (Z1 > 0), conv1)
    return [dW1, db1, dW2, db2, dW3, db3]


def train(epochs: int = 10, seed: int = 0) -> float:
    """Learn by gradient descent with momentum; the share of unseen digits that are read correctly."""
    rng = np.random.default_rng(seed)
    digits = load_digits()
    order = rng.permutation(len(digits.images))
    X, labels = digits.images[order, :, :, None] / 16, digits.target[order]
    parameters = initialise(rng)
    velocities = [np.zeros_like(p) for p in parameters]
    for epoch in range(epochs):
        for start in range(0, 1437, 32):
            batch = slice(start, min(start + 32, 1437))
            scores, caches = forward(X[batch], parameters)
            probabilities = np.exp(scores - scores.max(axis=1, keepdims=True))
            probabilities /= probabilities.sum(axis=1, keepdims=True)
            dZ3 = (probabilities - np.eye(10)[labels[batch]]) / len(scores)
            for p, v, gradient in zip(parameters, velocities, backward(dZ3, caches), strict=True):
                v *= 0.9
                v -= 0.02 * gradient
                p += v
        scores, _ = forward(X[1437:], parameters)
        accuracy = float((scores.argmax(axis=1) == labels[1437:]).mean())
        print(f"epoch {epoch + 1:2}: {100 * accuracy:.1f} % of 360 unseen digits are right")
    return accuracy


if __name__ == "__main__":
    train()
