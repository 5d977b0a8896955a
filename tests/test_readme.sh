#!/bin/sh
# Runs what README.md shows, block by block and in order, in a directory that looks like the root
# of the tree. The language of a block says how:
#
#   ```sh        every line must succeed
#   ```console   what follows a line "$ COMMAND" must be its output; "..." stands for the rest of
#                a line, and on a line of its own for any lines
#   ```c         becomes the file that its first line names: /* NAME.c ...
#   ```python    a program; skipped where no Python has numpy
#   ```long      takes longer than a test may: test_recipe.sh runs it, cut short
#
# Blocks with mnist:DIR run where MNIST lies beside the source tree, in ../shared/data/mnist (or
# CONVNET_SHARED names the folder above data/), and are skipped elsewhere. script/demo and script/test contain this test or repeat it:
# here they only have to be there.
#
#   test_readme.sh SOURCE-TREE BUILD-TREE
set -eu
source_tree=$1 build_tree=$2

if grep -q '^CMAKE_C_FLAGS:.*-fsanitize' "$build_tree/CMakeCache.txt"; then
    echo "skipped: a library built for a sanitizer is not what README links"
    exit 77
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/home" "$work/tree" "$work/tree/build"
# shellcheck source=/dev/null
. "$source_tree/tests/shown.sh"
split_blocks "$source_tree/README.md" "$work/blocks"

cd "$work/tree"
for entry in "$source_tree"/*; do
    case ${entry##*/} in build) ;; *) ln -s "$entry" . ;; esac
done
ln -s "$build_tree" build/release
export HOME="$work/home" NO_COLOR=1
mnist=${CONVNET_SHARED-$source_tree/../shared}/data/mnist
if [ -d "$mnist" ]; then ln -s "$mnist" mnist; fi

fail() {
    echo "failed: README.md, $1"
    exit 1
}

python=$(find_python "$build_tree")
ran=0 skipped=0
for block in "$work"/blocks/*; do
    name="block ${block##*/}"
    if grep -q 'mnist:' "$block" && [ ! -e mnist ]; then
        echo "skipped: $name: no $mnist (CONVNET_SHARED names the folder above data/)"
        skipped=$((skipped + 1))
        continue
    fi
    if grep -q '^script/' "$block"; then
        sed -n "s|^\(script/[a-z]*\).*|\1|p" "$block" | while read -r script; do
            [ -x "$script" ] || fail "$name: no $script"
        done
        continue
    fi
    case $block in
    *.sh)
        sh -eu "$block" >log 2>&1 || {
            cat "$block" log
            fail "$name"
        }
        ran=$((ran + 1))
        ;;
    *.python)
        if [ -z "$python" ]; then
            echo "skipped: $name: no Python with numpy"
            skipped=$((skipped + 1))
            continue
        fi
        PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=build/release/python "$python" "$block" >log 2>&1 || {
            cat "$block" log
            fail "$name"
        }
        ran=$((ran + 1))
        ;;
    *.console) run_console "$block" ;;
    *.c) cp "$block" "$(program_name "$block")" ;;
    *.long) ;;
    *) fail "$name: a block of no known language" ;;
    esac
done
[ $ran -gt 0 ] || fail "it shows nothing to run"
echo "ran $ran, skipped $skipped"
