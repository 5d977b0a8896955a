#!/usr/bin/env bash
# Segmentation as its users meet it: folders of images and masks, a training, figures, masks as files;
# and what `convnet predict` makes of a folder of images.
#
#   test_masks.sh SOURCE_DIR BUILD_DIR
set -u

convnet=$(cd "$2" && pwd)/convnet
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
export LC_ALL=C

failures=0
fail() {
    echo "FAILED: $*" >&2
    failures=$((failures + 1))
}
succeeds() { "$convnet" "$@" >out.txt 2>err.txt || fail "convnet $*: $(cat err.txt)"; }
# fails TEXT ARGUMENT...
fails() {
    local text=$1
    shift
    if "$convnet" "$@" >out.txt 2>err.txt; then fail "convnet $*: no error"; fi
    [[ $(cat err.txt) == *"$text"* ]] || fail "convnet $*: said \"$(cat err.txt)\", not \"$text\""
}
says() { [[ $(cat err.txt out.txt) == *"$1"* ]] || fail "\"$1\" is not in: $(cat err.txt out.txt)"; }
# figure NAME: of the JSON printed last.
figure() { sed -n "s/.*\"$1\":\\([0-9.e-]*\\).*/\\1/p" out.txt | tail -n 1; }

# gray FILE WIDTH HEIGHT VALUE...: binary, as netpbm has it.
gray() {
    local file=$1 width=$2 height=$3
    shift 3
    { printf 'P5 %d %d 255\n' "$width" "$height" && printf %b "$(printf '\\0%03o' "$@")"; } >"$file"
}

# Images of 8 x 8 whose left or right half, top or bottom half is bright; the mask says so.
scenes() {
    mkdir -p scenes/images scenes/masks
    local k i
    for k in $(seq 0 19); do
        local image=() mask=()
        for i in $(seq 0 63); do
            local side=(i%8/4 1-i%8/4 i/32 1-i/32)
            mask+=($((side[k % 4])))
            image+=($((40 + 150 * mask[i] + (i * 7 + k * 13) % 31)))
        done
        gray "scenes/images/$k.pgm" 8 8 "${image[@]}"
        gray "scenes/masks/$k.pgm" 8 8 "${mask[@]}"
    done
    printf 'ground\nfigure, bright\n' >scenes/classes.txt
}

trained() {
    succeeds train --data scenes --model "conv 4 3x3 same, batchnorm, relu, conv classes 1x1, softmax" \
        --epochs 30 --learning-rate 0.02 --seed 1 --out m.safetensors --json
    says '"event":"data"'
    says '"task":"segmentation"'
    says '"shape":[8,8,1],"classes":2,'
    [ "$(figure mean_iou)" = 1.0 ] || fail "mean IoU $(figure mean_iou)"
    succeeds evaluate m.safetensors --data scenes --json
    says '"iou":{"ground":1.0,"figure, bright":1.0}'
    says '"confusion":[[640,0],[0,640]]'
}

# A few images have pixels enough for a step; each shard has one.
batches() {
    succeeds train --data scenes --model "conv classes 1x1" --epochs 1 --out d.safetensors
    says "in batches of 4;"
    succeeds train --data scenes --model "conv classes 1x1" --epochs 1 --shards 6 --out d.safetensors
    says "in batches of 6, cut into 6 shards;"
    succeeds summary unet-small
    says "to train, batch 4 "
}

# At the image's own size: 16 x 8, of which the right half is bright.
predicted() {
    local image=() i
    for i in $(seq 0 127); do image+=($((i % 16 < 8 ? 50 : 200))); done
    gray wide.pgm 16 8 "${image[@]}"
    succeeds predict m.safetensors wide.pgm --out found
    local found=wide.png overlay=wide.png
    # Without libpng they are what netpbm has.
    if [ ! -e found/masks/$found ]; then found=wide.pgm overlay=wide.ppm; fi
    [ -s found/overlays/$overlay ] || fail "no overlay"
    succeeds predict m.safetensors wide.pgm --out again
    cmp -s found/masks/$found again/masks/$found || fail "a mask written twice differs"
    # What was predicted, taken for the truth, is met in every pixel, and half of them are of each class.
    mkdir -p same/images same/masks
    cp wide.pgm same/images/
    cp found/masks/$found same/masks/
    succeeds evaluate m.safetensors --data same,size=8x8 --json
    says '"confusion":[[32,0],[0,32]]'
}

# Every image below a folder, a line for each.
listed() {
    succeeds train --epochs 1 --quiet --out d.safetensors
    mkdir -p 'photos/deep, "er"' photos/none
    gray photos/a.pgm 8 8 $(seq 64)
    gray 'photos/deep, "er"/ü.pgm' 8 8 $(seq 64)
    ln -s .. photos/none/up # a circle
    succeeds predict d.safetensors photos --out p.csv
    [ "$(head -n 1 p.csv | cut -d, -f1,2)" = path,class ] || fail "p.csv begins with $(head -n 1 p.csv)"
    [ "$(wc -l <p.csv)" = 3 ] || fail "not a line for each image: $(cat p.csv)"
    grep -qF '"photos/deep, ""er""/ü.pgm",' p.csv || fail "a name is not quoted: $(cat p.csv)"
    mkdir empty
    fails "empty: no images in this folder" predict d.safetensors empty --out e.csv
    [ ! -e e.csv ] || fail "e.csv is there"
}

refused() {
    mkdir -p odd/images odd/masks
    cp scenes/images/0.pgm odd/images/
    gray odd/masks/0.pgm 4 4 $(seq 16)
    fails "odd" train --data masks:odd --model unet-small --out x.safetensors
    cp scenes/masks/0.pgm odd/masks/other.pgm
    rm odd/masks/0.pgm
    fails "odd" train --data masks:odd --model unet-small --out x.safetensors
    fails "images" train --data masks:scenes/images --out x.safetensors
    [ ! -e x.safetensors ] || fail "a refused training wrote its model"
}

scenes
trained
batches
predicted
listed
refused
[ $failures = 0 ]
