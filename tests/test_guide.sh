#!/bin/sh
# Runs what the guide, docs/step-by-step, shows, page by page in one directory. Blocks:
#
#   ```c         a program or header, named by its first line: /* NAME.c - ...; compiled with warnings
#                as errors
#   ```python    likewise: # NAME.py - ...
#   ```console   what follows a line "$ COMMAND" must be its output; "..." as in test_readme.sh
#   ```          formulas and sketches, not run
#
# Every program must be shown with its output. Of twins, NAME.c and NAME.py, the C program's is shown,
# and the Python program must print the same. The figures must be those that script/figures draws
# from the Python programs' arrays. Without a Python that has numpy the C programs run alone.
#
#   test_guide.sh SOURCE-TREE BUILD-TREE
set -eu
source_tree=$1 build_tree=$2

if grep -q '^CMAKE_C_FLAGS:.*-fsanitize' "$build_tree/CMakeCache.txt"; then
    echo "skipped: a library built for a sanitizer is not what the guide links"
    exit 77
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/bin" "$work/run"
cd "$work/run"
page=''
fail() {
    echo "failed: $page, $1"
    exit 1
}
# shellcheck source=/dev/null
. "$source_tree/tests/shown.sh"

python=$(find_python "$build_tree")
if [ -n "$python" ]; then
    # By this name, as the pages call it.
    printf '#!/bin/sh\nexec "%s" "$@"\n' "$(command -v "$python")" >"$work/bin/python3"
    chmod +x "$work/bin/python3"
fi
export PATH="$work/bin:$build_tree:$PATH" NO_COLOR=1
export PYTHONDONTWRITEBYTECODE=1 PYTHONPATH="$build_tree/python:$work/run"

compile() {
    "${CC:-cc}" -std=c11 -O1 -Wall -Wextra -Werror -I"$source_tree/include" -o "${1%.c}" "$1" \
        "$build_tree/libconvnet.so" -Wl,-rpath,"$build_tree" -lm || fail "$1 does not compile"
}

# Of what Python says in place of the C program, every line is compared.
compare_twin() {
    "./${1%.py}" >expected || fail "./${1%.py} fails"
    python3 "$1" >found 2>messages || {
        cat found messages
        fail "$1 fails"
    }
    cmp -s expected found || {
        diff expected found || true
        fail "$1 does not print what ${1%.py}.c prints"
    }
    ran=$((ran + 1))
}

ran=0
for page in "$source_tree"/docs/step-by-step/README.md "$source_tree"/docs/step-by-step/[1-8]-*.md; do
    blocks=$work/$(basename "$page" .md)
    split_blocks "$page" "$blocks"
    for block in "$blocks"/*; do
        name=$(program_name "$block")
        case $block in
        *.c | *.python)
            [ -n "$name" ] || fail "block ${block##*/} does not begin with its name"
            [ ! -e "$name" ] || fail "there are two of $name"
            cp "$block" "$name"
            ;;
        esac
        case $name in
        guide.*) ;;
        *.c)
            compile "$name"
            grep -q "^\$ \./${name%.c}\$" "$blocks"/*.console || fail "the output of $name is not shown"
            ;;
        *.py)
            if [ -e "${name%.py}.c" ]; then
                if [ -n "$python" ]; then compare_twin "$name"; fi
            else
                grep -q "^\$ python3 $name\$" "$blocks"/*.console || fail "the output of $name is not shown"
            fi
            ;;
        esac
        case $block in
        *.console)
            if [ -n "$python" ] || ! grep -q '^\$ python3' "$block"; then run_console "$block"; fi
            ;;
        *.c | *.python | *.text) ;;
        *) fail "block ${block##*/} has no known language" ;;
        esac
    done
done
page=docs/step-by-step
[ $ran -gt 0 ] || fail "it shows nothing to run"

if [ -z "$python" ]; then
    echo "ran $ran; skipped: what is in Python, and the figures, for want of numpy"
    exit 0
fi
python3 "$source_tree/script/figures" "$work/figures" || fail "script/figures fails"
for figure in "$work"/figures/*.svg "$source_tree"/docs/step-by-step/*.svg; do
    name=${figure##*/}
    cmp "$work/figures/$name" "$source_tree/docs/step-by-step/$name" ||
        fail "$name is not what script/figures draws: run it again"
    grep -q "($name)" "$source_tree"/docs/step-by-step/*.md || fail "no page shows $name"
done
echo "ran $ran, and drew $(find "$work/figures" -name '*.svg' | wc -l) figures"
