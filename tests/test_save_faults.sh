#!/usr/bin/env bash
# Saving while the system fails: each call that a save makes gets an error, or is where the process
# is killed. Whoever looks finds the old model or the new one, whole, and an error where it failed.
#
#   test_save_faults.sh SOURCE_DIR BUILD_DIR
#
# Skipped where there is no strace that may trace.
set -u

convnet=$(cd "$2" && pwd)/convnet
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
export TMPDIR=$work/rescue
mkdir rescue folder

if ! strace -o /dev/null -e inject=fsync:error=EIO true 2>/dev/null; then
    echo "skipped: no strace here that can inject errors"
    exit 77
fi

failures=0
fail() {
    echo "FAILED: $*" >&2
    failures=$((failures + 1))
}

train() { "$@" "$convnet" train --epochs 1 --quiet --threads 1 --seed "$seed" --out folder/a.safetensors; }
file() { cksum <folder/a.safetensors; }
quietly() { "$@" >out.txt 2>err.txt; }

# Leak checkers trace their own process, which can be done once at a time.
export ASAN_OPTIONS=${ASAN_OPTIONS-}:detect_leaks=0

seed=2
quietly train env || fail "training without faults"
new=$(file)
seed=1
quietly train env || fail "training without faults"
old=$(file)
[ "$old" != "$new" ] || fail "two seeds give one model"
cp folder/a.safetensors kept.safetensors
seed=2

# An error: exit status 1, the file named, the old model there, nothing beside it. After a rename
# the new model is there.
for fault in fsync:error=EIO:when=1 fsync:error=ENOSPC:when=1 rename:error=EACCES:when=1 \
    write:error=ENOSPC:when=1 write:error=EIO:when=2 write:error=EDQUOT:when=3 \
    fsync:error=EIO:when=2; do
    cp kept.safetensors folder/a.safetensors
    quietly train strace -f -o /dev/null -e "trace=${fault%%:*}" -e "inject=$fault"
    [ $? = 1 ] || fail "$fault: exit status $?, expected 1"
    grep -q "folder/a.safetensors: .*ca" err.txt || fail "$fault: said $(cat err.txt)"
    expected=$old
    [ $fault = fsync:error=EIO:when=2 ] && expected=$new
    [ "$(file)" = "$expected" ] || fail "$fault: another model"
    [ "$(ls folder)" = a.safetensors ] || fail "$fault: left $(ls folder)"
    grep -q "instead" err.txt || fail "$fault: the model is lost: $(cat err.txt)"
done

# Interrupted and partial calls are no errors.
cp kept.safetensors folder/a.safetensors
quietly train strace -f -o /dev/null -e trace=write -e inject=write:error=EINTR:when=2 ||
    fail "EINTR: $(cat err.txt)"
[ "$(file)" = "$new" ] || fail "EINTR: another model"

# Killed: the old model or the new one, and what is left beside it goes with the next save.
for fault in fsync:signal=KILL:when=2 write:signal=KILL:when=2 fsync:signal=KILL:when=1 \
    rename:signal=KILL:when=1; do
    cp kept.safetensors folder/a.safetensors
    quietly train strace -f -o /dev/null -e "trace=${fault%%:*}" -e "inject=$fault"
    [ $? -gt 128 ] || fail "$fault: exit status $?"
    now=$(file)
    [ "$now" = "$old" ] || [ "$now" = "$new" ] || fail "$fault: another model"
done
[ "$(ls folder)" != a.safetensors ] || fail "no kill left a temporary file"
quietly train env || fail "training after kills: $(cat err.txt)"
[ "$(ls folder)" = a.safetensors ] || fail "left after the next save: $(ls folder)"

[ "$failures" = 0 ]
