"""Builds the extension module `bindings._swath` (cffi API mode, stable ABI).

`setup.py` executes this file and takes `ffi` from it. Every `csrc/*.c` is compiled and every
`csrc/decl/*.h` is declared, so a new kernel is a new pair of files and no edit here. Paths stay
relative when this file is named relatively, as setuptools demands for an sdist; compiler and
further flags come from CC and CFLAGS, so that the same file serves a cross build.
"""

from __future__ import annotations

import re
from pathlib import Path

from cffi import FFI

HERE = Path(__file__).parent
SOURCES = sorted((HERE / "csrc").glob("*.c"))
DECLARATIONS = sorted((HERE / "csrc" / "decl").glob("*.h"))

# -ffp-contract=off: a fused multiply-add rounds once instead of twice, so results would differ
# between machines that have it and machines that have not.
COMPILE_FLAGS = [
    "-std=c11",
    "-O3",
    "-Wall",
    "-Wextra",
    "-Werror",
    "-Wno-unused-parameter",  # the wrappers that cffi writes
    "-Wno-missing-field-initializers",
    "-ffp-contract=off",
    "-fno-fast-math",
    "-fvisibility=hidden",
    "-pthread",
]

_FOR_THE_PREPROCESSOR = re.compile(r"^\s*#\s*(?:ifndef|ifdef|if|endif|include|pragma|define\s+\w+\s*$)")


def declarations() -> str:
    """The headers as cffi reads them: without guards and includes, which only a C compiler understands."""
    lines = (line for header in DECLARATIONS for line in header.read_text(encoding="utf-8").splitlines())
    return "\n".join(line for line in lines if not _FOR_THE_PREPROCESSOR.match(line))


ffi = FFI()
ffi.cdef(declarations())
ffi.set_source(
    "bindings._swath",
    "\n".join(f'#include "decl/{header.name}"' for header in DECLARATIONS),
    sources=[str(source) for source in SOURCES],
    depends=[str(path) for path in (*DECLARATIONS, *sorted((HERE / "csrc").glob("*.h")))],
    include_dirs=[str(HERE / "csrc")],
    define_macros=[("_GNU_SOURCE", "1")],
    extra_compile_args=COMPILE_FLAGS,
    extra_link_args=["-pthread"],
    py_limited_api=True,
)
