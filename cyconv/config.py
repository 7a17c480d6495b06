"""What this installation is made of: for bug reports, and to see that it runs as fast as it can."""

import platform

import numpy as np

from cyconv import kernels
from cyconv.kernels.cpu import openmp_version
from cyconv.threads import get_num_threads, limits
from cyconv.version import __version__


def show_config() -> None:
    """Print the version, the kernels in use and available, the threads and where their number comes from.

    Examples
    --------
    >>> import cyconv
    >>> cyconv.show_config()  # doctest: +ELLIPSIS
    cyconv ...
    """
    build = kernels.modules["conv", np.dtype(np.float32)].describe()
    found = limits()
    threads = get_num_threads()
    reasons = ", ".join(f"{name} {limit}" for name, limit in found.items())
    version = openmp_version()
    openmp = f"version {version}" if version else "none: this build is serial"
    print(f"cyconv     {__version__}")
    print(f"Python     {platform.python_version()}, NumPy {np.__version__}, {platform.system()} {platform.machine()}")
    available = ", ".join(kernels.available())
    print(f"kernels    {kernels.active()}, {8 * build['vector_bytes']}-bit vectors; available: {available}")
    print(f"threads    {threads} (the least of: {reasons})")
    print(f"OpenMP     {openmp}")
    print(f"compiler   {build['compiler']}")
