/*
 * detail.js - one number of a layer and where it came from: window, filter, products, sum, bias.
 *
 * A subject is what the detail speaks of: { network, state, layer, xs, y, dy, trial }. `trial` says
 * that kernel, stride or padding were changed: then the layer is computed by itself, and the
 * network goes on without it.
 */

const LIST = 12; /* contributions that a long sum shows one by one */

/* ---- the subject */

/* The filter with another kernel: cut, or with zeros around, about its center. */
function resizedFilter(weight, kernel) {
  const [fh, fw, seen, filters] = weight.shape, shape = [kernel[0], kernel[1], seen, filters];
  const values = new Float64Array(product(shape)), each = seen * filters;
  const shift = [Math.floor((kernel[0] - fh) / 2), Math.floor((kernel[1] - fw) / 2)];
  for (let u = 0; u < fh; u++)
    for (let v = 0; v < fw; v++) {
      const r = u + shift[0], c = v + shift[1];
      if (r < 0 || c < 0 || r >= kernel[0] || c >= kernel[1]) continue;
      for (let k = 0; k < each; k++)
        values[(r * kernel[1] + c) * each + k] = weight.values[(u * fw + v) * each + k];
    }
  return { role: weight.role, shape: shape, values: values };
}

function trialLayer(layer, window) {
  const same = window.kernel.every((f, axis) => f === layer.window.kernel[axis]);
  const weights = layer.weights.map((w) => (w.role === "weight" && !same
    ? resizedFilter(w, window.kernel) : w));
  return { ...layer, window: window, weights: weights, resized: !same };
}

/* The output's size with another window. */
function triedSize(layer, shape) {
  if (!isTransposed(layer)) return outputSize(layer.window, shape);
  return transposedSize(layer.window, shape, layer.options.output_padding);
}

function subjectOf(network, state) {
  const layer = network.layers[state.layer], xs = network.inputs(state.layer);
  const plain = { network: network, state: state, layer: layer, xs: xs, trial: false,
    y: network.values[state.layer], dy: network.grads[state.layer] };
  const known = state.layer === 0 || (network.isExact(state.layer) && xs.every((x) => x));
  if (!known) return { ...plain, y: plain.y, closed: true };
  if (!state.trial) return plain;
  const tried = trialLayer(layer, state.trial);
  const size = triedSize(tried, xs[0].shape);
  if (size[0] < 1 || size[1] < 1) return { ...plain, empty: true };
  tried.shape = [...size, layer.shape[2]];
  const y = layerTypes[layer.type][0](tried, xs);
  return { ...plain, layer: tried, y: y, dy: tensor(y.shape, y.data.map(() => 1)), trial: true };
}

function at(t, row, column, channel) {
  const image = asImage(t);
  return image.data[(row * image.shape[1] + column) * image.shape[2] + channel];
}

/* ---- tables */

/* A grid of numbers; cellOf(u, v) gives { value, kind, change }. */
function grid(rows, columns, title, cellOf) {
  const table = make("table", { class: "grid" });
  for (let u = 0; u < rows; u++) {
    const line = make("tr", {});
    for (let v = 0; v < columns; v++) line.append(gridCell(cellOf(u, v), `${title} ${u}, ${v}`));
    table.append(line);
  }
  return make("figure", {}, make("figcaption", {}, title), make("div", { class: "scroll" }, table));
}

function gridCell(cell, label) {
  const td = make("td", { class: cell.kind || "" });
  if (!cell.change) {
    td.append(cell.text !== undefined ? cell.text : numberText(cell.value));
    return td;
  }
  const input = make("input", { type: "text", inputmode: "decimal", "aria-label": label,
    value: numberText(cell.value) });
  input.addEventListener("change", () => {
    const value = Number(input.value.trim().replace(/−/g, "-"));
    if (Number.isFinite(value) && input.value.trim() !== "") cell.change(value);
    else input.value = numberText(cell.value);
  });
  td.append(input);
  return td;
}

function sign(text) {
  return make("div", { class: "sign", "aria-hidden": "true" }, text);
}

function formula(...parts) {
  return make("p", { class: "formula" }, ...parts);
}

function strong(x) {
  return make("b", { class: "result" }, numberText(x));
}

/* value × weight of a long sum, the largest first. */
function sumTable(entries, heads) {
  const order = entries.slice().sort((a, b) => Math.abs(b.term) - Math.abs(a.term)).slice(0, LIST);
  const rest = entries.reduce((sum, e) => sum + e.term, 0) - order.reduce((sum, e) => sum + e.term, 0);
  const table = make("table", { class: "list" },
    make("tr", {}, ...heads.map((head) => make("th", {}, head))));
  for (const e of order)
    table.append(make("tr", {}, make("td", {}, e.name), gridCell(e.left, `${e.name} ${heads[1]}`),
      gridCell(e.right, `${e.name} ${heads[2]}`), make("td", {}, numberText(e.term))));
  if (entries.length > order.length)
    table.append(make("tr", {}, make("td", { colspan: 3 }, `${entries.length - order.length} more`),
      make("td", {}, numberText(rest))));
  return make("div", { class: "scroll" }, table);
}

/* "row 3, column 5, channel 2" of element i of an input. */
function elementName(shape, i) {
  if (shape.length !== 3) return String(i);
  const pixel = Math.floor(i / shape[2]);
  return `[${Math.floor(pixel / shape[1])}, ${pixel % shape[1]}, ${i % shape[2]}]`;
}

/* ---- changing */

function pixelChange(s, index) {
  const from = s.layer.inputs[0];
  if (s.state.layer === 0 || (from === 0 && s.network.isExact(0)))
    return (value) => s.network.change(() => { s.network.image.data[index] = value; });
  return null;
}

function weightChange(s, weight, index) {
  if (s.layer.resized) return null;
  return (value) => s.network.change(() => { weight.values[index] = value; });
}

/* ---- layers with a window */

/* The window at the chosen place, as cells of input channel k. */
function windowCells(s, k) {
  const shape = s.xs[0].shape;
  return (u, v) => {
    const pixel = pixelOf(s.layer, shape, s.state.row, s.state.column, u, v);
    if (pixel < 0) return { value: 0, kind: "padding", inside: false };
    const index = pixel * shape[2] + k;
    return { value: s.xs[0].data[index], change: pixelChange(s, index), index: index, inside: true };
  };
}

function convGroup(s) {
  const size = convSizes(s.layer, s.xs[0]);
  const first = Math.floor(s.state.channel / size.each) * size.seen;
  return { size: size, first: first };
}

/* The chosen filter's weight at tap (u, v) for channel `channel` of A_prev. */
function filterIndex(s, size, u, v, channel) {
  return weightIndex(s.layer, size, u, v, channel, s.state.channel);
}

function channelSum(s, size, channel) {
  const cells = windowCells(s, channel), [fh, fw] = s.layer.window.kernel;
  const w = s.layer.weights[0].values;
  let sum = 0;
  for (let u = 0; u < fh; u++)
    for (let v = 0; v < fw; v++) sum += cells(u, v).value * w[filterIndex(s, size, u, v, channel)];
  return sum;
}

function convDetail(s, place) {
  const { size, first } = convGroup(s), k = s.state.input, weight = s.layer.weights[0];
  const cells = windowCells(s, k), [fh, fw] = s.layer.window.kernel;
  const factor = (u, v) => weight.values[filterIndex(s, size, u, v, k)];
  const sums = Array.from({ length: size.seen }, (_, i) => channelSum(s, size, first + i));
  const bias = s.layer.weights[1];
  place.append(make("div", { class: "tables" },
    grid(fh, fw, isTransposed(s.layer) ? "A_prev that meets Z here" : "window of A_prev", cells), sign("×"),
    grid(fh, fw, "filter W", (u, v) => ({ value: factor(u, v),
      change: weightChange(s, weight, filterIndex(s, size, u, v, k)) })), sign("="),
    grid(fh, fw, "products", (u, v) => ({ value: cells(u, v).value * factor(u, v), kind: cells(u, v).kind }))));
  const parts = sums.map((sum, i) => make("button", { type: "button", class: "part",
    "aria-pressed": String(first + i === k), onclick: () => s.choose({ input: first + i }) },
  `channel ${first + i}: ${numberText(sum)}`));
  place.append(make("h3", {}, "Sums of the products, per input channel"),
    make("div", { class: "parts" }, ...parts));
  place.append(formula("Z = ", numberText(sums.reduce((a, b) => a + b, 0)),
    bias ? " + b " : "", bias ? weightInput(s, "bias", s.state.channel) : "", " = ",
    strong(at(s.y, s.state.row, s.state.column, s.state.channel))));
}

/* Element k of a weight, to be changed within a formula. */
function weightInput(s, role, k) {
  const weight = s.layer.weights.find((w) => w.role === role);
  const cell = gridCell({ value: weight.values[k],
    change: (value) => s.network.change(() => { weight.values[k] = value; }) }, role);
  return make("span", { class: "inline" }, ...cell.childNodes);
}

function poolDetail(s, place) {
  const cells = windowCells(s, s.state.channel), [fh, fw] = s.layer.window.kernel;
  const max = s.layer.type === "max_pool";
  const value = at(s.y, s.state.row, s.state.column, s.state.channel);
  let found = false, count = 0;
  const shown = (u, v) => {
    const cell = cells(u, v);
    if (!cell.inside) return { text: "", kind: "padding" };
    count++;
    const first = max && !found && cell.value === value;
    found = found || first;
    return { ...cell, kind: first ? "chosen" : "" };
  };
  place.append(make("div", { class: "tables" }, grid(fh, fw, "window of A_prev", shown)));
  place.append(max ? formula("A = the largest = ", strong(value))
    : formula(`A = the mean of ${count} = `, strong(value)));
}

/* ---- the others */

function denseDetail(s, place) {
  const j = s.state.column, n = s.layer.shape[0], weight = s.layer.weights[0];
  const bias = s.layer.weights[1], shape = s.xs[0].shape;
  const entries = Array.from(s.xs[0].data, (a, i) => ({
    name: elementName(shape, i), left: { value: a }, term: a * weight.values[i * n + j],
    right: { value: weight.values[i * n + j], change: weightChange(s, weight, i * n + j) } }));
  place.append(sumTable(entries, ["input", "A_prev", "W", "product"]));
  place.append(formula(`Z = ${numberText(entries.reduce((sum, e) => sum + e.term, 0))}`,
    bias ? " + b " : "", bias ? weightInput(s, "bias", j) : "", " = ", strong(s.y.data[j])));
}

function elementDetail(s, place) {
  const z = at(s.xs[0], s.state.row, s.state.column, s.state.channel);
  place.append(formula(`A = ${elementFunctions[s.layer.type][2]}, z = ${numberText(z)}: `,
    strong(at(s.y, s.state.row, s.state.column, s.state.channel))));
}

function chosenChannel(s) {
  return s.layer.shape.length === 3 ? s.state.channel : s.state.column;
}

function softmaxDetail(s, place) {
  const n = s.y.shape[s.y.shape.length - 1], rank3 = s.y.shape.length === 3;
  const first = rank3 ? (s.state.row * s.y.shape[1] + s.state.column) * n : 0;
  const z = Array.from(s.xs[0].data.subarray(first, first + n)), top = maximum(z);
  const exps = z.map((x) => Math.exp(x - top)), sum = exps.reduce((a, b) => a + b, 0);
  const table = make("table", { class: "list" }, make("tr", {}, ...["class", "Z", "exp(Z − max)", "A"]
    .map((head) => make("th", {}, head))));
  for (let k = 0; k < n; k++)
    table.append(make("tr", { class: k === chosenChannel(s) ? "chosen" : "" },
      make("td", {}, s.network.data.classes[k] || String(k)), make("td", {}, numberText(z[k])),
      make("td", {}, numberText(exps[k])), make("td", {}, numberText(s.y.data[first + k]))));
  place.append(make("div", { class: "scroll tall" }, table),
    formula(`A = exp(Z − max) / ${numberText(sum)}`));
}

function inputDetail(s, place) {
  const index = (s.state.row * s.y.shape[1] + s.state.column) * s.y.shape[2] + s.state.channel;
  const cell = gridCell({ value: s.y.data[index], change: pixelChange(s, index) }, "pixel");
  place.append(formula("The pixel, as the network sees it (normalized): ",
    make("span", { class: "inline" }, ...cell.childNodes)));
}

/* What an output of a layer that moves or joins values is a sum of. */
function movesDetail(s, place) {
  const image = asImage(s.y);
  const wanted = (s.state.row * image.shape[1] + s.state.column) * image.shape[2] + s.state.channel;
  const terms = [];
  const take = (to, n, from, factor) => {
    if (to !== wanted) return;
    if (n === NO_INPUT) terms.push(`${numberText(factor)}, which stands beyond the border`);
    else terms.push(`${factor === 1 ? "" : numberText(factor) + " × "}${numberText(s.xs[n].data[from])} ` +
      `of ${s.network.layers[s.layer.inputs[n]].name} ${elementName(s.xs[n].shape, from)}`);
  };
  moves[s.layer.type](s.layer, s.xs, take);
  place.append(formula(`${terms.join(" + ") || "nothing"} = `, strong(image.data[wanted])));
}

function adaptiveDetail(s, place) {
  const size = adaptiveSize(s.layer), flat = s.y.shape.length === 1;
  const k = flat ? s.state.column : s.state.channel;
  const pixels = adaptiveTaps(s.xs[0].shape, size, flat ? 0 : s.state.row, flat ? 0 : s.state.column);
  const sum = pixels.reduce((total, p) => total + s.xs[0].data[p * s.xs[0].shape[2] + k], 0);
  place.append(formula(`A = ${numberText(sum)} / ${pixels.length} pixels = `, strong(sum / pixels.length)));
}

const details = {
  input: inputDetail, conv2d: convDetail, depthwise_conv2d: convDetail, max_pool: poolDetail,
  average_pool: poolDetail, dense: denseDetail, softmax: softmaxDetail, batch_norm: normDetail,
  conv_transpose2d: convDetail, global_average_pool: adaptiveDetail, adaptive_average_pool: adaptiveDetail,
  log_softmax: logSoftmaxDetail, layer_norm: setNormDetail, group_norm: setNormDetail,
  local_response_norm: responseDetail, affine: affineDetail, constant: constantDetail,
};
for (const name of Object.keys(elementFunctions)) details[name] = elementDetail;
for (const name of Object.keys(moves)) details[name] = movesDetail;
for (const name of Object.keys(binaries)) details[name] = binaryDetail;
