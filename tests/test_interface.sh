#!/bin/sh
# What python/interface.py makes of include/convnet.h is what the compiler makes of it: the size of
# every struct, the place of every member, the value of every constant, and the functions that the
# library has.
#
#   test_interface.sh SOURCE-TREE BUILD-TREE
set -eu
source_tree=$1 build_tree=$2

if ! command -v python3 >/dev/null; then
    echo "skipped: no python3"
    exit 77
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export PYTHONDONTWRITEBYTECODE=1 PYTHONPATH="$source_tree/python"
header=$source_tree/include/convnet.h

# assertions HEADER: a program in C that compiles where they hold.
assertions() {
    python3 - "$1" <<'END'
import ctypes
import sys

import interface

names = interface.namespace(sys.argv[1])
print('#include <stddef.h>\n#include "convnet.h"')
structs = 0
for name, value in names.items():
    if isinstance(value, int) and name.startswith("CN_"):
        print(f'_Static_assert({name} == {value}, "{name}");')
    if isinstance(value, type) and issubclass(value, ctypes.Structure) and name.startswith("cn_"):
        structs += 1
        print(f'_Static_assert(sizeof({name}) == {ctypes.sizeof(value)}, "{name}");')
        for field, *_ in value._fields_:
            offset = getattr(value, field).offset
            print(f'_Static_assert(offsetof({name}, {field}) == {offset}, "{name}.{field}");')
print(f"/* {structs} structs, {len(names['PROTOTYPES'])} functions */")
END
}
compiles() { "${CC:-cc}" -std=c11 -fsyntax-only -I "$source_tree/include" -xc "$1"; }

assertions "$header" >"$work/holds.c"
compiles "$work/holds.c"
tail -1 "$work/holds.c"
declared=$(grep -c '^typedef struct cn_[a-z0-9_]* {' "$header")
grep -q "/\* $declared structs," "$work/holds.c" || {
    echo "the header has $declared structs"
    exit 1
}

# A struct that grows, in a header that the compiler does not see, is noticed.
sed 's/^typedef struct cn_metrics {/&\n    double grown;/' "$header" >"$work/grown.h"
assertions "$work/grown.h" >"$work/fails.c"
if compiles "$work/fails.c" 2>"$work/errors"; then
    echo "a member more in cn_metrics went unnoticed"
    exit 1
fi
grep -q '"cn_metrics"' "$work/errors"

# A declaration of a form that is not known ends it, and is quoted.
sed 's/^typedef struct cn_metrics {/&\n    union { int a; float b; } either;/' "$header" >"$work/odd.h"
if python3 "$source_tree/python/interface.py" "$work/odd.h" "$work" 2>"$work/errors"; then
    echo "a union was read"
    exit 1
fi
grep -q 'not a member: "union { int a"' "$work/errors"

# Every function is there to be called.
if grep -q '^CMAKE_C_FLAGS:[A-Z]*=.*-fsanitize' "$build_tree/CMakeCache.txt"; then exit 0; fi
python3 - "$header" "$build_tree/libconvnet.so" <<'END'
import ctypes
import sys

import interface

names = interface.namespace(sys.argv[1])
library = names["declare"](ctypes.CDLL(sys.argv[2]))
assert library.cn_version().decode() == ".".join(
    str(names[f"CN_VERSION_{part}"]) for part in ("MAJOR", "MINOR", "PATCH"))
END
