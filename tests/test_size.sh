#!/bin/sh
# The code of the shared library fits in 1 MiB, as Debian 12's GCC compiles a release for x86-64.
#
#   test_size.sh SOURCE-TREE BUILD-TREE
set -eu
build_tree=$2 limit=1048576

cached() { sed -n "s/^$1:[A-Z]*=//p" "$build_tree/CMakeCache.txt"; }
compiler=$("$(cached CMAKE_C_COMPILER)" --version | head -n 1)
case "$(cached CMAKE_BUILD_TYPE) $(uname -m) $compiler" in
"Release x86_64 cc (Debian 12."* | "Release x86_64 gcc (Debian 12."*) ;;
*)
    echo "skipped: $(cached CMAKE_BUILD_TYPE) build for $(uname -m) by $compiler"
    exit 77
    ;;
esac

size=$(size -A "$build_tree/libconvnet.so" | awk '$1 == ".text" { print $2 }')
echo "$size bytes of code, at most $limit"
test "$size" -le $limit
