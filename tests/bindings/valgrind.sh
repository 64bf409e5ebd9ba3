#!/bin/sh
# The C core as it flies, cloned functions and hand-written vectors included, under valgrind's memcheck, which sees what the
# sanitizers do not: results that depend on memory that nobody wrote. First its own driver, with leaks, then the extension
# on the cases with recorded results. Needs gcc and valgrind; without valgrind it is a counted skip.
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd)
compiler=${CC:-gcc}
python=${PYTHON:-python}
if ! command -v valgrind >/dev/null; then
    echo "valgrind: 1 skipped, 0 run: not here. On Debian: apt-get install -y --no-install-recommends valgrind libc6-dbg"
    exit 0
fi
case $python in # the tests run in another directory
*/*) python=$(CDPATH='' cd -- "$(dirname -- "$python")" && pwd)/$(basename -- "$python") ;;
esac
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT INT TERM

echo "C driver:"
"$compiler" -std=c11 -g -O2 -ffp-contract=off -Wall -Wextra -Werror -D_GNU_SOURCE -pthread -I"$root/bindings/csrc" \
    -o "$work/driver" "$root"/bindings/csrc/*.c "$root"/tests/bindings/csrc/*.c -lm
valgrind -q --error-exitcode=9 --leak-check=full --errors-for-leak-kinds=definite,indirect,possible "$work/driver"

echo "Python cases with recorded results:"
mkdir "$work/tests"
cp -R "$root/bindings" "$work/bindings"
cp -R "$root/tests/bindings" "$root/tests/__init__.py" "$work/tests/"
cp "$root/pyproject.toml" "$work/"
cd "$work"
PYTHONMALLOC=malloc PYTHONDONTWRITEBYTECODE=1 PYTHONPATH="$work" valgrind -q --error-exitcode=9 --leak-check=no \
    --suppressions="$root/tests/bindings/valgrind.supp" \
    "$python" -m pytest -q -p no:hypothesispytest tests/bindings/test_same_everywhere.py

echo "valgrind: no finding in the C core"
