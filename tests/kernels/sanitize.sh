#!/usr/bin/env bash
# Tests the kernels built with every warning, AddressSanitizer and UBSan: `make sanitize`.
#
# Works in a temporary copy of the checkout, so that the extensions beside the sources stay the
# ordinary ones. PYTHON is an interpreter with the test dependencies. Needs git and gcc, on Linux.
set -euo pipefail

say() { echo "sanitize: $*" >&2; }
give_up() { say "$*"; exit 1; }

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)

python=$(command -v "${PYTHON:-python3}") || give_up "no ${PYTHON:-python3} here"
# The path of a virtual environment's link, for the link is what makes it one.
[[ $python == /* ]] || python=$PWD/$python
command -v gcc >/dev/null || give_up "gcc is needed (Debian: apt install gcc python3-dev)"
# Where gcc does not have the library, it answers with the bare name.
libasan=$(gcc -print-file-name=libasan.so)
[[ $libasan == /* ]] || give_up "gcc has no libasan.so here (Debian: apt install libgcc-12-dev)"

copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# What git knows of and what it would take in, as it lies in the checkout now.
cd "$root"
git ls-files -z --cached --others --exclude-standard |
    while IFS= read -r -d '' file; do [[ ! -e $file ]] || printf '%s\0' "$file"; done |
    tar --create --null --files-from=- | tar --extract --directory="$copy"
cd "$copy"

# With `make` on a machine that cannot build, this would be set, and nothing would be tested.
unset GATEWAY_NO_EXTENSIONS
# One compiler for all: Python may have been built with another, whose sanitizer is another too.
# In English, for the filter below.
if ! LC_ALL=C CC=gcc LDSHARED="gcc -shared" GATEWAY_SANITIZE=1 \
    "$python" setup.py -q build_ext --inplace >build.log 2>&1; then
    cat build.log >&2
    give_up "the kernels do not build"
fi

# -Wall and -Wextra look at Cython's own code as well. Its utility functions are named __Pyx_...,
# ours __pyx_f_..., __pyx_pw_... and so on: a warning within the former is not ours to mend, and it
# comes and goes with Cython's releases. Any other counts, Cython's about a .pyx among them.
# setup.py leaves out -Wunused-parameter and -Wmissing-field-initializers: every method table that
# Cython writes is full of both.
awk '
    /: In function / || /: At top level:/ { cythons = /In function .__Pyx_/ }
    /(^| )(warning|performance hint): / { if (!cythons) { ours = 1; showing = 1 } else showing = 0 }
    / In function |: At top level:/ { showing = 0; heading = $0; next }
    showing { if (heading) { print heading; heading = "" } print }
    END { exit ours }
' build.log >&2 || give_up "the compiler warns about the kernels"

export PYTHONPATH=$copy PYTHONDONTWRITEBYTECODE=1
export LD_PRELOAD=$libasan
# CPython never frees all it has when it ends, so leaks cannot be told; test_fields.py counts them.
export ASAN_OPTIONS=detect_leaks=0
export UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1
# Each Python object in a block of its own, with a fence around it that ASan watches.
export PYTHONMALLOC=malloc
# pycryptodome would load its libraries in a way that ASan refuses to work with.
export PYCRYPTODOME_DISABLE_DEEPBIND=1

# An installed package must not stand in for the copy, nor the twins for what was built.
"$python" - "$copy" <<'CHECK' || give_up "the tests would not run on what was built"
import sys
import gateway.kernels

assert gateway.kernels.__file__.startswith(sys.argv[1]), gateway.kernels.__file__
assert gateway.kernels.IMPLEMENTATION == "compiled"
with open("/proc/self/maps") as maps:
    assert "libasan" in maps.read()
CHECK

# Without capture: a sanitizer ends the process, and what it says must not end with it.
"$python" -m pytest -q --capture=no -p no:cacheprovider tests/kernels >tests.log 2>&1 || {
    finding='runtime error:\|ERROR: AddressSanitizer'
    if grep -q "$finding" tests.log; then
        # From the finding on, without the dots ahead of it and the interpreter's frames below it.
        sed -n "/$finding/,\$ { s/^[.sxFE]*//; \\%#[0-9]* 0x.* \\(Objects\|Python\|Modules\|Include\)/%d; p }" tests.log |
            head -n 30 >&2
    else
        tail -n 60 tests.log >&2
    fi
    give_up "the tests of the kernels fail under AddressSanitizer and UBSan"
}
passed=$(grep -oE '[0-9]+ passed' tests.log | tail -n 1)
echo "sanitize: kernels built without a warning; $passed under AddressSanitizer and UBSan"
