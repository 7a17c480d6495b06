"""Tests that need a process of their own: a fresh import, an environment, a fork."""

import os
import subprocess
import sys
from textwrap import dedent

SETTINGS = ("CYCONV_ISA", "CYCONV_NUM_THREADS", "CYCONV_ALGORITHM", "OMP_NUM_THREADS")


def start(script, **environment):
    """Run a script, or a file, free of settings but those given; at most a minute, then it has hung."""
    inherited = {k: v for k, v in os.environ.items() if k not in SETTINGS}
    return subprocess.run(
        [sys.executable, *(["-c", dedent(script)] if isinstance(script, str) else [script])],
        env=inherited | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def run(script, **environment):
    """What `script` prints; it has to succeed."""
    done = start(script, **environment)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()
