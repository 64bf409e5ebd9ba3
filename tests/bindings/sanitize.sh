#!/bin/sh
# The C core under the sanitizers: its own driver under ASan+UBSan and under TSan, then the Python tests of the
# bindings against an ASan+UBSan build of the extension. Needs gcc (CC chooses another), and python for the last part.
# Everything is built in a temporary directory. Prints one closing line; exits non-zero on any finding.
# `sanitize.sh threads` is the TSan part alone. Where TSan cannot start at all, that part is passed over, and says so.
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd)
compiler=${CC:-gcc}
python=${PYTHON:-python}
case $python in # the tests run in another directory
*/*) python=$(CDPATH='' cd -- "$(dirname -- "$python")" && pwd)/$(basename -- "$python") ;;
esac
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT INT TERM

strict="-std=c11 -g -O1 -fno-omit-frame-pointer -ffp-contract=off -Wall -Wextra -Werror -D_GNU_SOURCE -DSW_NO_CLONES -pthread"
memory="-fsanitize=address,undefined -fno-sanitize-recover=all"
export UBSAN_OPTIONS="halt_on_error=1:print_stacktrace=1"
export TSAN_OPTIONS="halt_on_error=1"

drive() { # name, sanitizers
    # shellcheck disable=SC2086  # flags are words
    "$compiler" $strict $2 -I"$root/bindings/csrc" -o "$work/$1" \
        "$root"/bindings/csrc/*.c "$root"/tests/bindings/csrc/*.c -lm
    "$work/$1"
}

drive_threads() {
    echo "C driver, threads:"
    echo "int main(void) { return 0; }" >"$work/nothing.c"
    # On some kernels the layout of memory is one that TSan cannot shadow, and then not even this runs.
    if "$compiler" -fsanitize=thread -o "$work/nothing" "$work/nothing.c" && "$work/nothing"; then
        drive threads "-fsanitize=thread"
    else
        echo "passed over: a program that does nothing does not run under TSan on this machine"
    fi
}

if [ "${1:-all}" = threads ]; then
    drive_threads
    exit
fi
echo "C driver, address and undefined:"
ASAN_OPTIONS="detect_leaks=1:detect_stack_use_after_return=1" drive memory "$memory"
drive_threads

echo "Python tests, address and undefined:"
mkdir "$work/tests"
cp -R "$root/bindings" "$work/bindings"
rm -f "$work"/bindings/_swath*
cp -R "$root/tests/bindings" "$root/tests/__init__.py" "$work/tests/"
cp "$root/pyproject.toml" "$work/"
cd "$work"
CC="$compiler" CFLAGS="-g -fno-omit-frame-pointer -DSW_NO_CLONES $memory" LDFLAGS="$memory" \
    "$python" -c "import bindings.build; bindings.build.ffi.compile(tmpdir='.')"
# libstdc++ beside the sanitizer's library: its hooks on C++ exceptions must find the real functions (OpenCV throws).
LD_PRELOAD="$("$compiler" -print-file-name=libasan.so) $("$compiler" -print-file-name=libstdc++.so.6)" \
    ASAN_OPTIONS="detect_leaks=0" PYTHONMALLOC=malloc PYTHONDONTWRITEBYTECODE=1 \
    "$python" -m pytest -q tests/bindings

echo "sanitize: no finding in the C core"
