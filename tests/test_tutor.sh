#!/bin/sh
# `convnet check` and its tutor (tests/tutor/test_tutor.py), by the Python that the command would
# find: CONVNET_PYTHON, else python3 or the system's, whichever has numpy; where none has, the test
# says so and is skipped.
#
#   test_tutor.sh SOURCE-TREE BUILD-TREE
set -eu
source_tree=$1 build_tree=$2

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
export PYTHONDONTWRITEBYTECODE=1 CONVNET_COMMAND="$build_tree/convnet"
cd "$source_tree/tests/tutor"
exec "$python" -m unittest test_tutor
