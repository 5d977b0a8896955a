/* backward.js - one gradient of a layer's output, and what it adds to those before it. */

function chosenGradient(s) {
  return at(s.dy, s.state.row, s.state.column, s.state.channel);
}

function gradientHead(s, letter) {
  return formula(`${letter} of the chosen element = `, strong(chosenGradient(s)),
    s.trial ? " (with another window the loss has no gradient: 1 is taken)" : "");
}

/* dA_prev += W dZ,  dW += A_prev dZ,  db += dZ, and what all elements together make. */
function convBackwardDetail(s, place) {
  const { size } = convGroup(s), k = s.state.input, dz = chosenGradient(s);
  const cells = windowCells(s, k), [fh, fw] = s.layer.window.kernel;
  const w = s.layer.weights[0].values, parts = s.parts();
  const index = (u, v) => filterIndex(s, size, u, v, k);
  place.append(gradientHead(s, "dZ"));
  place.append(make("div", { class: "tables" },
    grid(fh, fw, "adds to dA_prev: W dZ", (u, v) => (cells(u, v).inside
      ? { value: w[index(u, v)] * dz } : { text: "", kind: "padding" })),
    grid(fh, fw, "adds to dW: A_prev dZ", (u, v) => ({ value: cells(u, v).value * dz,
      kind: cells(u, v).kind }))));
  place.append(formula("adds to db: ", numberText(dz)));
  place.append(make("h3", {}, "All elements of dZ together"), make("div", { class: "tables" },
    grid(fh, fw, "dA_prev in this window", (u, v) => (cells(u, v).inside
      ? { value: parts.dxs[0].data[cells(u, v).index] } : { text: "", kind: "padding" })),
    grid(fh, fw, "dW of this filter", (u, v) => ({ value: parts.dws[0][index(u, v)] }))));
  if (parts.dws[1]) place.append(formula("db = ", strong(parts.dws[1][s.state.channel])));
}

function poolBackwardDetail(s, place) {
  const cells = windowCells(s, s.state.channel), [fh, fw] = s.layer.window.kernel;
  const da = chosenGradient(s), max = s.layer.type === "max_pool", values = [];
  for (let u = 0; u < fh; u++)
    for (let v = 0; v < fw; v++) if (cells(u, v).inside) values.push(cells(u, v).value);
  const shares = (max ? maxMask : equalShares)(values);
  const shareTable = (title, factor) => {
    let n = 0;
    return grid(fh, fw, title, (u, v) => {
      if (!cells(u, v).inside) return { text: "", kind: "padding" };
      const value = shares[n++] * factor;
      return { value: value, kind: max && value !== 0 ? "chosen" : "" };
    });
  };
  place.append(gradientHead(s, "dA"));
  place.append(make("div", { class: "tables" },
    grid(fh, fw, "window of A_prev", (u, v) => (cells(u, v).inside ? { value: cells(u, v).value }
      : { text: "", kind: "padding" })), sign("→"),
    shareTable(max ? "mask of the maximum" : `1 / ${values.length} each`, 1), sign("→"),
    shareTable(max ? "adds to dA_prev: mask × dA" : "distributed value: adds to dA_prev", da)));
  place.append(totals(s, cells, fh, fw));
}

/* dA_prev in the window, from all windows that overlap there. */
function totals(s, cells, fh, fw) {
  const dx = s.parts().dxs[0];
  return make("div", {}, make("h3", {}, "All windows together"),
    grid(fh, fw, "dA_prev in this window", (u, v) => (cells(u, v).inside
      ? { value: dx.data[cells(u, v).index] } : { text: "", kind: "padding" })));
}

function denseBackwardDetail(s, place) {
  const j = s.state.column, n = s.layer.shape[0], dz = s.dy.data[j], w = s.layer.weights[0].values;
  const dx = s.parts().dxs[0].data, shape = s.xs[0].shape;
  const order = Array.from(s.xs[0].data.keys())
    .sort((a, b) => Math.abs(s.xs[0].data[b] * dz) - Math.abs(s.xs[0].data[a] * dz)).slice(0, LIST);
  const heads = ["input", "A_prev", "dW = A_prev dZ", "W", "adds to dA_prev: W dZ", "dA_prev"];
  const table = make("table", { class: "list" }, make("tr", {}, ...heads.map((h) => make("th", {}, h))));
  for (const i of order) {
    const a = s.xs[0].data[i], factor = w[i * n + j];
    table.append(make("tr", {}, make("td", {}, elementName(shape, i)),
      ...[a, a * dz, factor, factor * dz, dx[i]].map((x) => make("td", {}, numberText(x)))));
  }
  place.append(gradientHead(s, "dZ"), make("div", { class: "scroll" }, table));
  if (order.length < dx.length)
    place.append(make("p", { class: "soft" }, `and ${dx.length - order.length} inputs more`));
  place.append(formula("db = dZ = ", strong(dz)));
}

function elementBackwardDetail(s, place) {
  const z = at(s.xs[0], s.state.row, s.state.column, s.state.channel);
  const slope = elementFunctions[s.layer.type][1](s.layer, z), da = chosenGradient(s);
  place.append(gradientHead(s, "dA"));
  place.append(formula(`z = ${numberText(z)}, f′(z) = ${numberText(slope)}: adds ${numberText(da)} × ` +
    `${numberText(slope)} = `, strong(da * slope), " to dZ"));
}

/* Where the gradient begins: the loss of the chosen row, and the gradients of its elements. */
function lossDetail(s, place) {
  const net = s.network, n = lastOf(s.y.shape), rows = s.y.data.length / n;
  const r = s.y.shape.length === 3 ? s.state.row * s.y.shape[1] + s.state.column : 0;
  const p = Array.from(s.y.data.subarray(r * n, r * n + n)), y = net.targets(r);
  const dz = net.loss.gradient(p, y, rows), divided = net.loss.slope.includes("=");
  const parts = rows * (net.loss.text.startsWith("−ln A[") ? 1 : n);
  const heads = ["class", "predicted A", "label y", net.loss.slope + (divided && parts > 1 ? `, divided by ${parts}` : "")];
  const table = make("table", { class: "list" }, make("tr", {}, ...heads.map((h) => make("th", {}, h))));
  p.forEach((value, k) => table.append(make("tr", { class: y[k] || n === 1 ? "chosen" : "" },
    make("td", {}, net.data.classes[n === 1 ? 1 : k] || String(k)), make("td", {}, numberText(value)),
    make("td", {}, String(y[k])), make("td", {}, numberText(dz[k])))));
  place.append(make("p", {}, net.loss.fused ? "The backward pass begins here: the loss and this layer together " +
    "have a simple gradient, that of the layer's input." : "The backward pass begins with the gradient of this output."));
  if (rows > 1) place.append(make("p", { class: "soft" }, `The loss is the mean over ${rows} pixels, each against ` +
    "the class that the network finds the most probable there."));
  place.append(make("div", { class: "scroll tall" }, table),
    formula(`loss${rows > 1 ? " of this pixel" : ""} = ${net.loss.text} = `, strong(net.loss.of(p, y))));
}

/* The gradient of one element of a layer that moves values goes where the value came from. */
function movesBackwardDetail(s, place) {
  const image = asImage(s.y);
  const wanted = (s.state.row * image.shape[1] + s.state.column) * image.shape[2] + s.state.channel;
  const places = [];
  moves[s.layer.type](s.layer, s.xs, (to, n, from, factor) => {
    if (to === wanted && n !== NO_INPUT) places.push(`${numberText(factor * chosenGradient(s))} to element ` +
      `${elementName(s.xs[n].shape, from)} of ${s.network.layers[s.layer.inputs[n]].name}`);
  });
  place.append(gradientHead(s, "dA"), formula("adds ", places.join(", ") || "nothing"));
}

function adaptiveBackwardDetail(s, place) {
  const size = adaptiveSize(s.layer), flat = s.y.shape.length === 1;
  const n = adaptiveTaps(s.xs[0].shape, size, flat ? 0 : s.state.row, flat ? 0 : s.state.column).length;
  place.append(gradientHead(s, "dA"),
    formula(`adds dA / ${n} = `, strong(chosenGradient(s) / n), " to each pixel of the channel"));
}

function inputBackwardDetail(s, place) {
  place.append(gradientHead(s, "The gradient"));
  place.append(make("p", { class: "soft" }, "How the loss changes with this pixel."));
}

const backwardDetails = {
  input: inputBackwardDetail, conv2d: convBackwardDetail, depthwise_conv2d: convBackwardDetail,
  max_pool: poolBackwardDetail, average_pool: poolBackwardDetail, dense: denseBackwardDetail,
  batch_norm: normBackwardDetail, global_average_pool: adaptiveBackwardDetail,
  adaptive_average_pool: adaptiveBackwardDetail, conv_transpose2d: convBackwardDetail,
  softmax: softmaxBackwardDetail, log_softmax: logSoftmaxBackwardDetail, layer_norm: setNormBackwardDetail,
  group_norm: setNormBackwardDetail, local_response_norm: responseBackwardDetail,
  affine: affineBackwardDetail, constant: constantBackwardDetail,
};
for (const name of Object.keys(elementFunctions)) backwardDetails[name] = elementBackwardDetail;
for (const name of Object.keys(moves)) backwardDetails[name] = movesBackwardDetail;
for (const name of Object.keys(binaries)) backwardDetails[name] = binaryBackwardDetail;

/* Does the loss's gradient begin in this layer? */
function isLossLayer(s) {
  return s.network.live && s.state.layer === s.network.data.output && !s.trial;
}
