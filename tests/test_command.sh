#!/usr/bin/env bash
# The command as its users meet it: texts, exit statuses, files, signals.
#
#   test_command.sh SOURCE_DIR BUILD_DIR
#
# The expected texts of --help lie in tests/cli/; with UPDATE=1 they are written anew.
set -u

source_dir=$(cd "$1" && pwd)
convnet=$(cd "$2" && pwd)/convnet
golden=$source_dir/tests/cli
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
unset OMP_NUM_THREADS CONVNET_ISA
export LC_ALL=C

failures=0
fail() {
    echo "FAILED: $*" >&2
    failures=$((failures + 1))
}

# run ARGUMENT...: out, err and status are what the command left.
run() {
    "$convnet" "$@" >out.txt 2>err.txt </dev/null
    status=$?
    out=$(cat out.txt)
    err=$(cat err.txt)
    last="convnet $*"
}

expect_status() { [ "$status" = "$1" ] || fail "$last: exit status $status, expected $1: $err"; }
expect_out() { [ "$out" = "$1" ] || fail "$last: printed \"$out\", expected \"$1\""; }
expect_err() { [ "$err" = "$1" ] || fail "$last: said \"$err\", expected \"$1\""; }
expect_err_has() { [[ $err == *"$1"* ]] || fail "$last: said \"$err\", expected \"$1\" in it"; }
expect_out_has() { [[ $out == *"$1"* ]] || fail "$last: printed \"$out\", expected \"$1\" in it"; }

# Exactly this error, nothing on standard output, exit status 2.
wrong_usage() {
    local expected=$1
    shift
    run "$@"
    expect_status 2
    expect_out ""
    expect_err "$expected"
}

# fails TEXT ARGUMENT...: exit status 1, nothing on standard output, TEXT in the error.
fails() {
    local expected=$1
    shift
    run "$@"
    expect_status 1
    expect_out ""
    expect_err_has "$expected"
}

# json KEY <<<LINE: the value of a key that stands once in the line.
json() { sed -n "s/.*\"$1\":\(\"[^\"]*\"\|[^,}]*\).*/\1/p"; }
expect_keys() {
    local line=$1 key
    shift
    [[ $line == "{"*"}" ]] || fail "$last: \"$line\" is not one JSON object"
    for key in "$@"; do
        [[ $line == *"\"$key\":"* ]] || fail "$last: no key $key in $line"
    done
}

# ---- help, version, wrong usage

help_texts() {
    local name
    for name in help train evaluate predict run convert summary gradcheck augment check explain report; do
        if [ $name = help ]; then run help; else run $name --help; fi
        expect_status 0
        expect_err ""
        if [ "${UPDATE:-}" = 1 ]; then cp out.txt "$golden/$name.txt"; fi
        cmp -s out.txt "$golden/$name.txt" || fail "$last: $(diff "$golden/$name.txt" out.txt)"
        [ "$(wc -L <out.txt)" -le 100 ] || fail "$last: a line is longer than 100 columns"
        if [ $name != help ]; then
            run help $name
            cmp -s out.txt "$golden/$name.txt" || fail "$last differs from $name --help"
        fi
    done
    run --help
    cmp -s out.txt "$golden/help.txt" || fail "$last differs from help"
    run --version
    expect_status 0
    local version
    version=$(sed -n 's/#define CN_VERSION_[A-Z]* *//p' "$source_dir/include/convnet.h" |
        paste -sd.)
    expect_out_has "convnet $version ("
}

usage_errors() {
    run
    expect_status 2
    expect_out ""
    expect_err_has "Usage: convnet SUBCOMMAND"
    wrong_usage 'convnet: there is no subcommand "trian"; did you mean train?' trian
    wrong_usage 'convnet: there is no subcommand "xyzzy"; convnet help lists them' xyzzy
    CONVNET_ISA=xyzzy "$convnet" --version >out.txt 2>err.txt && fail "CONVNET_ISA=xyzzy is taken"
    grep -q 'CONVNET_ISA is "xyzzy", expected scalar' err.txt || fail "CONVNET_ISA=xyzzy: $(cat err.txt)"
    wrong_usage 'convnet: there is no subcommand "tarin"; did you mean train?' help tarin
    wrong_usage 'convnet train: --epochs wants a whole number from 1 to 1000000, not "five"' \
        train --epochs five
    local text
    for text in 0 -1 1.5 1e3 " 5" 5x "" 99999999999999999999 1000001; do
        wrong_usage "convnet train: --epochs wants a whole number from 1 to 1000000, not \"$text\"" \
            train --epochs "$text"
    done
    wrong_usage 'convnet train: --batch-size wants a whole number from 1 to 1000000, not "-3"' \
        train --batch-size=-3
    wrong_usage 'convnet train: --learning-rate wants a number from 1e-12 to 1e+06, not "nan"' \
        train --learning-rate nan
    wrong_usage 'convnet train: --learning-rate wants a number from 1e-12 to 1e+06, not "-0.1"' \
        train --learning-rate -0.1
    wrong_usage 'convnet train: --validation-split wants a number from 0 to 0.9, not "1"' train --validation-split 1
    wrong_usage 'convnet train: --seed wants a whole number from 0 to 18446744073709551615, not "-1"' \
        train --seed -1
    wrong_usage 'convnet train: --threads wants a whole number from 1 to 1024, not "0"' \
        train --threads 0
    wrong_usage 'convnet train: --optimizer wants one of adam, sgd, adamw, rmsprop, not "adamax"' \
        train --optimizer adamax
    wrong_usage 'convnet train: --momentum wants a number from 0 to 0.999999, not "1"' \
        train --momentum 1
    wrong_usage 'convnet train: there is no option --epoch; did you mean --epochs?' train --epoch 5
    wrong_usage 'convnet predict: --seed changes nothing here; convnet predict --help tells more' \
        predict a.safetensors --seed 1 a.pgm
    wrong_usage 'convnet gradcheck: --threads changes nothing here; convnet gradcheck --help tells more' \
        gradcheck --threads=2
    wrong_usage 'convnet train: there is no option --opt; did you mean --optimizer?' train --opt=sgd
    wrong_usage 'convnet train: there is no option --xyzzy; convnet train --help tells more' \
        train --xyzzy
    wrong_usage 'convnet train: there is no option -x; convnet train --help tells more' train -x
    wrong_usage 'convnet train: --out wants a value; convnet train --help tells more' train --out
    wrong_usage 'convnet train: --json takes no value; convnet train --help tells more' \
        train --json=1
    wrong_usage 'convnet train: what is "digits" for?; convnet train --help tells more' train digits
    wrong_usage 'convnet evaluate: FILE is missing; convnet evaluate --help tells more' evaluate
    wrong_usage 'convnet predict: FILE IMAGE|FOLDER... is missing; convnet predict --help tells more' \
        predict model.safetensors
    wrong_usage 'convnet summary: --shape wants rows x columns x channels, as in 28x28x1, not "28"' \
        summary lenet5 --shape 28
    wrong_usage 'convnet summary: --shape wants rows x columns x channels, as in 28x28x1, not "0x1x1"' \
        summary lenet5 --shape 0x1x1
}

# ---- summary and gradcheck

summaries() {
    run summary lenet5
    expect_status 0
    expect_err ""
    expect_out_has "conv2d_1"
    expect_out_has "61,706"
    run summary lenet5 --json
    expect_status 0
    expect_keys "$out" parameters multiply_adds layers memory_running memory_training
    [[ $out == '{"parameters":61706,"buffers":0,"multiply_adds":416520,'* ]] || fail "$last: $out"
    run summary signs --json
    [[ $out == '{"parameters":1310,'* ]] || fail "$last: $out"
    run summary "conv 8 3x3 same, relu, maxpool 2, dense 10" --shape 32x32x3 --json
    [[ $out == '{"parameters":20714,'* ]] || fail "$last: $out"
    run summary happy --json
    [[ $out == '{"parameters":37569,"buffers":64,'* ]] || fail "$last: $out"
    run summary "conv 4 3x3 same, batchnorm, relu, dense 3"
    expect_out_has "buffers"
    # No weights are made: these would be 40 GB.
    run summary "dense 100000, dense 100000" --shape 8x8x1 --batch-size 1
    expect_status 0
    expect_out_has "10,006,600,000"
    fails "kernel" summary "conv 8 9x9, dense 2" --shape 4x4
    fails "lenet6" summary lenet6
    fails "nowhere.safetensors" summary nowhere.safetensors
    fails "" summary "dense 1000000, dense 1000000" --shape 1000000x1000000x1000
    "$convnet" summary lenet5 2>err.txt | head -1 >out.txt
    [ "${PIPESTATUS[0]}" = 0 ] || fail "summary | head: exit status"
    [ ! -s err.txt ] || fail "summary | head is not quiet: $(cat err.txt)"
    "$convnet" summary lenet5 >/dev/full 2>err.txt
    status=$?
    err=$(cat err.txt)
    last="convnet summary lenet5 >/dev/full"
    expect_status 1
    expect_err "convnet summary: writing to standard output failed: No space left on device"
}

gradients() {
    run gradcheck --samples 8
    expect_status 0
    expect_out_has "conv2d_1.weight"
    expect_out_has "input"
    [[ $out != *WRONG* ]] || fail "$last: $out"
    run gradcheck --model "dense 3" --shape 2x2x1 --json
    expect_status 0
    expect_keys "$(head -1 out.txt)" name checked twin_error engine_error ok
}

# ---- what is trained on is what is predicted from

# stripes FOLDER COUNT WIDTH: images of 32 x 96 with stripes as wide, each image shifted otherwise.
stripes() {
    mkdir -p "$1"
    for ((image = 0; image < $2; image++)); do
        awk -v n="$image" -v width="$3" 'BEGIN {
            print "P2 96 32 255"
            for (i = 0; i < 96 * 32; i++)
                print (int((i % 96 + n * 7 % 36) / width) % 2 ? 200 : 50) + (i * 31 + n * 17) % 30
        }' >"$1/$image.pgm"
    done
}

# Squeezed to a square, coarse stripes are as wide as fine ones are in the middle of an image.
for part in train:60 test:20; do
    stripes "stripes/${part%:*}/fine" "${part#*:}" 6
    stripes "stripes/${part%:*}/coarse" "${part#*:}" 18
done
run train --data stripes,size=32x32 --epochs 6 --seed 1 --out stripes.safetensors
expect_status 0
expect_out_has "(40 of 40)"
expect_err_has "stripes: 120 of 120 images with other proportions than 32 x 32, cropped around the center"
run evaluate stripes.safetensors --data stripes # the size is the model's
expect_out_has "(40 of 40)"
for class in fine coarse; do
    run predict stripes.safetensors stripes/test/$class/*.pgm --json
    [ "$(grep -c "pgm\",\"class\":\"$class\"" out.txt)" = 20 ] ||
        fail "predict reads fewer than 20 of 20 images of $class stripes"
done
run summary stripes.safetensors
expect_out_has "images  cropped around the center, over white, values of 0 to 1"
run summary stripes.safetensors --json
expect_out_has '"images":{"fit":"crop","background":"white","bits":8,"range":[0.0,1.0]}'
run train --data stripes,size=32x32,fit=stretch,background=black --epochs 1 --out squeezed.safetensors
expect_status 0
run summary squeezed.safetensors
expect_out_has "images  stretched, over black, values of 0 to 1"
fails 'folder: option "fit=pad", expected one of size=HEIGHTxWIDTH' train --data stripes,fit=pad

# ---- training, evaluating, predicting

training() {
    run train --seed 1 --out a.safetensors --json
    expect_status 0
    expect_err_has "Data   digits: 1,295 images to train on, 143 to validate, 359 to test"
    [ "$(wc -l <out.txt)" = 22 ] || fail "$last: $(wc -l <out.txt) lines, expected 22"
    [[ $(head -1 out.txt) == '{"event":"data","task":"classification","layout":"digits","train":1295,'\
'"valid":143,"test":359,"shape":[8,8,1],"classes":10,"skipped":0,"shared":0}' ]] || fail "$last: first line"
    expect_keys "$(sed -n 2p out.txt)" event epoch train_loss train_accuracy valid_loss \
        valid_accuracy images_per_second wait_seconds seconds
    [[ $(sed -n 2p out.txt) == '{"event":"epoch","epoch":1,'* ]] || fail "$last: second line"
    done_line=$(tail -1 out.txt)
    expect_keys "$done_line" event test_accuracy seconds images_per_second model
    [[ $done_line == '{"event":"done",'*'"model":"a.safetensors"}' ]] || fail "$last: $done_line"
    accuracy=$(json test_accuracy <<<"$done_line")
    awk "BEGIN { exit !($accuracy > 0.97) }" || fail "$last: test accuracy $accuracy"

    run evaluate a.safetensors --json
    expect_status 0
    expect_keys "$out" test_accuracy test_loss recall confusion
    [ "$(json test_accuracy <<<"$out")" = "$accuracy" ] || fail "$last: not $accuracy: $out"
    run evaluate a.safetensors
    expect_status 0
    expect_out_has "Test accuracy"
    [ "$(wc -l <out.txt)" = 14 ] || fail "$last: $out"
    run evaluate a.safetensors --split train
    expect_out_has "Train accuracy"
    expect_out_has "of 1,438)"
    run evaluate a.safetensors --split train --json
    expect_keys "$out" train_accuracy train_loss

    # Lines in a pipe: one an epoch, without escapes.
    run train --epochs 3 --out b.safetensors
    expect_status 0
    [ "$(grep -c '^epoch [123]/3  loss ' err.txt)" = 3 ] || fail "$last: $err"
    ! grep -q $'[\r\033]' err.txt || fail "$last: escapes in a pipe"
    expect_out_has "the model is in b.safetensors"
    run train --epochs 1 --quiet --validation-split 0 --json --out b.safetensors
    expect_err ""
    expect_out_has '"valid_accuracy":null'
}

same_bytes() {
    local threads memory
    for threads in 1 2 3; do
        run train --epochs 2 --seed 7 --threads $threads --quiet --out t$threads.safetensors
        expect_status 0
    done
    cmp -s t1.safetensors t2.safetensors || fail "1 and 2 threads write different files"
    cmp -s t1.safetensors t3.safetensors || fail "1 and 3 threads write different files"
    run train --epochs 2 --seed 8 --threads 1 --quiet --out t4.safetensors
    ! cmp -s t1.safetensors t4.safetensors || fail "the seed changes nothing"
    # Images and training within so much memory, and in less than the training takes.
    for memory in 5M 2M; do
        run train --epochs 2 --seed 7 --memory $memory --out t$memory.safetensors
        expect_status 0
        cmp -s t1.safetensors t$memory.safetensors || fail "--memory $memory writes a different file"
        [ $memory = 5M ] || expect_err_has "the training takes 4 MB beside its images, more than --memory has for it, 2 MB; with --batch-size "
        [ $memory = 2M ] || [[ $err != *"--memory"* ]] || fail "$last: $err"
    done
}

# What a training may be told beside its length: it learns, and says what it has done.
recipes() {
    run train --epochs 200 --patience 3 --learning-rate 0.01 --seed 1 --out stop.safetensors
    expect_status 0
    expect_out_has "Ended after epoch "
    expect_out_has "no better validation in 3 epochs"
    expect_out_has "Kept the weights of epoch "
    run train --epochs 6 --optimizer sgd --nesterov --weight-decay 5e-4 --schedule one-cycle \
        --accumulate 2 --batch-size 32 --clip-norm 5 --label-smoothing 0.1 --class-weights balanced \
        --average lookahead --keep best-accuracy --warmup 0.5 --freeze "*_1.bias" --json \
        --out recipe.safetensors --checkpoint recipe.checkpoint
    expect_status 0
    expect_err_has "sgd, rate 0.05, one-cycle"
    expect_keys "$(tail -1 out.txt)" event epochs best_epoch test_accuracy
    accuracy=$(json test_accuracy <<<"$(tail -1 out.txt)")
    awk "BEGIN { exit !($accuracy > 0.9) }" || fail "$last: test accuracy $accuracy"
    run train --resume recipe.checkpoint --out again.safetensors --quiet
    expect_status 0
    cmp -s recipe.safetensors again.safetensors || fail "$last: another model than before"
}

# Writes digit.pgm: what the model trained above has seen of a 7 or so does not matter here.
images() {
    printf 'P2 8 8 16\n%s\n' "0 0 7 8 13 16 15 1 0 0 7 7 4 11 12 0 0 0 0 0 8 13 1 0 0 4 8 8 15 15 6 0
        0 2 11 15 15 4 0 0 0 0 0 16 5 0 0 0 0 0 9 15 1 0 0 0 0 0 13 5 0 0 0 0" >seven.pgm
    mkdir folder.png
    run predict a.safetensors seven.pgm
    expect_status 0
    [[ $out == $'seven.pgm\n  7 '* ]] || fail "$last: $out"
    seven=$out
    run predict a.safetensors <(cat seven.pgm) # a pipe is read once
    expect_status 0
    [[ ${out#*$'\n'} == "${seven#*$'\n'}" ]] || fail "$last: $out"
    run predict a.safetensors seven.pgm --top 2 --json
    expect_status 0
    expect_keys "$out" file class probability top
    [[ $out == '{"file":"seven.pgm","class":"7","probability":'* ]] || fail "$last: $out"
    run predict a.safetensors folder.png missing.png seven.pgm a.safetensors --json
    expect_status 1
    [ "$(wc -l <out.txt)" = 1 ] || fail "$last: $out"
    expect_err_has "folder.png"
    expect_err_has "missing.png"
    expect_err_has "a.safetensors"
    fails "nothing.safetensors" predict nothing.safetensors seven.pgm
}

continuing() {
    cp a.safetensors c.safetensors
    run train --model c.safetensors --epochs 1 --learning-rate 0.00001 --json
    expect_status 0
    [[ $(tail -1 out.txt) == *'"model":"c.safetensors"}' ]] || fail "$last: $out"
    awk "BEGIN { exit !($(json train_accuracy <<<"$(sed -n 2p out.txt)") > 0.97) }" ||
        fail "$last: begins anew: $out"
    run train --model "dense 10" --epochs 1 --quiet
    expect_status 0
    [ -f model.safetensors ] || fail "$last: no model.safetensors"
}

# Four images of 2 x 2: label 1 where the left column is bright.
other_data() {
    mkdir tiny
    local set pixel
    for set in train t10k; do
        printf '\0\0\10\3\0\0\0\4\0\0\0\2\0\0\0\2\377\0\377\0\0\377\0\377\360\1\360\0\0\360\0\350' \
            >tiny/$set-images-idx3-ubyte
        printf '\0\0\10\1\0\0\0\4\1\0\1\0' >tiny/$set-labels-idx1-ubyte
    done
    mkdir wide # the same of 8 x 8, dark but for the corner
    for set in train t10k; do
        {
            printf '\0\0\10\3\0\0\0\4\0\0\0\10\0\0\0\10'
            for pixel in '\377' '\0' '\377' '\0'; do
                # shellcheck disable=SC2059 # escapes are what is wanted
                printf "$pixel"
                head -c 63 /dev/zero
            done
        } >wide/$set-images-idx3-ubyte
        cp tiny/$set-labels-idx1-ubyte wide
    done
    run train --data idx:tiny --epochs 60 --batch-size 2 --validation-split 0.25 --quiet --json
    expect_status 0
    [[ $(tail -1 out.txt) == '{"event":"done","test_accuracy":1.0,'*'"model.safetensors"}' ]] ||
        fail "$last: $out"
    run evaluate model.safetensors --data tiny
    expect_status 0
    expect_out_has "100.00 % (4 of 4)"
    fails "a.safetensors on idx:tiny: evaluate: the model takes images of (8, 8, 1), the data has (2, 2, 1)" \
        evaluate a.safetensors --data idx:tiny
    fails "the model takes images of (8, 8, 1), the data has (2, 2, 1)" \
        train --model a.safetensors --data idx:tiny --validation-split 0 --quiet
    fails "has 5 outputs, the data 2 classes" train --data idx:tiny --validation-split 0 --model "dense 5" --quiet
    fails "idx:tiny: --validation-split 0.1 of 4 images would hold out none; --validation-split 0 trains on all of them" \
        train --data idx:tiny --validation-split 0.1
    run train --data idx:tiny --epochs 1
    expect_status 0
    expect_err_has "convnet train: too few images to hold any out for validation
Data   idx:tiny: 4 images to train on, 0 to validate, 4 to test; 2 x 2 x 1, 2 classes"
}

# gray FILE VALUE: an image of 2 x 2.
gray() {
    mkdir -p "$(dirname "$1")"
    printf 'P2 2 2 255 %d %d %d %d\n' "$2" "$2" "$2" "$2" >"$1"
}

# Sets without parts are measured whole; a validation set that is there is used; the rest is said.
parts_of_a_set() {
    local i
    for i in 0 1 2 3 4 5 6 7; do
        gray whole/dark/$i.pgm "$i"
        gray whole/light/$i.pgm $((200 + i))
    done
    touch whole/dark/a.avif whole/dark/b.avif whole/light/c.heic
    run train --data whole --epochs 1 --model "dense classes" --out whole.safetensors
    expect_status 0
    expect_err_has "Data   whole: 12 images to train on, 1 to validate, 3 to test; 2 x 2 x 1 (the median size), 2 classes"
    [ "$(grep -c "passed over 2 .avif, 1 .heic" err.txt)" = 1 ] || fail "$last: not said once: $err"
    run evaluate whole.safetensors --data whole --json
    expect_status 0
    expect_out_has '"count":16,'
    expect_err_has "no images set apart for testing: the figures are of all 16"
    run evaluate whole.safetensors --data whole --split test --json
    expect_out_has '"count":3,'
    fails "whole: no images to validate on" evaluate whole.safetensors --data whole --split valid
    mkdir -p parts/train parts/Val parts/test
    cp -r whole/* parts/train
    mkdir parts/Val/dark parts/test/light
    cp whole/dark/[0-2].pgm parts/Val/dark
    cp whole/light/0.pgm parts/test/light
    run train --data parts --epochs 1 --model "dense classes" --out parts.safetensors
    expect_status 0
    expect_err_has "Data   parts: 16 images to train on, 3 to validate, 1 to test;"
    expect_err_has "4 images to test or validate on have the bytes of one to train on: the first, parts/test/light/0.pgm is"
    run train --data parts --epochs 1 --model "dense classes" --out parts.safetensors --json
    [[ $out == *'"skipped":0,"shared":4}'* ]] || fail "$last: $out"
    run train --data parts --epochs 1 --model "dense classes" --out parts.safetensors --validation-split 0.25
    expect_err_has "Data   parts: 12 images to train on, 4 to validate, 1 to test;"
    run evaluate parts.safetensors --data parts --split valid --json
    [[ $out == *'"valid_accuracy":'*'"count":3,'*'"light":null}'* ]] || fail "$last: $out"
    run evaluate parts.safetensors --data parts --split all --json
    [[ $out == *'"all_accuracy":'*'"count":20,'* ]] || fail "$last: $out"
    run evaluate parts.safetensors --data parts
    grep -q '^dark  *0        -  ' out.txt || fail "$last: $out"
    gray one/a/1.pgm 7
    fails "one: --validation-split 0.5 of 1 image would hold out none" train --data one \
        --validation-split 0.5
    run train --data one --epochs 1 --model "dense classes, softmax" --out one.safetensors
    expect_err_has "Data   one: 1 image to train on, 0 to validate, 1 to test; 2 x 2 x 1, 1 class"
}

# A model knows its classes by their names, whatever their order and number in the data.
classes_by_name() {
    local i
    for i in 0 1 2 3 4 5; do
        gray animals/cat/$i.pgm "$i"
        gray animals/dog/$i.pgm $((120 + i))
        gray animals/eel/$i.pgm $((250 + i))
    done
    run train --data animals --epochs 80 --batch 4 --rate 0.05 --model "dense 16, relu, dense classes" \
        --out animals.safetensors --quiet
    run evaluate animals.safetensors --data animals --json
    [[ $out == *'"count":18,"correct":18,'* ]] || fail "$last: $out"
    mkdir some shifted others
    cp -r animals/dog animals/eel some
    cp -r animals/dog animals/eel shifted
    cp -r animals/cat shifted/fox
    cp -r animals/cat others/ant
    cp -r animals/dog others/bee
    cp -r animals/eel others/cow
    run evaluate animals.safetensors --data some --json --quiet
    [[ $out == *'"count":12,"correct":12,'*'"recall":{"cat":null,"dog":1.0,"eel":1.0}'* ]] || fail "$last: $out"
    run evaluate animals.safetensors --data shifted --json
    [[ $out == *'"count":18,"correct":12,'*'"fox":0.0}'* ]] || fail "$last: $out"
    expect_err_has "the model does not have the class fox: 6 images count as wrong"
    fails "the model's classes are cat, dog, eel; none of them is in the data, which has ant, bee, cow" \
        evaluate animals.safetensors --data others
    # A training that goes on, too.
    run train --data some --model animals.safetensors --epochs 1 --out some.safetensors --quiet
    expect_status 0
    run evaluate some.safetensors --data animals --json --quiet
    [[ $out == *'"count":18,"correct":18,'* ]] || fail "$last: $out"
    fails "animals.safetensors does not have the class fox; --from FILE begins with its weights" \
        train --data shifted --model animals.safetensors --quiet
    run train --data animals --epochs 1 --checkpoint animals.checkpoint --model "dense classes" \
        --out short.safetensors --quiet
    fails "animals.checkpoint does not have the class fox" train --resume animals.checkpoint \
        --data shifted --quiet
    run train --from animals.safetensors --data others --epochs 1 --out others.safetensors
    expect_status 0
    expect_err_has "Head   the last layer of weights is new: the classes are others"
    expect_err_has "From   animals.safetensors: 2 of 4 parameter tensors; begins anew: dense_2"
    run train --from animals.safetensors --data animals --epochs 1 --out others.safetensors
    expect_err_has "From   animals.safetensors: 4 of 4 parameter tensors"
}

# A damaged image ends it, unless it is to be skipped; names in tables stay on their line.
damaged_images_and_names() {
    local i
    for i in 0 1 2 3 4 5 6; do
        gray damaged/$'new\nline'/$i.pgm "$i"
        gray damaged/$'\303\251t\303\251'/$i.pgm $((200 + i))
    done
    echo nothing >damaged/$'new\nline'/3.pgm
    fails "3.pgm: byte 0: expected" train --data damaged --epochs 1 --quiet
    run train --data damaged --epochs 1 --skip-damaged --model "dense classes" --out damaged.safetensors
    expect_status 0
    expect_err_has "convnet train: skipped damaged/new\\nline/3.pgm: byte 0: expected"
    expect_err_has "convnet train: skipped 1 damaged image of 12"
    fails "3.pgm: byte 0: expected" evaluate damaged.safetensors --data damaged
    run evaluate damaged.safetensors --data damaged --skip-damaged
    expect_status 0
    expect_err_has "skipped 1 damaged image of 14"
    [ "$(wc -l <out.txt)" = 6 ] || fail "$last: not a line per class: $out"
    grep -q '^new\\nline  *6 ' out.txt || fail "$last: $out"
    grep -q $'^\303\251t\303\251        *7 ' out.txt || fail "$last: $out"
    run evaluate damaged.safetensors --data damaged --skip-damaged --json
    expect_out_has '"new\nline":'
    run predict damaged.safetensors damaged/*/3.pgm
    expect_status 1
    expect_err_has "3.pgm: byte 0: expected"
    run predict damaged.safetensors damaged/*/3.pgm --skip-damaged
    expect_status 0
    expect_out_has "  new\\nline  "
    expect_err_has "skipped 1 damaged image of 2"
}

# Names of 245 bytes and with blanks; a link that leads nowhere, as a file that has gone does not
# differ from; a folder that may not be read.
odd_names_and_files() {
    local i long
    long=$(printf 'n%.0s' {1..245})
    for i in 0 1 2 3 4 5 6; do
        gray odd/"$long"/$i.pgm "$i"
        gray odd/"a b"/$i.pgm $((200 + i))
    done
    mv odd/"$long"/1.pgm odd/"$long/$long.pgm"
    run train --data odd --epochs 1 --model "dense classes" --out odd.safetensors
    expect_status 0
    run predict odd.safetensors odd/"$long/$long.pgm"
    expect_out_has "  $long"
    echo nothing >odd/"$long"/3.pgm
    fails "nnn/3.pgm: byte 0: expected" train --data odd --epochs 1 --quiet
    rm odd/"$long"/3.pgm
    gray names/$'line\nfeed'/$'1\n2'.pgm 1
    gray names/'Größe ß'/'ä, "x".pgm' 200
    run train --data names --epochs 1 --model "dense classes" --out names.safetensors
    expect_status 0
    run predict names.safetensors names/*/* --out names.csv
    expect_status 0
    grep -q '^"names/Größe ß/ä, ""x"".pgm",' names.csv || fail "$last: $(cat names.csv)"
    [ "$(grep -c '^names/line$\|^2.pgm"' names.csv)" -le 2 ] || fail "$last: $(cat names.csv)"
    rm -r names/line*
    fails "fit: the data have one class, Größe ß: expected two or more" train --data names --epochs 1 \
        --model "dense classes" --quiet
    ln -s nowhere odd/"a b"/9.pgm
    fails "odd/a b/9.pgm: cannot be opened: No such file or directory" train --data odd --epochs 1 --quiet
    run train --data odd --epochs 1 --skip-damaged --model "dense classes" --out odd.safetensors
    expect_status 0
    expect_err_has "skipped 1 damaged image of"
    rm odd/"a b"/9.pgm
    if [ "$(id -u)" = 0 ]; then return; fi # who may read everything
    chmod 000 odd/"a b"
    fails "odd/a b: Permission denied" train --data odd --epochs 1 --quiet
    chmod 755 odd/"a b"
}

# Two classes of the ten digits' network: the head is new, the rest is not.
another_head() {
    run train --data idx:tiny --from model.safetensors --epochs 1 --validation-split 0 --out again.safetensors
    expect_status 0
    expect_err_has "From   model.safetensors: 8 of 8 parameter tensors"
    run train --from a.safetensors --data idx:wide --epochs 1 --validation-split 0 --out two.safetensors
    expect_status 0
    expect_err_has "Head   the last layer of weights is new: 2 outputs in place of 10"
    expect_err_has "parameter tensors; begins anew: dense_2.weight, dense_2.bias"
    run evaluate two.safetensors --data idx:wide
    expect_status 0
    run train --from a.safetensors --model "conv 16 3x3 same, relu, dense classes" --epochs 1 \
        --out two.safetensors
    expect_status 0
    expect_err_has "begins anew: dense_1.weight, dense_1.bias"
    fails "no parameter of equal name and shape" train --from a.safetensors --model "dense classes"
    fails "nowhere.safetensors" train --from nowhere.safetensors
}

# ---- augmentation

# Reads "width height" of a P5 or P6 file.
size_of() {
    head -c 15 "$1" | sed -n 2p
}

augmenting() {
    run augment --augment "crop=2 rotate=20 cutout=3" --images 3 --epochs 4 --out sheet.pnm --json
    expect_status 0
    expect_keys "$out" file images epochs
    # 8 times as large, with frames of 4.
    [ "$(size_of sheet.pnm)" = "344 208" ] || fail "$last: a sheet of $(size_of sheet.pnm)"
    cp sheet.pnm other.pnm
    run augment --augment "crop=2 rotate=20 cutout=3" --images 3 --epochs 4 --out sheet.pnm
    cmp -s sheet.pnm other.pnm || fail "$last: another sheet the second time"
    run augment --augment "crop=2 rotate=20 cutout=3" --images 3 --epochs 4 --out sheet.pnm --seed 1
    ! cmp -s sheet.pnm other.pnm || fail "$last: the seed changes nothing"
    gray sheets/a/1.pgm 10
    echo nothing >sheets/a/2.pgm
    fails "2.pgm: byte 0: expected" augment --data sheets --augment flip --out sheet.pnm
    run augment --data sheets --augment flip --out sheet.pnm --skip-damaged
    expect_status 0
    expect_err_has "skipped 1 damaged image of 2"
    gray scene/images/1.pgm 10
    gray scene/masks/1.pgm 1
    run augment --data scene --augment flip --out sheet.pnm # whose label is a mask
    expect_status 0
    fails "expected crop=PIXELS, found \"crop=x\"" augment --augment crop=x
    fails "crop is 8, expected 0 to 7 for images of 8 x 8" augment --augment crop=8
    fails "sheet.gif: expected a name that ends in .png, .pnm or .pgm" augment --out sheet.gif
    fails "no/such/sheet.pnm" augment --out no/such/sheet.pnm
    fails "expected at most 30000 x 30000" augment --images 1000

    # What is seen in training does not depend on threads, and is another training.
    local words="crop=1 shift=0.5 rotate=10 scale=0.1 jitter=0.2 cutout=2 mixup=0.2 border=reflect"
    for threads in 1 2 3; do
        run train --epochs 2 --augment "$words" --threads $threads --quiet --out m$threads.safetensors
        expect_status 0
    done
    cmp -s m1.safetensors m2.safetensors || fail "1 and 2 threads augment differently"
    cmp -s m1.safetensors m3.safetensors || fail "1 and 3 threads augment differently"
    run train --epochs 2 --quiet --out m2.safetensors
    ! cmp -s m1.safetensors m2.safetensors || fail "--augment changes nothing"
    fails "expected one of flip, border" train --augment "zoom=2"

    run evaluate a.safetensors --tta shift --json
    expect_status 0
    local views=$out
    run evaluate a.safetensors --json
    [ "$(json test_loss <<<"$views")" != "$(json test_loss <<<"$out")" ] ||
        fail "--tta shift changes nothing"
    run train --epochs 1 --quiet --tta mirror --validation-seed 3 --out m3.safetensors
    expect_status 0
    run train --epochs 1 --quiet --out m1.safetensors
    ! cmp -s m1.safetensors m3.safetensors || fail "--validation-seed changes nothing"
}

# The largest difference of the probabilities in two lines of predict --json, class by class.
largest_difference() {
    paste <(grep -o '"class":"[^"]*","probability":[0-9.e-]*' "$1" | sort) \
        <(grep -o '"class":"[^"]*","probability":[0-9.e-]*' "$2" | sort) |
        sed 's/"class":"\([^"]*\)","probability":/\1 /g' |
        awk '{ if ($1 != $3) exit 1; d = $2 - $4; if (d < 0) d = -d; if (d > most) most = d; n++ }
             END { if (n < 10) exit 1; printf "%.9f\n", most }'
}

backends() {
    local most
    run train --epochs 1 --seed 7 --out cpu.safetensors
    expect_status 0
    run predict cpu.safetensors seven.pgm --top 10 --json
    expect_status 0
    cp out.txt cpu.json
    run predict cpu.safetensors seven.pgm --top 10 --json --backend reference
    expect_status 0
    most=$(largest_difference cpu.json out.txt) || fail "$last: other classes: $out"
    awk -v most="$most" 'BEGIN { exit !(most <= 1e-5) }' || fail "$last: off by $most"
    cmp -s cpu.json out.txt && fail "$last: the very digits of the CPU: did it run?"
    run evaluate cpu.safetensors --backend reference
    expect_status 0
    expect_out_has "accuracy"
    run train --model "conv 2 3x3 stride 2, relu, dense classes" --epochs 1 --backend reference \
        --out reference.safetensors
    expect_status 0
    expect_out_has "Test accuracy"
    run train --model "conv 2 3x3 stride 2, relu, dense classes" --epochs 1 --out other.safetensors
    cmp -s reference.safetensors other.safetensors && fail "$last: the very bits of the CPU"
    fails 'no backend is called "gpu", expected cpu or reference' \
        predict cpu.safetensors seven.pgm --backend gpu
    fails "precision BF16 with the backend reference" \
        predict cpu.safetensors seven.pgm --backend reference --precision bf16
}

plans() {
    local net="conv 4 3x3 same, batchnorm, relu, dense 3"
    run summary "$net" --shape 8x8x2 --plan --batch-size 1
    expect_status 0
    expect_out_has "conv2d_1 + batch_norm_1 + relu_1: "
    expect_out_has " -> buffer 1 (1088 bytes at 0)"
    run summary "$net" --shape 8x8x2 --plan --training --batch-size 1
    expect_out_has "  batch_norm_1 + relu_1: batch_norm -> buffer"
    expect_out_has "loss + softmax_1: cross-entropy of logits"
    expect_out_has "optimizer 7.1 KiB, workspace"
    run summary "$net" --shape 8x8x2 --plan --training --batch-size 1 --optimizer sgd
    expect_out_has "optimizer 3.6 KiB, workspace"
    run summary "$net" --shape 8x8x2 --plan --batch-size 1 --json
    expect_status 0
    expect_keys "$(sed -n 2p out.txt)" pass layers method adds buffers buffer bytes offset
    [[ $(sed -n 2p out.txt) == *'"layers":["conv2d_1","batch_norm_1","relu_1"]'* ]] ||
        fail "$last: $out"
    run summary "$net" --shape 8x8x2 --plan --backend reference
    expect_out_has "relu_1: relu -> buffer 3"
    wrong_usage "convnet summary: --training wants --plan, too" summary lenet5 --training
    wrong_usage "convnet summary: --backend wants --plan, too" summary lenet5 --backend cpu
}

precisions() {
    local exact threads
    run evaluate a.safetensors --json
    exact=$out
    run evaluate a.safetensors --precision bf16 --json
    expect_status 0
    [ "$(json test_loss <<<"$exact")" != "$(json test_loss <<<"$out")" ] ||
        fail "$last: changes nothing"
    for threads in 1 2; do
        run train --epochs 1 --precision bf16 --threads $threads --quiet --out m$threads.safetensors
        expect_status 0
    done
    cmp -s m1.safetensors m2.safetensors || fail "1 and 2 threads train differently in bf16"
    run predict m1.safetensors seven.pgm --precision bf16
    expect_status 0
    run bench --layer lenet_14 --batch-size 1 --repeats 1 --precision bf16
    expect_status 0
    run bench "conv 2 3x3 same" --batch-size 2 --repeats 1 # a class per pixel
    expect_status 0
    expect_out_has "train  batch    2"
    wrong_usage 'convnet train: --precision wants one of f32, bf16, not "f16"' train --precision f16
}

# A few images per second are told with a decimal.
slow_networks() {
    gray slow/a/1.pgm 10
    gray slow/b/1.pgm 200
    run train --data folder:slow,size=64x64 --threads 1 --out slow.safetensors --epochs 1 \
        --model "conv 96 7x7 same, conv 96 7x7 same, maxpool 64, flatten, dense 2"
    expect_status 0
    [[ $err =~ "  "([0-9]\.[0-9]|[1-9][0-9]+)" images/s" ]] || fail "$last: $err"
}

# A terminal that shows UTF-8 gets the losses as a curve of blocks, from the highest at first.
on_a_terminal() {
    command -v script >/dev/null || return 0
    last="convnet train on a terminal"
    local shown
    for charset in UTF-8 ASCII; do
        shown=$(TERM=xterm LC_ALL=C.$charset \
            script -qec "$convnet train --epochs 3 --out terminal.safetensors" /dev/null </dev/null |
            tr '\r' '\n' | grep -a '^.*epoch 3/3 .* images/s' | tail -1)
        [[ $shown == *"accuracy"* ]] || fail "$last: no line of epoch 3: $shown"
        if [ $charset = UTF-8 ]; then
            [[ $shown == *"images/s  █"*"▁"* ]] || fail "$last: no curve: $shown"
        else
            [[ $shown != *"▁"* ]] || fail "$last, $charset: a curve: $shown"
        fi
    done
}

# The words of other tools, and those that stood here before, are options as well.
aliases() {
    run train --epochs 1 --learning-rate 0.01 --batch-size 32 --validation-split 0.2 \
        --validation-seed 3 --quiet --out m1.safetensors
    expect_status 0
    for rate in --lr --rate; do
        run train --epochs 1 $rate 0.01 --batch=32 --valid 0.2 --valid-seed 3 --quiet \
            --out m2.safetensors
        expect_status 0
        cmp -s m1.safetensors m2.safetensors || fail "$rate is not --learning-rate"
    done
    run help train
    [[ $out != *"--lr "* && $out != *"--batch "* ]] || fail "$last: lists an alias"
    wrong_usage "convnet train: there is no option --learning_rate; did you mean --learning-rate?" \
        train --learning_rate 0.1
    wrong_usage "convnet train: there is no option --dataset; did you mean --data?" train --dataset x
    wrong_usage "convnet train: there is no option --decay; did you mean --weight-decay?" \
        train --decay 0.1
    wrong_usage "convnet train: --learning-rate wants a number from 1e-12 to 1e+06, not \"1,5\"" \
        train --lr 1,5
}

# Options that would be taken and not used.
unused_options() {
    local option
    for option in "--momentum 0.5" --nesterov; do
        # shellcheck disable=SC2086 # an option and its value
        fails "${option%% *} goes with --optimizer sgd" train $option --quiet
    done
    fails "--rate-peak goes with --schedule one-cycle" train --rate-peak 0.3 --quiet
    fails "--rate-start goes with --schedule one-cycle" train --schedule step --milestones 3 \
        --rate-start 0.3 --quiet
    fails "--rate-end goes with --schedule cosine, polynomial, one-cycle or plateau" \
        train --schedule constant --rate-end 0 --quiet
    fails "--rate-power goes with --schedule polynomial" train --rate-power 1 --quiet
    fails "--rate-factor goes with --schedule step or plateau" train --rate-factor 0.1 --quiet
    fails "--plateau-patience goes with --schedule plateau" train --plateau 3 --quiet
    fails "--average-decay goes with --average ema or lookahead" train --average-decay 0.9 --quiet
    fails "--average-every goes with --average ema or lookahead" train --average-every 2 --quiet
    fails "--average-power goes with --average lookahead" train --average ema --average-power 1 \
        --quiet
    fails "--min-delta goes with --keep best, --patience or --schedule plateau" \
        train --min-delta 0.1 --quiet
    fails "--validation-seed goes with --validation-split above 0" \
        train --validation-seed 1 --validation-split 0 --quiet
    fails "--whiten goes with a network that is new" train --model a.safetensors --whiten x --quiet
    fails "--stretch-schedule goes with --resume" train --stretch-schedule --quiet
    fails "warm-up of 30 epochs, expected fewer than the training's 20" train --warmup 30 --quiet
    # What a recipe brings gives way to what stands beside it.
    run train --recipe mnist --data digits --model digits --epochs 1 --optimizer adam \
        --schedule cosine --learning-rate 0.01 --average none --quiet --out m1.safetensors
    expect_status 0
}

# A training that is over goes on: the epochs that were trained stay, and only what is asked for is
# stretched.
extending() {
    run train --epochs 2 --checkpoint e.ckpt --json --out e.safetensors --quiet
    expect_status 0
    local first=$out
    run train --resume e.ckpt --epochs 4 --json --out e.safetensors --quiet
    expect_status 0
    [ "$(grep -c '"event":"epoch"' <<<"$out")" = 2 ] || fail "$last: not two epochs"
    local kept
    kept=$(grep '"event":"epoch"' <<<"$out" | tail -1 | json learning_rate)
    [ "$(grep '"event":"epoch"' <<<"$first" | tail -1 | json learning_rate)" = "$kept" ] ||
        fail "$last: the schedule does not keep its last rate"
    run train --resume e.ckpt --epochs 6 --stretch-schedule --json --out e.safetensors --quiet
    expect_status 0
    [ "$(grep '"event":"epoch"' <<<"$out" | head -1 | json learning_rate)" != "$kept" ] ||
        fail "$last: the schedule is not stretched"
    fails "epochs: the training began with 6, found 3, expected as many or more" \
        train --resume e.ckpt --epochs 3 --quiet
    fails 'precision: the training began with "f32", found "bf16"' \
        train --resume e.ckpt --precision bf16 --quiet
}

# ---- what goes wrong

swapped_arguments() {
    run predict seven.pgm a.safetensors
    expect_status 2
    expect_err_has "seven.pgm is a PNM image, and a.safetensors the model: the model comes first"
}

wrong_files() {
    fails "nowhere" train --data mnist:nowhere
    fails "cifar" train --data cifar
    fails "missing.safetensors" evaluate missing.safetensors
    : >empty.safetensors
    fails "empty.safetensors" evaluate empty.safetensors
    head -c 1000 a.safetensors >short.safetensors
    fails "short.safetensors" evaluate short.safetensors
    fails "short.safetensors" train --model short.safetensors
    fails "no/such/folder" train --out no/such/folder/a.safetensors
    fails "not a regular file" train --out /dev/full
    fails "--out is empty" train --out ""
    ln -s nothing link
    fails "a link that leads nowhere" train --out link
    [ -c /dev/full ] || fail "/dev/full is gone"
    wrong_usage 'convnet train: --recipe wants cifar10, mnist or signs, not "elephants"' \
        train --recipe elephants --quiet
    fails "whiten: no layer is called elephant" train --whiten elephant --quiet
    run train --recipe signs --epochs 1 --batch-size 128 --seed 2 --quiet --out by_name.safetensors
    run train --model signs-fast --epochs 1 --batch-size 128 --optimizer sgd --nesterov --learning-rate 0.05 \
        --weight-decay 0.0005 --schedule one-cycle --label-smoothing 0.1 --validation-split 0 --quiet \
        --augment "rotate=15 shift=4 scale=0.15 jitter=0.2" --seed 2 --out by_hand.safetensors
    cmp -s by_name.safetensors by_hand.safetensors || fail "a recipe is not its options"
    fails "fit: every parameter is frozen" train --freeze "conv2d_*,*" --quiet
    fails "no parameter's name matches \"conv9*\"; the first is" train --freeze "conv9*" --quiet
    fails "--milestones wants up to 8 rising epochs, as in 30,60, not \"5,3\"" \
        train --schedule step --milestones 5,3 --quiet
    fails "--schedule step wants --milestones" train --schedule step --quiet
    fails "--milestones goes with --schedule step" train --milestones 5 --quiet
    fails "or 10 numbers of 0 or more between commas, not \"1,2\"" train --class-weights 1,2 --quiet
    fails "--nesterov goes with --optimizer sgd" train --nesterov --quiet
    fails "fit: early stopping needs a validation set" train --patience 2 --validation-split 0 --quiet
    fails "in epoch 1" train --learning-rate 1e6 --optimizer sgd --quiet --out d.safetensors
    [ ! -e d.safetensors ] || fail "a model that diverged was saved"
}

# A file may not grow: the old model stays, no other file is left, the error names the file.
no_space() {
    mkdir full
    cp a.safetensors full/a.safetensors
    (
        ulimit -f 1
        TMPDIR=$work/full "$convnet" train --epochs 1 --quiet --out full/a.safetensors \
            >/dev/null 2>full_err.txt
    )
    status=$?
    err=$(cat full_err.txt)
    last="convnet train (ulimit -f 1)"
    expect_status 1
    expect_err_has "full/a.safetensors"
    cmp -s a.safetensors full/a.safetensors || fail "$last: the old model is not what it was"
    [ "$(ls -A full)" = a.safetensors ] || fail "$last: left $(ls -A full)"
}

# SIGNAL STATUS: stops a long training after its first epoch, however long that takes. What is printed
# before it does not show that signals are caught yet.
interrupted() {
    rm -f stop.safetensors events.txt
    set -m # a shell without job control starts children that ignore SIGINT
    "$convnet" train --epochs 100000 --json --out stop.safetensors >events.txt 2>err.txt &
    local pid=$!
    set +m
    while ! grep -q '"event":"epoch"' events.txt 2>/dev/null && kill -0 $pid 2>/dev/null; do sleep 0.1; done
    kill -s "$1" $pid
    wait $pid
    status=$?
    err=$(cat err.txt)
    last="convnet train, then $1"
    expect_status "$2"
    expect_err_has "convnet train --data digits --model stop.safetensors"
    expect_keys "$(tail -1 events.txt)" event epoch step model
    [[ $(tail -1 events.txt) == '{"event":"stopped",'* ]] || fail "$last: $(tail -1 events.txt)"
    run evaluate stop.safetensors
    expect_status 0
}

# With the standard streams closed no message ends up in the model file.
closed_streams() {
    run train --epochs 1 --json --seed 3 --out open.safetensors
    "$convnet" train --epochs 1 --json --seed 3 --out closed.safetensors <&- >&- 2>&-
    [ $? = 1 ] || fail "train with closed streams: exit status"
    cmp -s open.safetensors closed.safetensors || fail "train with closed streams: another model"
}

# The reader of the results leaves: the training goes on and saves.
reader_leaves() {
    "$convnet" train --epochs 5 --json --out pipe.safetensors 2>err.txt | head -1 >out.txt
    [ "${PIPESTATUS[0]}" = 0 ] || fail "train | head -1: exit status"
    [ -s pipe.safetensors ] || fail "train | head -1: no model"
}

help_texts
usage_errors
summaries
gradients
training
recipes
same_bytes
images
continuing
other_data
parts_of_a_set
classes_by_name
damaged_images_and_names
odd_names_and_files
another_head
backends
plans
augmenting
precisions
slow_networks
on_a_terminal
aliases
unused_options
extending
swapped_arguments
wrong_files
no_space
interrupted INT 130
interrupted TERM 143
reader_leaves
closed_streams

[ $failures = 0 ] || { echo "$failures checks failed" >&2; exit 1; }
echo "all checks of the command passed"
