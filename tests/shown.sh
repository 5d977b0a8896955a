# shellcheck shell=sh
# shown.sh - for tests that run what a page shows: sourced by test_readme.sh and test_guide.sh, which
# define `fail MESSAGE`. Works in the current directory, on the files `expected`, `found`, `messages`.

# split_blocks PAGE DIRECTORY: each fenced block becomes DIRECTORY/NN.LANGUAGE ("text" without one).
split_blocks() {
    mkdir -p "$2"
    awk -v blocks="$2" '
        /^```/ && !inside {
            inside = 1
            file = sprintf("%s/%02d.%s", blocks, ++n, substr($0, 4) == "" ? "text" : substr($0, 4))
            printf "" > file
            next
        }
        /^```/ { inside = 0; close(file); next }
        inside { print > file }
    ' "$1"
}

# program_name FILE: the name that a program's first line gives it, as in "/* NAME.c - ...".
program_name() {
    sed -n '1s/^[/#][* ]*\([a-z0-9_]*\.[a-z]*\)\( .*\)*$/\1/p' "$1"
}

# find_python BUILD-TREE: the Python that has numpy, if the build made the package, else nothing.
find_python() {
    for candidate in ${CONVNET_PYTHON:-python3 /usr/bin/python3}; do
        if [ -e "$1/python/convnet/_interface.py" ] && "$candidate" -c 'import numpy' 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
}

# matches EXPECTED FOUND: compares two files line by line. "..." in the first stands for the rest of
# a line, and on a line of its own for any lines.
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

# run_console FILE: runs each line "$ COMMAND"; the lines after it must be the output. Adds to `ran`.
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
