/* report.js - the parts of the page, from the figures. */

function section(title, wide, ...children) {
  return make("section", { class: wide ? "wide" : "" }, make("h2", {}, title), ...children);
}

function tableOf(heads, rows, kind) {
  const table = make("table", { class: kind || "" }, make("tr", {}, ...heads.map((h) => make("th", {}, h))));
  for (const row of rows) table.append(make("tr", {}, ...row.map((cell) => make("td", {}, String(cell)))));
  return make("div", { class: "scroll" }, table);
}

/* ---- how it learned */

function curves() {
  const series = (key) => page.epochs.map((e) => (typeof e[key] === "number" ? e[key] : null));
  return [
    section("Loss", false, lineChart([{ name: "training", values: series("train_loss") },
      { name: "validation", values: series("valid_loss") }], "Loss over epochs")),
    section("Accuracy", false, lineChart([{ name: "training", values: series("train_accuracy") },
      { name: "validation", values: series("valid_accuracy") }], "Accuracy over epochs")),
    section("Learning rate", false, lineChart([{ name: "at the end of the epoch",
      values: series("learning_rate") }], "Learning rate over epochs")),
  ];
}

/* ---- what it gets wrong */

function totalsOf() {
  const right = page.confusion.reduce((sum, row, k) => sum + row[k], 0);
  const all = page.confusion.flat().reduce((a, b) => a + b, 0);
  return { right: right, all: all };
}

function classRows() {
  return page.classes.map((name, k) => {
    const row = page.confusion[k].reduce((a, b) => a + b, 0);
    const column = page.confusion.reduce((sum, r) => sum + r[k], 0), hits = page.confusion[k][k];
    return { name: name, images: row, recall: row ? hits / row : null, precision: column ? hits / column : null };
  });
}

function partText(x) {
  return x === null ? "–" : percentText(x);
}

function confusionTable() {
  if (page.classes.length > 40) return make("p", { class: "soft" }, "more than 40 classes");
  const table = make("table", { class: "confusion" }, make("tr", {}, make("th", {}, "label"),
    ...page.classes.map((name) => make("th", {}, name))));
  page.confusion.forEach((row, k) => {
    const all = row.reduce((a, b) => a + b, 0) || 1;
    table.append(make("tr", {}, make("th", {}, page.classes[k]), ...row.map((n, j) => {
      const cell = make("td", {}, n ? String(n) : "·");
      const color = j === k ? "--good" : "--bad", part = Math.round(70 * Math.sqrt(n / all));
      if (n) cell.style.background = `color-mix(in srgb, var(${color}) ${part}%, transparent)`;
      return cell;
    })));
  });
  return make("div", { class: "scroll" }, table);
}

function paintBytes(canvas, image) {
  const [h, w, c] = image.shape, bytes = bytesOf(image.bytes);
  canvas.width = w;
  canvas.height = h;
  const context = canvas.getContext("2d"), pixels = context.createImageData(w, h);
  for (let i = 0; i < h * w; i++) {
    for (let k = 0; k < 3; k++) pixels.data[4 * i + k] = bytes[i * c + (c >= 3 ? k : 0)];
    pixels.data[4 * i + 3] = 255;
  }
  context.putImageData(pixels, 0, 0);
}

function tiles(part, text) {
  if (!part.list.length) return make("p", { class: "soft" }, "none");
  return make("div", { class: "tiles" }, ...part.list.map((entry) => {
    const canvas = make("canvas", { role: "img", "aria-label": `image ${entry.index}` });
    paintBytes(canvas, entry.image);
    return make("div", { class: "tile" }, canvas, text(entry));
  }));
}

function wrongText(entry) {
  return make("div", {}, make("div", {}, make("b", {}, page.classes[entry.answer]), ` ${percentText(entry.p)}`),
    make("div", {}, `label ${page.classes[entry.label]} ${percentText(entry.p_label)}`),
    make("div", { class: "soft" }, `image ${entry.index}`));
}

/* The expected calibration error: the mean over images of |accuracy - confidence| of their bin. */
function calibrationError() {
  const all = page.calibration.reduce((sum, bin) => sum + bin.count, 0) || 1;
  return page.calibration.reduce((sum, bin) => sum + (bin.count
    ? bin.count * Math.abs(bin.accuracy - bin.confidence) : 0), 0) / all;
}

/* ---- the model */

function filterTiles(filters) {
  const values = floatsOf(filters.floats), [fh, fw, seen, n] = filters.shape;
  const top = values.reduce((a, b) => Math.max(a, Math.abs(b)), 0) || 1;
  const place = make("div", { class: "tiles filters" });
  for (let k = 0; k < Math.min(n, 64); k++) {
    const canvas = make("canvas", { role: "img", "aria-label": `filter ${k}` }), bytes = [];
    for (let tap = 0; tap < fh * fw; tap++)
      for (let c = 0; c < 3; c++) {
        const value = values[(tap * seen + (seen >= 3 ? c : 0)) * n + k];
        bytes.push(127.5 + 127.5 * value / top);
      }
    paintBytes(canvas, { shape: [fh, fw, 3], bytes: btoa(String.fromCharCode(...bytes.map(Math.round))) });
    place.append(canvas);
  }
  return place;
}

function filterSection() {
  if (!page.filters) return [];
  const before = page.filters_before ? [make("h3", {}, "Before"), filterTiles(page.filters_before),
    make("h3", {}, "After")] : [];
  return [section(`Filters of ${page.filters.layer}`, false, ...before, filterTiles(page.filters),
    make("p", { class: "soft" }, "Gray is 0, white the largest weight, black its negative.")),];
}

function layerTable() {
  const rows = page.layers.map((l) => [l.name, l.text ? `${l.type} ${l.text}` : l.type, shapeText(l.shape),
    l.parameters.toLocaleString("en"), l.multiply_adds.toLocaleString("en"),
    l.bytes < 1024 ? `${l.bytes} B` : `${(l.bytes / 1024).toFixed(1)} KiB`, l.seconds === undefined ? "–" : `${(1e6 * l.seconds).toFixed(1)} µs`,
    l.dead === undefined || l.seconds === undefined ? "" : `${l.dead} of ${l.units}`]);
  return tableOf(["layer", "what", "output", "parameters", "multiply-adds", "output's memory",
    "time per image", "dead units"], rows, "layers");
}

function start() {
  const totals = totalsOf();
  document.title = `Report on ${page.model}`;
  byId("title").textContent = `Report on ${page.model}`;
  byId("subtitle").textContent = `${totals.right} of ${totals.all} test images of ${page.data} are read right: ` +
    `${(100 * totals.right / (totals.all || 1)).toFixed(2)} %.`;
  byId("theme-place").append(themeButton(() => {}));
  byId("parts").append(...(page.epochs ? curves() : []),
    section("Calibration", false, calibrationChart(page.calibration), make("p", { class: "soft" },
      `How often an answer of a certain probability is right; on the dashed line it can be trusted. ` +
      `Expected calibration error ${percentText(calibrationError())}.`)),
    section("Confusion", false, confusionTable(), make("p", { class: "soft" }, "A row per label, a column per answer.")),
    section("Classes", false, tableOf(["class", "images", "precision", "recall"],
      classRows().map((r) => [r.name, r.images, partText(r.precision), partText(r.recall)]))),
    ...filterSection(),
    section(`The surest of ${page.mistakes.count} mistakes`, true, tiles(page.mistakes, wrongText)),
    section("Labels that are probably wrong", true, make("p", { class: "soft" }, "The model contradicts the labels of " +
      `${page.suspects.count.toLocaleString("en")} of ${page.suspects.of.toLocaleString("en")} training images with ` +
      "a difference of at least 0.8."), tiles(page.suspects, wrongText)),
    section("Layers", true, layerTable(), make("p", { class: "soft" }, "Time is the least of five forwards of " +
      `${page.sample} test images together; a layer without one is fused into the next, or computes nothing. A unit is dead ` +
      "where none of these images makes it positive.")));
  byId("foot").textContent = `convnet ${page.version}.`;
  if (page.command) byId("foot").prepend("To train the same again: ", make("code", {}, page.command), " · ");
}

start();
