#!/bin/sh
# Compares the shared library with PyTorch: layers, losses and optimizers (pytorch.py), and a whole
# network over 100 steps (pytorch_network.py); loads the weights of its networks into ours
# (pytorch_weights.py); and trains one that came as an ONNX file (pytorch_onnx.py). The Python is CONVNET_PYTHON, else python3 or the
# system's, whichever has PyTorch (script/bootstrap --pytorch installs it for the latter); where none
# has, the test says so and is skipped.
#
#   test_pytorch.sh SOURCE-TREE BUILD-TREE
set -eu
source_tree=$1 build_tree=$2

if grep -q '^CMAKE_C_FLAGS:[A-Z]*=.*-fsanitize' "$build_tree/CMakeCache.txt"; then
    echo "skipped: Python cannot load a library built for a sanitizer"
    exit 77
fi
python=''
for candidate in ${CONVNET_PYTHON:-python3 /usr/bin/python3}; do
    if [ -z "$python" ] && "$candidate" -c 'import numpy, torch' 2>/dev/null; then
        python=$candidate
    fi
done
if [ -z "$python" ]; then
    echo "skipped: no PyTorch in ${CONVNET_PYTHON:-python3 or /usr/bin/python3}"
    exit 77
fi
export PYTHONDONTWRITEBYTECODE=1
"$python" "$source_tree/tests/pytorch.py" "$build_tree/libconvnet.so"
"$python" "$source_tree/tests/pytorch_network.py" "$build_tree/libconvnet.so"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$python" "$source_tree/tests/pytorch_weights.py" "$build_tree/convnet" "$work"
"$python" "$source_tree/tests/pytorch_onnx.py" "$build_tree/libconvnet.so" "$work"
