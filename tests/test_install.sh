#!/bin/sh
# Installs into a fresh prefix, moves it, and builds a program outside the tree against it: with
# CMake, with nothing but cc and pkg-config, as C11 and as C++11, shared and static.
#
#   test_install.sh SOURCE-TREE BUILD-TREE
set -eu
source_tree=$1 build_tree=$2
consumer=$source_tree/tests/consumer/consumer.c

cached() { sed -n "s/^$1:[A-Z]*=//p" "$build_tree/CMakeCache.txt"; }
case $(cached CMAKE_C_FLAGS) in
*-fsanitize*)
    echo "skipped: a library built for a sanitizer is not for installing"
    exit 77
    ;;
esac

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
cc=$(cached CMAKE_C_COMPILER)

step=''
step() {
    step=$1
    shift
    if ! "$@" >log 2>&1; then
        cat log
        echo "failed: $step"
        exit 1
    fi
}
says_version() {
    "$@" >said
    if ! grep -q "^convnet $version: 6 elements$" said; then
        cat said
        echo "failed: $1 built by '$step' does not say version $version"
        exit 1
    fi
}

step "cmake --install" cmake --install "$build_tree" --prefix "$work/first"
mv first prefix
version=$(sed -n 's/^#define CN_VERSION_[MP][A-Z]* *//p' prefix/include/convnet.h | paste -sd.)

step "find_package" cmake -S "$source_tree/tests/consumer" -B cmake \
    -DCMAKE_PREFIX_PATH="$work/prefix" -DCMAKE_C_COMPILER="$cc"
step "build with CMake" cmake --build cmake
says_version cmake/shared
says_version cmake/static

libdir=$(dirname "$(find "$work/prefix" -name libconvnet.a)")
export PKG_CONFIG_PATH="$libdir/pkgconfig"
warnings='-Wall -Wextra -Wpedantic -Werror'
flags() { pkg-config --cflags --libs "$@" convnet; }

step "the version of convnet.pc" test "$(pkg-config --modversion convnet)" = "$version"
# shellcheck disable=SC2046,SC2086 # lists of words
step "cc, shared" "$cc" -std=c11 $warnings -o c "$consumer" $(flags)
says_version env LD_LIBRARY_PATH="$libdir" ./c
if command -v c++ >/dev/null; then
    # shellcheck disable=SC2046,SC2086
    step "c++, shared" c++ -std=c++11 $warnings -o cxx -x c++ "$consumer" -x none $(flags)
    says_version env LD_LIBRARY_PATH="$libdir" ./cxx
else
    echo "no C++ compiler here: the header is not tried as C++"
fi
# With the shared library gone, the linker has to take the static one.
rm "$libdir"/libconvnet.so*
# shellcheck disable=SC2046,SC2086
step "cc, static" "$cc" -std=c11 $warnings -o static "$consumer" $(flags --static)
says_version ./static

if [ -e "$build_tree/convnet" ]; then
    step "the installed command" prefix/bin/convnet --help
fi
echo "installed, found and used version $version"
