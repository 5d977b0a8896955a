#!/bin/sh
# Compares the shared library with PyTorch: see pytorch.py. Where the Python that CONVNET_PYTHON
# names (python3 if it names none) has no PyTorch, the test says so and is skipped.
#
#   test_pytorch.sh SOURCE-TREE BUILD-TREE
set -eu
source_tree=$1 build_tree=$2
python=${CONVNET_PYTHON:-python3}

if grep -q '^CMAKE_C_FLAGS:[A-Z]*=.*-fsanitize' "$build_tree/CMakeCache.txt"; then
    echo "skipped: Python cannot load a library built for a sanitizer"
    exit 77
fi
if ! command -v "$python" >/dev/null; then
    echo "skipped: no $python here"
    exit 77
fi
exec "$python" "$source_tree/tests/pytorch.py" "$build_tree/libconvnet.so"
