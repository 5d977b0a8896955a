#!/bin/sh
# Weights of Keras's networks, loaded into ours and written back (keras_weights.py), and our networks
# run by Keras (keras_models.py). The Python is
# CONVNET_PYTHON, else python3, where it has keras, torch (which runs it) and numpy; where it has
# not, the test says so and is skipped (tests/test_hdf5_weights.c reads files without them).
#
#   test_keras.sh SOURCE-TREE BUILD-TREE
set -eu
source_tree=$1 build_tree=$2

python=''
export KERAS_BACKEND=torch
for candidate in ${CONVNET_PYTHON:-python3 /usr/bin/python3}; do
    if [ -z "$python" ] && "$candidate" -c 'import numpy, torch, keras' 2>/dev/null; then
        python=$candidate
    fi
done
if [ -z "$python" ]; then
    echo "skipped: no Keras on PyTorch in ${CONVNET_PYTHON:-python3 or /usr/bin/python3}"
    exit 77
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export PYTHONDONTWRITEBYTECODE=1
"$python" "$source_tree/tests/keras_weights.py" "$build_tree/convnet" "$work"
"$python" "$source_tree/tests/keras_models.py" "$build_tree/convnet" "$work"
