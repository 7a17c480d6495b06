"""Tests that need a process of their own: a fresh import, an environment, a fork."""

import os
import subprocess
import sys
from textwrap import dedent

SETTINGS = ("CYCONV_ISA", "CYCONV_NUM_THREADS", "CYCONV_ALGORITHM", "OMP_NUM_THREADS")


def start(script, *arguments, timeout=300, **environment):
    """Run a script, or a file, free of settings but those given; after `timeout` seconds it has hung."""
    inherited = {k: v for k, v in os.environ.items() if k not in SETTINGS}
    return subprocess.run(
        [sys.executable, *(["-c", dedent(script)] if isinstance(script, str) else [script]), *arguments],
        env=inherited | environment,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def run(script, timeout=300, **environment):
    """What `script` prints; it has to succeed."""
    done = start(script, timeout=timeout, **environment)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


# Large enough for every thread that the machine gives.
LARGE = """
    import os
    import numpy as np
    import cyconv
    x = np.ones((8, 64, 64, 32), np.float32)
    w = np.ones((3, 3, 32, 32), np.float32)

    def work():
        y = cyconv.conv2d(x, w, padding=1)
        dx, dw, db = cyconv.conv2d_backward(y, x, w, padding=1)
        p = cyconv.max_pool2d(y, 2)
        dp = cyconv.max_pool2d_backward(p, y, 2)
        return b"".join(a.tobytes() for a in (y, dx, dw, db, p, dp))

    def tasks():
        return len(os.listdir("/proc/self/task"))
"""
