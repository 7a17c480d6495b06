"""Build the compiled kernels: one source per algorithm, one extension module per (source, dtype, ISA).

Everything else about the package is in pyproject.toml.  CYCONV_OPENMP=0 builds without OpenMP, CYCONV_DEBUG=1 with
bounds checks, symbols and the address and undefined behaviour sanitizers, CYCONV_TSAN=1 with the thread sanitizer and
for the plainest instruction set only (CONTRIBUTING.md).
"""

import os
import platform
import subprocess
import tempfile
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

KERNELS = ["conv", "depthwise", "pool", "winograd"]
REAL_BITS = {"f32": 32, "f64": 64}
if platform.machine().lower() in ("x86_64", "amd64") and os.name == "posix":
    ISAS = {
        "baseline": [],
        "v3": ["-march=x86-64-v3"],
        # GCC prefers 256-bit vectors on AVX-512 machines; our vectors are 512 bits wide by type.
        "v4": ["-march=x86-64-v4", "-mprefer-vector-width=512"],
    }
else:
    ISAS = {"native": []}

DEBUG = os.environ.get("CYCONV_DEBUG") == "1"
TSAN = os.environ.get("CYCONV_TSAN") == "1"
# What typed memoryviews need is compiled once, without ISA flags: otherwise it is 75 KB of each compressed module.
# Cython also enters it into sys.modules under this bare name.
SHARED = "_cyconv_utility"
BUILD = "build/debug" if DEBUG else "build/cython"  # Cython would take a file of other directives for a fresh one
DIRECTIVES = {
    "language_level": 3,
    "boundscheck": DEBUG,
    "initializedcheck": DEBUG,
    "wraparound": False,
    "cdivision": True,
    "freethreading_compatible": True,
}
HEADERS = sorted(str(path) for path in Path("cyconv/kernels").glob("*.[hp]*") if path.suffix in (".h", ".pxd"))

UNIX_FLAGS = [
    # No -ffast-math and none of its parts that reassociate: GCC 12 then switches the process to flush-to-zero.
    "-O3",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-fvisibility=hidden",
    # No loop unrolling: GCC would unroll the tile and spill its accumulators (60 instead of 95 % of the FMA limit).
    "-fno-unroll-loops",
    # But loops of constant length must vanish, or the sums of a depthwise tile stay in memory (0.9 of the speed).
    "--param=max-completely-peeled-insns=2000",
]
SANITIZE = ["-fsanitize=address,undefined", "-fno-sanitize-recover=undefined"] if DEBUG else []
if TSAN:
    SANITIZE, ISAS = ["-fsanitize=thread"], dict(list(ISAS.items())[:1])
UNIX_FLAGS += ["-O1", "-g", *SANITIZE] if SANITIZE else ["-g0"]
STRIP = ["-s"] if platform.system() == "Linux" else []
# The tile must be inlined where its sizes are constants.
INLINE = ("CYTHON_INLINE", "__inline__ __attribute__((always_inline))")


def kernel(source: str, dtype: str = "", isa: str = "") -> Extension:
    """One extension module.  Cython caches what it read from the first Extension of a source, so macros and flags are
    set on what `cythonize` returns, and every module has a build directory of its own."""
    name = "_".join(filter(None, (source, dtype, isa)))
    path = f"cyconv/kernels/{source}.{'c' if source == SHARED else 'pyx'}"
    (extension,) = cythonize(
        [Extension(f"cyconv.kernels.{name}", [path], depends=HEADERS)],
        build_dir=f"{BUILD}/{name}",
        compiler_directives=DIRECTIVES,
        shared_utility_qualified_name=f"cyconv.kernels.{SHARED}",
        quiet=True,
    )
    extension.include_dirs = ["cyconv/kernels"]
    if dtype:
        extension.define_macros = [("REAL_BITS", str(REAL_BITS[dtype]))]
    extension.isa_flags = ISAS.get(isa, [])
    return extension


class BuildKernels(build_ext):
    """Adds what depends on the compiler, and compiles modules side by side."""

    def finalize_options(self) -> None:
        super().finalize_options()
        self.parallel: int | bool | None = self.parallel or os.cpu_count()

    def build_extensions(self) -> None:
        unix = self.compiler.compiler_type != "msvc"
        openmp = ["-fopenmp"] if unix else ["/openmp"]
        if os.environ.get("CYCONV_OPENMP") == "0" or not self.compiles(openmp):
            openmp = []
        for extension in self.extensions:
            extension.extra_compile_args = [*(UNIX_FLAGS if unix else ["/O2"]), *extension.isa_flags, *openmp]
            extension.extra_link_args = [*openmp, *(SANITIZE or STRIP)] if unix else openmp
            if unix:
                extension.define_macros = [*extension.define_macros, INLINE]
        super().build_extensions()

    def compiles(self, flags: list[str]) -> bool:
        """Whether the compiler takes these flags and finds what they link to."""
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder, "probe.c")
            source.write_text("#include <omp.h>\nint main(void) { return omp_get_max_threads() < 1; }\n")
            command = [*self.compiler.compiler, str(source), *flags, "-o", str(source.with_suffix(".exe"))]
            if self.compiler.compiler_type == "msvc":
                return True
            return subprocess.run(command, capture_output=True, check=False).returncode == 0


setup(
    ext_modules=[kernel("cpu"), kernel("tasks"), kernel(SHARED)]
    + [kernel(source, dtype, isa) for source in KERNELS for dtype in REAL_BITS for isa in ISAS],
    cmdclass={"build_ext": BuildKernels},
)
