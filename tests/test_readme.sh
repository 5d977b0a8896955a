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
mkdir "$work/blocks" "$work/home" "$work/tree" "$work/tree/build"
awk -v blocks="$work/blocks" '
    /^```/ && !inside {
        inside = 1
        file = sprintf("%s/%02d.%s", blocks, ++n, substr($0, 4) == "" ? "text" : substr($0, 4))
        printf "" > file
        next
    }
    /^```/ { inside = 0; close(file); next }
    inside { print > file }
' "$source_tree/README.md"

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

# Compares the file of expected lines with the file of lines found.
matches() {
    awk '
        function same(pattern, line,    cut) {
            cut = index(pattern, "...")
            return cut ? substr(line, 1, cut - 1) == substr(pattern, 1, cut - 1) : line == pattern
        }
        NR == FNR { expected[++n] = $0; next }
        { found[++m] = $0 }
        # Greedy from the left: after "..." the next expected line is looked for.
        END {
            j = 1
            for (i = 1; i <= n; i++) {
                if (expected[i] == "...") { any = 1; continue }
                while (any && j <= m && !same(expected[i], found[j])) j++
                if (j > m || !same(expected[i], found[j])) {
                    print "expected: " expected[i]; print "found:    " (j > m ? "(the end)" : found[j])
                    exit 1
                }
                j++; any = 0
            }
            if (j <= m && !any) { print "not expected: " found[j]; exit 1 }
        }' "$1" "$2"
}

run_console() {
    : >expected
    command=''
    while IFS= read -r line || [ -n "$line" ]; do
        case $line in
        '$ '*)
            check_command
            command=${line#'$ '}
            ;;
        *) printf '%s\n' "$line" >>expected ;;
        esac
    done <"$1"
    check_command
}
check_command() {
    if [ -n "$command" ]; then
        sh -euc "$command" >found 2>messages || {
            cat found messages
            fail "command failed: $command"
        }
        matches expected found || fail "other output of: $command"
        ran=$((ran + 1))
    fi
    : >expected
}

python=''
for candidate in ${CONVNET_PYTHON:-python3 /usr/bin/python3}; do
    if [ -z "$python" ] && [ -e "$build_tree/python/convnet/_interface.py" ] &&
        "$candidate" -c 'import numpy' 2>/dev/null; then
        python=$candidate
    fi
done

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
    *.c) cp "$block" "$(sed -n '1s/^\/\* \([a-z0-9_]*\.c\).*/\1/p' "$block")" ;;
    *.long) ;;
    *) fail "$name: a block of no known language" ;;
    esac
done
[ $ran -gt 0 ] || fail "it shows nothing to run"
echo "ran $ran, skipped $skipped"
