"""Filter an image that is larger than the memory, from zarr to zarr, and say how much memory that took.

``pip install 'cyconv[dask]' zarr``, then ``python examples/out_of_core.py``: 40,000 x 40,000 pixels of float32, 6.4 GB.
It takes twice that on a disk while it runs.
"""

import argparse
import resource
import sys
import tempfile
from pathlib import Path
from time import perf_counter

import dask
import dask.array as da
import numpy as np
import zarr

import cyconv
from cyconv.dask import conv2d


def gaussian(size: int) -> np.ndarray:
    """A filter (size, size, 1, 1) whose weights add up to 1."""
    row = np.exp(-0.5 * ((np.arange(size) - size // 2) / (size / 5)) ** 2)
    w = np.outer(row, row)
    return (w / w.sum()).astype(np.float32)[:, :, None, None]


def peak_memory() -> float:
    """The most GB that this process has had resident since it began."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


def filtered(image: da.Array, w: np.ndarray) -> da.Array:
    """A convolution of (H, W) that keeps its size and its chunks."""
    return conv2d(image[None, :, :, None], w, padding="same", algorithm="direct")[0, :, :, 0]


def tiles_that_differ(source: zarr.Array, result: zarr.Array, w: np.ndarray, count: int) -> int:
    """Of `count` random tiles, those that are not bit for bit what one call of `cyconv.conv2d` makes of them."""
    rng, half, size = np.random.default_rng(1), len(w) // 2, source.shape[0]
    different = 0
    for _ in range(count):
        # Some reach over an edge of the image, and all over edges of chunks.
        top, left = rng.integers(-half, size - 1000, 2)
        rows, columns = slice(max(0, top), top + 1000), slice(max(0, left), left + 1000)
        around = [slice(max(0, s.start - half), min(size, s.stop + half)) for s in (rows, columns)]
        pads = [
            (half - (s.start - a.start), half - (a.stop - s.stop)) for s, a in zip((rows, columns), around, strict=True)
        ]
        tile = cyconv.conv2d(source[*around][:, :, None], w, padding=tuple(pads), algorithm="direct")[:, :, 0]
        different += tile.tobytes() != result[rows, columns].tobytes()
    return different


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=40_000, help="pixels in a row and in a column")
    parser.add_argument("--chunk", type=int, default=2_000)
    parser.add_argument("--window", type=int, default=7, help="an odd number")
    parser.add_argument("--workers", type=int, default=2, help="chunks computed at a time")
    parser.add_argument("--folder", type=Path, default=None, help="on a disk with room; by default the system's")
    parser.add_argument("--tiles", type=int, default=50)
    arguments = parser.parse_args()
    size, w = arguments.size, gaussian(arguments.window)
    gigabytes = size * size * 4 / 1e9

    with (
        tempfile.TemporaryDirectory(dir=arguments.folder) as folder,
        dask.config.set(scheduler="threads", num_workers=arguments.workers),
    ):
        source, result = f"{folder}/image.zarr", f"{folder}/filtered.zarr"
        options = {"chunks": (arguments.chunk,) * 2, "dtype": "float32", "shape": (size, size), "compressors": None}
        for path in (source, result):
            zarr.create_array(path, **options)
        start = perf_counter()
        image = da.random.default_rng(0).random((size, size), dtype=np.float32, chunks=arguments.chunk)
        image.store(zarr.open_array(source), lock=False)
        made = perf_counter()
        print(
            f"image:  {gigabytes:.1f} GB made in {made - start:.0f} s; peak memory {peak_memory():.2f} GB", flush=True
        )
        filtered(da.from_zarr(source), w).store(zarr.open_array(result), lock=False)
        seconds = perf_counter() - made
        print(f"filter: {len(w)}x{len(w)} in {seconds:.0f} s, {2 * gigabytes / seconds:.2f} GB/s read and written")
        peak = peak_memory()
        print(f"peak memory of the process: {peak:.2f} GB", flush=True)
        different = tiles_that_differ(zarr.open_array(source), zarr.open_array(result), w, arguments.tiles)
        print(f"tiles unlike the result in memory: {different} of {arguments.tiles}")
    sys.exit(bool(different) or peak > 2)


if __name__ == "__main__":
    main()
