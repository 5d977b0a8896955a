#!/usr/bin/env bash
# The pages that the command writes, in Chromium: they open without an error or a request, every
# control works, and the numbers in them are the library's. Skipped where there is no Chromium.
#
#   test_pages.sh SOURCE_DIR BUILD_DIR
set -u

skip() {
    echo "skipped: $*" >&2
    exit 77
}
command -v python3 >/dev/null || skip "no python3"
python3 -c "import sys; sys.path.insert(0, '$1/tests/pages'); import chromium
sys.exit(not chromium.find())" || skip "no chromium (script/bootstrap --lint installs it)"

convnet=$(cd "$2" && pwd)/convnet
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export LC_ALL=C PYTHONDONTWRITEBYTECODE=1
python3 "$1/tests/pages/pages.py" "$convnet" "$work"
