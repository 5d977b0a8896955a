/*
 * detail_rows.js - details, forward and backward, of layers without a window: those that normalize,
 * softmax along a row, functions of two inputs.
 */

/* The index of the chosen element in a tensor of the layer's shape. */
function chosenIndex(s) {
  const shape = asImage(s.y).shape;
  return (s.state.row * shape[1] + s.state.column) * shape[2] + s.state.channel;
}

/* γ or β in a formula; what the layer does not have is not written. */
function factorOf(s, role, i, ...around) {
  return s.layer.weights.some((w) => w.role === role) ? [around[0], weightInput(s, role, i), around[1]] : [];
}

/* γ (x − mean) / deviation + β */
function normFormula(s, place, i, mean, deviation, index) {
  const x = s.xs[0].data[i];
  place.append(formula("y = ", ...factorOf(s, "weight", index, "γ ", " × "),
    `(${numberText(x)} − ${numberText(mean)}) / ${numberText(deviation)}`,
    ...factorOf(s, "bias", index, " + β ", ""), " = ", strong(s.y.data[i])));
}

/* ---- batch norm */

function normDetail(s, place) {
  const k = chosenChannel(s), parts = normParts(s.layer, k);
  place.append(formula("y = γ (x − mean) / sqrt(var + ε) + β, with the running mean and variance of the channel"));
  normFormula(s, place, chosenIndex(s), parts.mean, parts.deviation, k);
}

function normBackwardDetail(s, place) {
  const p = normParts(s.layer, chosenChannel(s)), dy = chosenGradient(s);
  place.append(gradientHead(s, "dy"));
  place.append(formula(`dx = dy γ / sqrt(var + ε) = ${numberText(dy)} × ${numberText(p.gamma)} / ` +
    `${numberText(p.deviation)} = `, strong(dy * p.gamma / p.deviation)));
}

/* ---- layer norm, group norm */

function setText(s, set, sets) {
  const c = lastOf(s.layer.shape), each = c / sets.count;
  if (s.layer.type === "group_norm")
    return `group ${set}, channels ${set * each} to ${(set + 1) * each - 1} of all pixels`;
  return option(s.layer, "all_axes", 0) ? "the whole image" : "the channels of this pixel";
}

function setNormDetail(s, place) {
  const { sets, means, deviations } = setStatistics(s.layer, s.xs[0]), i = chosenIndex(s), set = sets.of(i);
  place.append(make("p", {}, `Normalized together: ${setText(s, set, sets)}, ${sets.size} numbers.`));
  place.append(formula(`mean = ${numberText(means[set])}, sqrt(var + ε) = ${numberText(deviations[set])}`));
  normFormula(s, place, i, means[set], deviations[set], sets.index(i));
}

/* dx = (γ dy − mean(γ dy) − x̂ mean(γ dy x̂)) / sqrt(var + ε) */
function setNormBackwardDetail(s, place) {
  const { sets, deviations, xHat } = setStatistics(s.layer, s.xs[0]), i = chosenIndex(s), set = sets.of(i);
  const parts = s.parts(), dy = chosenGradient(s), { gamma } = scaleOf(s.layer, sets.index(i));
  place.append(gradientHead(s, "dy"));
  place.append(make("p", {}, `Mean and variance depend on all ${sets.size} numbers that are normalized together ` +
    `(${setText(s, set, sets)}), so that the gradient of each reaches the others.`));
  place.append(formula("dx = (γ dy − mean(γ dy) − x̂ mean(γ dy x̂)) / sqrt(var + ε)"));
  place.append(formula(`= (${numberText(gamma)} × ${numberText(dy)} − ${numberText(parts.flat[set])} − ` +
    `${numberText(xHat[i])} × ${numberText(parts.along[set])}) / ${numberText(deviations[set])} = `,
  strong(parts.dxs[0].data[i])));
  scaleGradientText(s, place, xHat[i] * dy, dy, sets.index(i));
}

/* What the element adds to dγ and dβ, and what all elements together make of them. */
function scaleGradientText(s, place, toScale, toShift, index) {
  const text = { weight: ["dγ", "dy x̂", toScale], bias: ["dβ", "dy", toShift] };
  s.layer.weights.forEach((weight, n) => {
    const [name, term, value] = text[weight.role];
    place.append(formula(`adds ${s.layer.type === "affine" ? term.replace("x̂", "x") : term} = ${numberText(value)} to ` +
      `${name}, which is `, strong(s.parts().dws[n][index]), " in all"));
  });
}

/* ---- local response norm */

function responseRow(s) {
  const n = lastOf(s.y.shape), j = chosenChannel(s), first = chosenIndex(s) - j;
  const row = s.xs[0].data.subarray(first, first + n);
  return { row: row, j: j, first: first, p: responseParts(s.layer, row, j) };
}

function responseDetail(s, place) {
  const { row, j, p } = responseRow(s);
  const squares = Array.from(row.subarray(p.from, p.to), (z) => `${numberText(z)}²`).join(" + ");
  place.append(formula(`D = bias + α / size × the squares of channels ${p.from} to ${p.to - 1} = ` +
    `${numberText(p.d - p.alpha * p.sum)} + ${numberText(p.alpha)} × (${squares}) = `, strong(p.d)));
  place.append(formula(`A = Z D^−β = ${numberText(row[j])} × ${numberText(p.d)}^−${numberText(p.beta)} = `,
    strong(s.y.data[chosenIndex(s)])));
}

function responseBackwardDetail(s, place) {
  const { row, j, first, p } = responseRow(s), da = chosenGradient(s), dx = s.parts().dxs[0].data;
  const table = make("table", { class: "list" }, make("tr", {}, ...["channel", "derivative of A", "adds to dZ", "dZ"]
    .map((head) => make("th", {}, head))));
  for (let k = p.from; k < p.to; k++) {
    const slope = responseSlope(p, row, j, k);
    table.append(make("tr", { class: k === j ? "chosen" : "" }, make("td", {}, String(k)),
      ...[slope, slope * da, dx[first + k]].map((x) => make("td", {}, numberText(x)))));
  }
  place.append(gradientHead(s, "dA"), make("div", { class: "scroll tall" }, table));
}

/* ---- affine, constant */

function affineDetail(s, place) {
  const i = chosenIndex(s), k = chosenChannel(s);
  place.append(formula("y = ", ...factorOf(s, "weight", k, "γ ", " × "), numberText(s.xs[0].data[i]),
    ...factorOf(s, "bias", k, " + β ", ""), " = ", strong(s.y.data[i])));
}

function affineBackwardDetail(s, place) {
  const i = chosenIndex(s), k = chosenChannel(s), dy = chosenGradient(s), { gamma } = scaleOf(s.layer, k);
  place.append(gradientHead(s, "dy"), formula(`dx = γ dy = ${numberText(gamma)} × ${numberText(dy)} = `,
    strong(gamma * dy)));
  scaleGradientText(s, place, s.xs[0].data[i] * dy, dy, k);
}

function constantDetail(s, place) {
  place.append(formula("A number of the layer's own, the same for every image: ",
    weightInput(s, "weight", chosenIndex(s))));
}

function constantBackwardDetail(s, place) {
  place.append(gradientHead(s, "dA"), formula("is the gradient of this number; the input has none"));
}

/* ---- along a row */

/* Element k of the chosen row's arrays. */
function rowOf(s, data) {
  const n = lastOf(s.y.shape), first = Math.floor(chosenIndex(s) / n) * n;
  return data.subarray(first, first + n);
}

function logSoftmaxDetail(s, place) {
  const z = rowOf(s, s.xs[0].data), top = maximum(Array.from(z)), k = chosenChannel(s);
  const sum = z.reduce((total, x) => total + Math.exp(x - top), 0);
  place.append(make("p", {}, `Along the ${z.length} numbers of the row, max = ${numberText(top)} and the sum of ` +
    `exp(Z − max) = ${numberText(sum)}.`));
  place.append(formula(`A = Z − max − ln ${numberText(sum)} = ${numberText(z[k])} − ${numberText(top)} − ` +
    `${numberText(Math.log(sum))} = `, strong(rowOf(s, s.y.data)[k])));
}

function logSoftmaxBackwardDetail(s, place) {
  const k = chosenChannel(s), da = rowOf(s, s.dy.data), a = rowOf(s, s.y.data)[k];
  const sum = da.reduce((total, d) => total + d, 0);
  place.append(gradientHead(s, "dA"), formula(`dZ = dA − exp(A) × the row's sum of dA = ${numberText(da[k])} − ` +
    `${numberText(Math.exp(a))} × ${numberText(sum)} = `, strong(da[k] - Math.exp(a) * sum)));
}

function softmaxBackwardDetail(s, place) {
  const k = chosenChannel(s), da = rowOf(s, s.dy.data), a = rowOf(s, s.y.data);
  const sum = da.reduce((total, d, j) => total + d * a[j], 0);
  place.append(gradientHead(s, "dA"), formula(`dZ = A (dA − the row's sum of dA × A) = ${numberText(a[k])} × ` +
    `(${numberText(da[k])} − ${numberText(sum)}) = `, strong(a[k] * (da[k] - sum))));
}

/* ---- functions of two inputs */

function binaryParts(s) {
  const from = s.xs.map((x) => sourceIndex(x, s.layer.shape, chosenIndex(s)));
  return { from: from, values: s.xs.map((x, n) => x.data[from[n]]),
    names: s.xs.map((x, n) => `${s.network.layers[s.layer.inputs[n]].name} ${elementName(x.shape, from[n])}`) };
}

function binaryDetail(s, place) {
  const { values, names } = binaryParts(s), sign = binaries[s.layer.type][3];
  const [a, b] = values.map((x) => numberText(x)), isWord = sign.length > 1;
  place.append(make("p", { class: "soft" }, `A is ${names[0]}, B is ${names[1]}.`));
  place.append(formula(isWord ? `${sign}(A, B) = ${sign}(${a}, ${b}) = ` : `A ${sign} B = ${a} ${sign} ${b} = `,
    strong(s.y.data[chosenIndex(s)])));
}

function binaryBackwardDetail(s, place) {
  const { from, values, names } = binaryParts(s), dy = chosenGradient(s);
  place.append(gradientHead(s, "dY"));
  binaries[s.layer.type].slice(1, 3).forEach((slope, n) => {
    const shared = product(s.layer.shape) / product(s.xs[n].shape);
    place.append(formula(`derivative in ${"AB"[n]} ${numberText(slope(...values))}: adds `, strong(dy * slope(...values)),
      ` to the gradient of ${names[n]}, which is ${numberText(s.parts().dxs[n].data[from[n]])}` +
      (shared > 1 ? `, the sum over ${shared} elements that it is combined with` : "")));
  });
}
