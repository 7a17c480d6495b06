"""What every adapter's tests have in common."""

import sys

import pytest


@pytest.fixture(autouse=True)
def _seed():
    """The same random numbers in every run, of PyTorch too where a test uses it."""
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(0)
