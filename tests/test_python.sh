#!/bin/sh
# The Python package, as the build has put it together, under tests/python. The Python is
# CONVNET_PYTHON, else python3 or the system's, whichever has numpy; where none has, the test says so
# and is skipped.
#
#   test_python.sh SOURCE-TREE BUILD-TREE [TEST...]
set -eu
source_tree=$1 build_tree=$2
shift 2

if grep -q '^CMAKE_C_FLAGS:[A-Z]*=.*-fsanitize' "$build_tree/CMakeCache.txt"; then
    echo "skipped: Python cannot load a library built for a sanitizer"
    exit 77
fi
if [ ! -e "$build_tree/python/convnet/_interface.py" ]; then
    echo "skipped: built without Python"
    exit 77
fi
python=''
for candidate in ${CONVNET_PYTHON:-python3 /usr/bin/python3}; do
    if [ -z "$python" ] && "$candidate" -c 'import numpy' 2>/dev/null; then
        python=$candidate
    fi
done
if [ -z "$python" ]; then
    echo "skipped: no numpy in ${CONVNET_PYTHON:-python3 or /usr/bin/python3}"
    exit 77
fi
export PYTHONDONTWRITEBYTECODE=1 PYTHONPATH="$build_tree/python"
export CONVNET_COMMAND="$build_tree/convnet"
export CONVNET_SHARED="${CONVNET_SHARED-$source_tree/../shared}"
cd "$source_tree/tests/python"
if [ $# = 0 ]; then set -- discover; fi
exec "$python" -m unittest "$@"
