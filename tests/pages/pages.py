"""Opens the pages of the command in Chromium, clicks through their controls, compares numbers.

    pages.py CONVNET FOLDER
"""
import json
import os
import re
import subprocess
import sys

import chromium

CONVNET, FOLDER = sys.argv[1:3]
SIZES = [(390, False), (390, True), (1280, False), (1920, True)]
failures = []


def check(right, text):
    if not right:
        failures.append(text)
        print("FAILED:", text)


def convnet(*arguments):
    done = subprocess.run([CONVNET, *arguments], cwd=FOLDER, capture_output=True, text=True)
    check(done.returncode == 0, f"convnet {' '.join(arguments)}: {done.stderr}")
    return done.stdout


def path(name):
    return os.path.join(FOLDER, name)


def opens(browser, name, script):
    """At every size the page fits the window, and `script` runs in it; in light and dark."""
    for width, dark in SIZES:
        browser.look(width, dark)
        browser.open(path(name))
        browser.run(script)
        check(browser.run("document.documentElement.scrollWidth <= innerWidth"),
              f"{name} is wider than {width} pixels")
    check(browser.problems == [], f"{name}: {browser.problems}")
    browser.problems = []


# On paper of 186 mm: nothing wider than it, nothing to be scrolled, no control, a light ground.
PAPER = """
(() => {
  dispatchEvent(new Event("beforeprint"));
  if (isDark()) throw Error("maps stay dark on paper");
  const color = getComputedStyle(document.body).backgroundColor;
  if (color !== "rgb(255, 255, 255)") throw Error(`the ground is ${color}`);
  for (const e of document.querySelectorAll(".scroll, .tall, .parts, #network, main, header, footer"))
    if (e.scrollWidth > e.clientWidth + 1 || (getComputedStyle(e).overflowY !== "visible" && e.scrollHeight > e.clientHeight + 1))
      throw Error(`${e.tagName} ${e.id || e.className} is cut`);
  for (const e of document.querySelectorAll("header button, .controls"))
    if (e.offsetParent !== null) throw Error(`${e.id || e.textContent} is printed`);
  dispatchEvent(new Event("afterprint"));
  return document.documentElement.scrollWidth <= innerWidth;
})()
"""


def prints(browser, name):
    browser.look(703, True, 1000, "print")
    browser.open(path(name))
    check(browser.run(PAPER), f"{name} is wider than paper")
    browser.look(1280, False)


# Every layer, forward and backward; every button, number field and cell that can be changed.
EXPLAIN_ALL = """
(() => {
  for (const direction of ["y", "dy"])
    for (let i = 0; i < network.layers.length; i++) {
      choose({ layer: i, direction: direction });
      if (!byId("calculation").textContent) throw Error(`nothing to see of ${network.layers[i].name}`);
    }
  choose({ layer: 1, direction: "y" });
  return true;
})()
"""
EXPLAIN_CLICKS = """
(() => {
  const click = (selector) => { for (const e of document.querySelectorAll(selector)) if (e.isConnected) e.click(); };
  const count = document.querySelectorAll("header button, main button").length;
  for (let n = 0; n < count; n++) {
    const all = document.querySelectorAll("header button, main button");
    if (n < all.length) all[n].click();
  }
  for (const id of ["row", "column", "channel", "kernel", "stride", "pad"]) {
    const field = byId(id);
    if (!field) continue;
    field.value = 2;
    field.dispatchEvent(new Event("change"));
    if (Number(byId(id).value) !== 2) throw Error(`${id} is not taken`);
  }
  click("#as-trained");
  click(".layer");
  click("#overlays button");
  for (const key of ["j", "k", "[", "]", ",", ".", "b", "b", "u"])
    document.body.dispatchEvent(new KeyboardEvent("keydown", { key: key, bubbles: true }));
  choose({ layer: 1, row: 3, column: 3 });
  document.querySelector("#maps .pick").dispatchEvent(
    new KeyboardEvent("keydown", { key: "ArrowDown", bubbles: true }));
  if (state.row !== 4) throw Error("the arrow keys do not move");
  return true;
})()
"""
EDIT = """
(() => {
  undo();
  choose({ layer: 1, direction: "y", row: 3, column: 3, channel: 0 });
  const before = network.output().data.slice(), result = document.querySelector(".result").textContent;
  const change = (index, text) => {
    const field = document.querySelectorAll("#calculation td input")[index];
    field.value = text;
    field.dispatchEvent(new Event("change"));
  };
  const differs = () => network.output().data.some((p, k) => Math.abs(p - before[k]) > 1e-9);
  change(0, "2.5");
  if (!differs()) throw Error("a pixel changes nothing");
  undo();
  if (differs()) throw Error("undo leaves something");
  const cells = document.querySelectorAll("#calculation td input").length;
  change(cells - 1, "-1.5");
  if (!differs()) throw Error("a weight changes nothing");
  undo();
  return document.querySelector(".result").textContent === result;
})()
"""


def agrees(browser, name, tolerance=1e-6):
    """The page's own numbers are the library's, forward and backward."""
    worst = browser.run("network.check()")
    check(worst["compared"] > 1000, f"{name}: {worst['compared']} numbers compared")
    for kind in ("forward", "backward", "weights", "saliency", "cam"):
        check(worst[kind] < tolerance, f"{name}: {kind} differ from the library's by {worst[kind]}")


def explain_alone(browser):
    convnet("explain", "--quiet")
    prints(browser, "explain.html")
    opens(browser, "explain.html", EXPLAIN_ALL)
    check(browser.run("network.complete && network.live"), "explain.html does not compute all")
    agrees(browser, "explain.html")
    browser.run(EXPLAIN_CLICKS)
    check(browser.run(EDIT), "undo shows another number")
    check(browser.problems == [], f"clicking: {browser.problems}")


LAYERS = ("conv 4 3x3 same no_bias, batchnorm, gelu as a, depthwise 3x3 same, elu, add a, silu, "
          "conv 8 3x3 stride 2 pads 1 groups 2, softplus, upsample 2 bilinear, crop 1, hard_swish, "
          "concat from a2, avgpool 2, tanh, dropout 0.2, gap, dense 6, batchnorm, leaky_relu 0.1, "
          "dense classes")


def many_layers(browser):
    """Every kind of layer that the page computes, among them a batch norm that has seen images."""
    text = LAYERS.replace("concat from a2, ", "")
    convnet("train", "--quiet", "--epochs", "1", "--model", text, "--out", "many.safetensors")
    convnet("explain", "many.safetensors", "--out", "many.html", "--index", "5", "--label", "3")
    browser.look(1280, False)
    browser.open(path("many.html"))
    browser.run(EXPLAIN_ALL)
    check(browser.run("network.complete && network.live"), "many.html does not compute all")
    agrees(browser, "many.html")
    check(browser.problems == [], f"many.html: {browser.problems}")


# The other layers, among them those whose windows, borders and grids have options; and the losses.
OTHERS = {
    "rows": "conv 4 3x3 same, clip -1 1, shift 0.5, affine, lrn 3, pad 1 reflect, resize 6x6 linear, layernorm, "
            "slice 2 begin 1 as s, silu, plus s, reshape 4x18, transpose 4x18, conv 3 1x1, dense classes, "
            "log_softmax, scale 2",
    "two": "avgpool 4, conv 4 3x3 same, convtranspose 6 3x2 stride 2x1 pads 1x0x0x1 dilation 1x2 groups 2, "
           "groupnorm 3, relu6, convtranspose 4 2x2 stride 3 same, groupnorm 2 no_shift, leaky_relu 0.1 as g, "
           "gap, dense 4, sigmoid, multiply g, layernorm all_axes, softplus, shift 1 as p, constant 1x1 channels 4, "
           "subtract p as q, scale 1 from p, power q, divide p as r, maximum q, minimum r, avgpool 4, dense classes",
    "grids": "conv 2 1x1, pad 2 wrap, resize 9x7 cubic inside, pad 1 edge, slice 5 begin 1 rows, slice 3 step 2 "
             "columns, resize 11x11 linear align_corners, pad 1 value 0.5, resize 6x5 nearest ceil asymmetric, "
             "upsample 2, zeropad 1, resize 7x9 cubic symmetric scale_h 0.5, lrn 2 alpha 0.5 beta 0.6, conv 4 3x3, "
             "hard_sigmoid, dense classes",
    "crops": "conv 3 3x3 same, resize 5x3 linear antialias, resize 9x9 cubic, resize 4x5 cubic antialias inside, "
             "resize 6x7 linear crop crop_y 0.25 crop_x -0.5 crop_h 0.5 crop_w 1.25 outside 2, dense classes",
    "pixels": "avgpool 2, conv 3 3x3 same, softmax, scale 1.5, softmax",
    "yes": "conv 3 3x3 same, relu, dense 1, sigmoid",
    "each": "conv 3 3x3 same, relu, dense 5, sigmoid",
}


def other_layers(browser):
    """The rest of the layers: all are computed, and all numbers are the library's."""
    browser.look(1280, False)
    for name, text in OTHERS.items():
        convnet("explain", text, "--quiet", "--out", f"{name}.html")
        browser.open(path(f"{name}.html"))
        browser.run(EXPLAIN_ALL)
        check(browser.run("network.complete && network.live"), f"{name}.html does not compute all")
        agrees(browser, f"{name}.html")
        check(browser.problems == [], f"{name}.html: {browser.problems}")
    # The CPU's floats, as of a large network, layer by layer. In single precision, a bias whose
    # gradient the norm after it nearly cancels has few right digits.
    convnet("explain", f"conv 3 1x1, flatten, dropout 0.2, reshape 28x28, {OTHERS['rows']}", "--quiet", "--backend", "cpu",
            "--out", "cpu.html")
    browser.open(path("cpu.html"))
    agrees(browser, "cpu.html", 1e-4)
    check(browser.run("page.layers.every((l, i) => l.y && (l.dy || i > network.lossStart()))"),
          "cpu.html: a layer without a map or gradients")
    for loss in ("focal", "mean-squared-error", "mean-absolute-error"):
        convnet("train", "--quiet", "--epochs", "1", "--model", "conv 2 3x3, relu, dense classes", "--loss", loss,
                "--out", "loss.safetensors")
        convnet("explain", "loss.safetensors", "--out", "loss.html")
        browser.open(path("loss.html"))
        browser.run(EXPLAIN_ALL)
        check(browser.run("network.live"), f"{loss}: no gradients")
        agrees(browser, loss)
        browser.run("choose({ layer: page.output, direction: 'dy' })")
        shown = browser.run("Number(document.querySelector('.result').textContent)")
        found = browser.run("page.loss")
        check(abs(shown - found) <= 1e-4 * max(found, 1), f"{loss}: the page finds {shown}, the library {found}")


def fitted_image(browser):
    """An image of a set of another size and range is shown to the model from black to white."""
    convnet("explain", "avgpool 4, dense 3", "--quiet", "--out", "fitted.html")
    browser.open(path("fitted.html"))
    check(browser.run("network.layers[0].shape[0]") == 28, "not fitted to 28 x 28 pixels")
    brightest = browser.run("Math.max(...network.values[0].data)")
    check(0.9 < brightest <= 1, f"the brightest pixel of a digit is {brightest}")


def all_types(browser):
    """Every type of layer that a model may hold has a row in the page."""
    source = os.path.join(os.path.dirname(__file__), "../../src/layers/")
    with open(source + "layer.h", encoding="utf-8") as file:
        types = re.findall(r"^    X\((\w+)\)", file.read(), re.MULTILINE)
    with open(source + "activation.c", encoding="utf-8") as file:
        types += re.findall(r'\.name = "(\w+)"', file.read())
    check(len(types) > 40, f"only {len(types)} types are found in the sources")
    for table in ("layerTypes", "details", "backwardDetails"):
        missing = [name for name in types if not browser.run(f"'{name}' in {table}")]
        check(not missing, f"{table} in cli/pages has no row for {', '.join(missing)}")


def other_window(browser):
    """Another stride and padding: the same numbers as the library's for that network."""
    for layer in ("conv 3 3x3", "convtranspose 3 3x3"):
        convnet("explain", f"{layer}, relu, dense 4", "--quiet", "--out", "base.html", "--seed", "7")
        convnet("explain", f"{layer} stride 2 pads 1, relu, dense 4", "--quiet", "--out", "other.html",
                "--seed", "7", "--size", "2000")
        browser.open(path("other.html"))
        expected = browser.run("Array.from(network.library[1].y.data)")
        weights = browser.run("Array.from(network.layers[1].weights[0].values)")
        browser.open(path("base.html"))
        found = browser.run(f"network.layers[1].weights[0].values.set({json.dumps(weights)}); network.run();" + """
          choose({ layer: 1 });
          for (const [id, n] of [["stride", 2], ["pad", 1]]) {
            byId(id).value = n;
            byId(id).dispatchEvent(new Event("change"));
          }
          Array.from(subjectOf(network, state).y.data)""")
        check(len(found) == len(expected) and max(abs(a - b) for a, b in zip(found, expected)) < 1e-6,
              f"{layer}: another window, other numbers")


def probabilities(browser):
    """The page answers what `convnet predict` answers."""
    with open(path("seven.pgm"), "w", encoding="ascii") as file:
        file.write("P2 8 8 16\n" + "0 0 7 14 16 16 9 0\n0 0 8 12 9 15 10 0\n" +
                   "0 0 0 0 1 15 4 0\n0 0 2 6 10 14 1 0\n0 0 10 16 16 15 6 0\n" +
                   "0 0 1 8 14 6 2 0\n0 0 1 14 8 0 0 0\n0 0 8 12 0 0 0 0\n")
    convnet("explain", "many.safetensors", "seven.pgm", "--out", "seven.html")
    top = json.loads(convnet("predict", "many.safetensors", "seven.pgm", "--json"))
    browser.open(path("seven.html"))
    k = browser.run("page.predicted")
    check(browser.run(f"page.classes[{k}]") == top["class"], "another answer than convnet predict's")
    check(abs(browser.run(f"network.output().data[{k}]") - top["probability"]) < 1e-5,
          "another probability than convnet predict's")


def hostile_names(browser):
    """A file's name is text, whatever it looks like; layers without room are maps."""
    name = "<img src=x onerror=alert(1)>.pgm"
    os.rename(path("seven.pgm"), path(name))
    convnet("explain", "digits", name, "--quiet", "--size", "150", "--out", "small.html")
    check(os.path.getsize(path("small.html")) <= 150000, "--size 150 is not kept")
    browser.open(path("small.html"))
    browser.run(EXPLAIN_ALL)
    check(browser.run("document.images.length") == 0, "a file's name became an element")
    check(browser.run("!network.complete"), "150 KB hold all of the network")
    check(browser.problems == [], f"small.html: {browser.problems}")


# The seconds are the only figures that two reports of one model may differ in.
WITHOUT_TIMES = ("JSON.stringify(page, (key, value) => "
                 "(['seconds', 'wait_seconds', 'images_per_second'].includes(key) ? 0 : value))")
LEARNER = "conv 6 3x3 same, relu, maxpool 2, dense 24, relu, dense classes"


def train_report(browser):
    """Two trainings with one seed report the same but for times; the page knows their command."""
    made = []
    for _ in range(2):
        convnet("train", "--quiet", "--epochs", "2", "--model", LEARNER, "--out", "t.safetensors",
                "--report", "it's.html")
        browser.open(path("it's.html"))
        made.append(browser.run(WITHOUT_TIMES))
    check(made[0] == made[1], "two reports of one training differ in more than times")
    opens(browser, "it's.html", "byId('theme').click()")
    check(browser.run("page.command") == "convnet train --quiet --epochs 2 --model '" + LEARNER +
          "' --out t.safetensors --report 'it'\\''s.html'", "another command")
    check(browser.run("page.filters.floats !== page.filters_before.floats"), "the filters stay")
    check(browser.run("page.epochs.length") == 2, "the curves do not have 2 epochs")
    measured = json.loads(convnet("evaluate", "t.safetensors", "--json"))
    check(browser.run("page.confusion") == measured["confusion"], "another confusion matrix")


def report(browser):
    """The page's figures are those of `convnet evaluate`, and the same each time."""
    log = convnet("train", "--quiet", "--json", "--epochs", "3", "--model", LEARNER, "--out", "r.safetensors")
    with open(path("log.json"), "w", encoding="utf-8") as file:
        file.write(log)
    made = []
    for _ in range(2):
        convnet("report", "r.safetensors", "--log", "log.json", "--before", "r.safetensors")
        browser.open(path("report.html"))
        made.append(browser.run(WITHOUT_TIMES))
    check(made[0] == made[1], "two reports of one model differ in more than times")
    prints(browser, "report.html")
    opens(browser, "report.html", "byId('theme').click()")
    measured = json.loads(convnet("evaluate", "r.safetensors", "--json"))
    check(browser.run("page.confusion") == measured["confusion"], "another confusion matrix")
    check(browser.run("totalsOf().right") == measured["correct"], "another number of right answers")
    recall = browser.run("classRows().map((r) => r.recall)")
    check(all(abs(a - b) < 1e-6 for a, b in zip(recall, measured["recall"].values())), "another recall")
    wrong = measured["count"] - measured["correct"]
    check(browser.run("page.mistakes.count") == wrong, "another number of mistakes")
    check(browser.run("page.calibration.reduce((sum, bin) => sum + bin.count, 0)") ==
          measured["count"], "the calibration misses images")
    check(browser.run("page.epochs.length") == 3, "the curves do not have 3 epochs")
    check(browser.run("document.querySelectorAll('polyline').length") == 5, "a curve is missing")
    with open(path("bad.json"), "w", encoding="utf-8") as file:
        file.write("[1, 2]\n")
    done = subprocess.run([CONVNET, "report", "r.safetensors", "--log", "bad.json"], cwd=FOLDER,
                          capture_output=True, text=True)
    check(done.returncode == 1 and "bad.json, line 1: not an event" in done.stderr, done.stderr)


def main():
    browser = chromium.Chromium(chromium.find())
    try:
        for test in (explain_alone, many_layers, other_layers, fitted_image, all_types, other_window, probabilities, hostile_names,
                     report, train_report):
            test(browser)
    finally:
        browser.close()
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
