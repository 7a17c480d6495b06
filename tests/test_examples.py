"""The programs in examples/ do what they say, where the libraries they show are installed."""

import runpy
from pathlib import Path

import numpy as np
import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"


def load(name, *libraries):
    for library in libraries:
        pytest.importorskip(library)
    return runpy.run_path(str(EXAMPLES / f"{name}.py"))


@pytest.mark.filterwarnings("default")
def test_the_notebooks_network_reads_digits(capsys):
    assert load("digits", "sklearn")["train"](epochs=3) > 0.9
    assert capsys.readouterr().out.count("unseen") == 3


@pytest.mark.filterwarnings("default")
def test_the_autoencoder_removes_noise(tmp_path, capsys):
    denoise = load("denoise", "sklearn")
    digits, (noisy, denoised) = denoise["train"](epochs=4)
    assert denoised < noisy / 2
    assert all(images.dtype == np.float32 for images in digits)
    pytest.importorskip("matplotlib")
    denoise["draw"](digits, tmp_path / "digits.png")
    assert (tmp_path / "digits.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.filterwarnings("default")
def test_a_photograph_is_filtered(tmp_path, monkeypatch):
    example = load("photograph", "skimage", "imageio")
    ndimage = pytest.importorskip("scipy.ndimage")
    photograph = example["coffee"]().astype(np.float32) / 255
    expected = ndimage.gaussian_filter(photograph, 2.0, mode="reflect", axes=(0, 1))
    np.testing.assert_allclose(example["blur"](photograph, 2.0), expected, atol=1e-5)
    gray = photograph[..., 1]
    expected = np.hypot(ndimage.sobel(gray, axis=0, mode="reflect"), ndimage.sobel(gray, axis=1, mode="reflect"))
    np.testing.assert_allclose(example["edges"](gray), expected, atol=1e-5)
    picture = tmp_path / "edges.png"
    monkeypatch.setattr("sys.argv", ["photograph.py", str(picture)])
    runpy.run_path(str(EXAMPLES / "photograph.py"), run_name="__main__")
    assert picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.filterwarnings("default")
def test_pytorchs_weights_give_pytorchs_results():
    example = load("from_pytorch", "torch")
    torch = example["torch"]
    torch.manual_seed(0)
    for layer in example["layers"]():
        x = torch.randn(2, layer.in_channels, 20, 17, dtype=layer.weight.dtype)
        bound = 1e-5 if x.dtype == torch.float32 else 1e-13
        assert example["largest_difference"](layer, x) < bound, layer
