"""Build fasttrace._span, the one compiled module; all else is in pyproject.toml. On when "1":

FASTTRACE_WERROR (C warnings are errors), FASTTRACE_PORTABLE (strict C11, no intrinsics),
FASTTRACE_DEBUG (assertions, -O0), FASTTRACE_SANITIZE (ASan, UBSan)."""

import os
import shutil
import sysconfig
from pathlib import Path

import Cython
from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

NEEDS = """fasttrace has a compiled core, and {} was not found. Please install it:
  Debian, Ubuntu: apt-get install gcc libc6-dev python3-dev
  Fedora, RHEL: dnf install gcc python3-devel      Alpine: apk add gcc musl-dev python3-dev
  macOS: xcode-select --install      Windows: Build Tools for Visual Studio, with C++"""
DIRECTIVES = dict.fromkeys(("binding", "boundscheck", "initializedcheck", "wraparound"), False)
DIRECTIVES |= {"cdivision": True, "embedsignature": True, "embedsignature.format": "clinic"}
ON = {s for s in ("DEBUG", "PORTABLE", "SANITIZE", "WERROR") if os.getenv(f"FASTTRACE_{s}") == "1"}
CFLAGS = ["-Wall", "-Wextra", *["-Werror"] * ("WERROR" in ON)]
CFLAGS += ["-O0", "-g"] if "DEBUG" in ON else ["-O3", "-g0"]
QUICK = ["-fno-plt", "-fno-tree-slp-vectorize", "-falign-functions=64"]  # docs/performance.md
CFLAGS += ["-std=c11", "-pedantic"] if "PORTABLE" in ON else QUICK
CHECKS = ["-fsanitize=address,undefined", "-fno-sanitize-recover", "-O1", "-g"] * ("SANITIZE" in ON)


class BuildExt(build_ext):
    def build_extensions(self) -> None:
        if self.compiler.compiler_type != "msvc":  # whose defaults are right
            span.extra_compile_args = CFLAGS + CHECKS
            if not shutil.which(cc := self.compiler.compiler_so[0]):
                raise SystemExit(NEEDS.format(f"the C compiler {cc!r}"))
            if not Path(sysconfig.get_path("include"), "Python.h").exists():
                raise SystemExit(NEEDS.format("Python.h"))
        stamp, state = Path("build/switches"), f"{sorted(ON)} {DIRECTIVES} {Cython.__version__}"
        self.force = self.force or not stamp.exists() or stamp.read_text() != state
        how = {"build_dir": "build", "compiler_directives": DIRECTIVES, "force": self.force}
        span.sources = cythonize(span, include_path=["src"], **how)[0].sources
        super().build_extensions()
        stamp.write_text(state)


span = Extension("fasttrace._span", ["src/_span.pyx"], ["src"], extra_link_args=CHECKS)
span.depends = [str(path) for path in Path("src").iterdir()]
span.define_macros = [(f"FT_{s}", "1") for s in sorted(ON & {"DEBUG", "PORTABLE"})]
span.undef_macros = ["NDEBUG"] * ("DEBUG" in ON)
setup(ext_modules=[span], cmdclass={"build_ext": BuildExt})
