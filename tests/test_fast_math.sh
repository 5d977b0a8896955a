#!/bin/sh
# A build whose compiler may change results is refused, with a reason.
#   test_fast_math.sh SOURCE-TREE BUILD-TREE
set -eu
source=$1
compiler=$(sed -n 's/^CMAKE_C_COMPILER:[A-Z]*=//p' "$2/CMakeCache.txt")

compile() {
    echo '#include "base/base.h"' | "$compiler" -std=c11 -I "$source/include" -I "$source/src" "$@" -x c -fsyntax-only - 2>&1
}

compile -O2 || { echo "refused without a reason"; exit 1; }
for flag in -ffast-math -Ofast -ffinite-math-only; do
    if found=$(compile $flag); then
        echo "$flag is taken"
        exit 1
    fi
    case $found in
    *'without -ffast-math'*) ;;
    *)
        echo "$flag: no reason given: $found"
        exit 1
        ;;
    esac
done
