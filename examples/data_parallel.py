"""Train a network on two worker processes, each with half of every batch, and on one process, and compare the losses.

``pip install 'cyconv[dask]' scikit-learn``, then ``python examples/data_parallel.py``.
"""

import argparse
import sys
from time import perf_counter

import dask
import dask.array as da
import numpy as np
from distributed import Client, LocalCluster
from sklearn.datasets import load_digits

import cyconv
import cyconv.dask

BATCH = 256
RATE = 0.3


def initial_parameters() -> list[np.ndarray]:
    """Filters and biases of two convolutions, and of a layer that is fully connected: a convolution of one pixel."""
    rng = np.random.default_rng(0)
    shapes = (3, 3, 1, 16), (16,), (3, 3, 16, 32), (32,), (1, 1, 32, 10), (10,)
    return [rng.standard_normal(s) * np.sqrt(2 / np.prod(s[:-1])) if len(s) > 1 else np.zeros(s) for s in shapes]


def loss_and_gradients(xp, ops, x, wanted, parameters):
    """A batch (N, 8, 8, 1) forward and backward; `wanted` is 1 for its digit and 0 for others.

    The same lines for NumPy and cyconv, and for Dask and cyconv.dask.  Every product of matrices is cyconv's: NumPy's
    ``a.T @ b`` may round otherwise where ``a`` came from another worker, because it is then not aligned in memory.
    """
    w1, b1, w2, b2, w3, b3 = parameters
    N = x.shape[0]
    y1 = ops.conv2d(x, w1, b1, padding="same")
    a1 = xp.maximum(y1, 0)
    p1 = ops.max_pool2d(a1, 2)
    y2 = ops.conv2d(p1, w2, b2, padding="same")
    a2 = xp.maximum(y2, 0)
    p2 = ops.avg_pool2d(a2, 4)
    z = ops.conv2d(p2, w3, b3)[:, 0, 0]
    e = xp.exp(z - z.max(axis=1, keepdims=True))
    share = e / e.sum(axis=1, keepdims=True)
    loss = -xp.log((share * wanted).sum(axis=1)).sum() / N

    dz = ((share - wanted) / N)[:, None, None]
    dp2, dw3, db3 = ops.conv2d_backward(dz, p2, w3)
    dy2 = xp.where(y2 > 0, ops.avg_pool2d_backward(dp2, a2.shape, 4), 0.0)
    dp1, dw2, db2 = ops.conv2d_backward(dy2, p1, w2, padding="same")
    dy1 = xp.where(y1 > 0, ops.max_pool2d_backward(dp1, a1, 2), 0.0)
    _, dw1, db1 = ops.conv2d_backward(dy1, x, w1, padding="same")
    return loss, dw1, db1, dw2, db2, dw3, db3


def with_numpy(x, wanted, parameters):
    return loss_and_gradients(np, cyconv, x, wanted, parameters)


def with_dask(x, wanted, parameters):
    """Half of the batch for each worker; their gradients are summed where Dask likes, in an order of their own."""
    half = (BATCH // 2, -1)
    arrays = da.from_array(x, (*half, -1, -1)), da.from_array(wanted, half)
    return dask.compute(*loss_and_gradients(da, cyconv.dask, *arrays, parameters))


def train(step, images, digits, epochs):
    """The losses of all batches, and seconds for one."""
    parameters, losses, start = initial_parameters(), [], perf_counter()
    for epoch in range(epochs):
        order = np.random.default_rng(epoch).permutation(len(images))
        for batch in order[: len(order) // BATCH * BATCH].reshape(-1, BATCH):
            loss, *gradients = step(images[batch], np.eye(10)[digits[batch]], parameters)
            losses.append(float(loss))
            parameters = [p - RATE * g for p, g in zip(parameters, gradients, strict=True)]
    return losses, (perf_counter() - start) / len(losses)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=10)
    arguments = parser.parse_args()
    data = load_digits()
    task = data.images[..., None] / 16, data.target, arguments.epochs

    plain, plain_seconds = train(with_numpy, *task)
    print(f"one process, NumPy:           {len(plain)} losses from {plain[0]:.4f} to {plain[-1]:.4f}")
    with dask.config.set(scheduler="synchronous"):
        alone, _ = train(with_dask, *task)
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as cluster, Client(cluster) as client:
        processes = client.run(lambda: __import__("os").getpid())
        together, seconds = train(with_dask, *task)
    difference = max(abs(a - b) / abs(a) for a, b in zip(plain, together, strict=True))
    print(f"two processes {sorted(processes.values())}: losses from {together[0]:.4f} to {together[-1]:.4f}")
    print(f"bit for bit those of the same chunks in one process: {'yes' if together == alone else 'no'}")
    print(f"largest relative difference from NumPy's: {difference:.1e}")
    print(
        f"a batch of {BATCH}: {plain_seconds * 1e3:.1f} ms in one process without Dask, {seconds * 1e3:.1f} ms on two"
    )
    sys.exit(together != alone or difference > 1e-9)


if __name__ == "__main__":
    main()
