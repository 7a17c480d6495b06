"""Build the compiled kernels: one source per algorithm, one extension module per (source, dtype, ISA).

Everything else about the package is in pyproject.toml.  CYCONV_OPENMP=0 builds without OpenMP, CYCONV_DEBUG=1 with
bounds checks, symbols and the address and undefined behaviour sanitizers, CYCONV_TSAN=1 with the thread sanitizer and
for the plainest instruction set only, CYCONV_PROFILE=1 with symbols alone, and CYCONV_COVERAGE=1 for .ci/coverage:
scalar, unoptimised, every line of Cython traced (CONTRIBUTING.md).
"""

import os
import platform
import sysconfig
import tempfile
from pathlib import Path

from Cython.Build import cythonize
from Cython.Compiler import Options
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.errors import CompileError, LinkError

KERNELS = ["conv", "depthwise", "pool", "winograd"]
REAL_BITS = {"f32": 32, "f64": 64}
# What is built for, not what builds: linux-aarch64 when cross-compiling, universal2 for a Python of two processors.
if os.name == "posix" and sysconfig.get_platform().endswith("-x86_64"):
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
PROFILE = os.environ.get("CYCONV_PROFILE") == "1"
COVERAGE = os.environ.get("CYCONV_COVERAGE") == "1"
if COVERAGE or TSAN:
    ISAS = dict(list(ISAS.items())[:1])
Options.docstrings = False  # of kernels: they are for who reads the source, and 23 KB of the wheel
# What typed memoryviews need is compiled once, without ISA flags: otherwise it is 75 KB of each compressed module.
# Cython also enters it into sys.modules under this bare name.
SHARED = "_cyconv_utility"
# Cython would take a file of other directives for a fresh one.
BUILD = "build/debug" if DEBUG else "build/coverage" if COVERAGE else "build/cython"
DIRECTIVES = {
    "language_level": 3,
    "boundscheck": DEBUG,
    "initializedcheck": DEBUG,
    "wraparound": False,
    "cdivision": True,
    "freethreading_compatible": True,
    "linetrace": COVERAGE,
}
HEADERS = sorted(map(str, Path("cyconv/kernels").glob("*.h")))  # cythonize follows .pxd files by itself

UNIX_FLAGS = [
    # No -ffast-math and none of its parts that reassociate: GCC 12 then switches the process to flush-to-zero.
    "-O3",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-fvisibility=hidden",
    # No loop unrolling: GCC would unroll the tile and spill its accumulators (60 instead of 95 % of the FMA limit).
    "-fno-unroll-loops",
    # But loops of constant length must vanish, or the sums of a depthwise tile stay in memory (half the speed).
    "--param=max-completely-peeled-insns=2000",
    "--param=max-completely-peel-times=20",
    "--param=max-peel-branches=1000",
]
SANITIZE = ["-fsanitize=address,undefined", "-fno-sanitize-recover=undefined"] if DEBUG else []
if TSAN:
    SANITIZE = ["-fsanitize=thread"]
UNIX_FLAGS += ["-O1", "-g", *SANITIZE] if SANITIZE else ["-g"] if PROFILE else ["-g0"]
if COVERAGE:
    UNIX_FLAGS += ["-O0", "-w", "-DCYTHON_TRACE_NOGIL=1", "-DCYCONV_SCALAR"]  # a vector returned cannot be traced
STRIP = ["-s"] if platform.system() == "Linux" and not PROFILE else []
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
        compile_openmp, link_openmp = self.openmp(unix)
        for extension in self.extensions:
            flags = UNIX_FLAGS if unix else ["/O2"]
            extension.extra_compile_args = [*flags, *extension.isa_flags, *compile_openmp]
            extension.extra_link_args = [*link_openmp, *((SANITIZE or STRIP) if unix else [])]
            if unix:
                extension.define_macros = [*extension.define_macros, INLINE]
        super().build_extensions()

    def openmp(self, unix: bool) -> tuple[list[str], list[str]]:
        """Compiler and linker flags for OpenMP: the first that build something, or none."""
        # Apple's clang knows OpenMP only behind -Xpreprocessor, and its library comes from elsewhere.
        spellings = [(["-fopenmp"],) * 2, (["-Xpreprocessor", "-fopenmp"], ["-lomp"])] if unix else [(["/openmp"], [])]
        if os.environ.get("CYCONV_OPENMP") != "0":
            for compile_flags, link_flags in spellings:
                if self.builds(compile_flags, link_flags):
                    return compile_flags, link_flags
        return [], []

    def builds(self, compile_flags: list[str], link_flags: list[str]) -> bool:
        """Whether the compiler takes these flags and the linker finds what they ask for."""
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder, "probe.c")
            source.write_text("#include <omp.h>\nint threads(void) { return omp_get_max_threads(); }\n")
            try:
                objects = self.compiler.compile([str(source)], output_dir=folder, extra_postargs=compile_flags)
                self.compiler.link_shared_object(objects, str(Path(folder, "probe.so")), extra_postargs=link_flags)
            except (CompileError, LinkError):
                return False
        return True


setup(
    ext_modules=[kernel("cpu"), kernel("tasks"), kernel(SHARED)]
    + [kernel(source, dtype, isa) for source in KERNELS for dtype in REAL_BITS for isa in ISAS],
    cmdclass={"build_ext": BuildKernels},
)
