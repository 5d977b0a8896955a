/*
 * norms.js - layers that normalize, and those that scale and shift each channel by learned numbers.
 *
 *     batch norm (as it predicts)   y = γ (x − mean) / sqrt(var + ε) + β, with running statistics
 *     layer norm, group norm        the same, with the statistics of a set of elements of this image
 *     affine                        y = γ x + β
 *     constant                      y = γ, whatever x is
 */

function lastOf(shape) {
  return shape[shape.length - 1];
}

/* Element i of γ and β, where the layer has them. */
function scaleOf(layer, i) {
  const gamma = weightOf(layer, "weight"), beta = weightOf(layer, "bias");
  return { gamma: gamma ? gamma[i] : 1, beta: beta ? beta[i] : 0 };
}

/* dγ += dy x̂ and dβ += dy; element i of x̂ is scaled by element indexOf(i) of γ. */
function scaleGradients(layer, xHat, dy, indexOf) {
  return layer.weights.map((weight) => {
    const dw = new Float64Array(product(weight.shape));
    const factor = weight.role === "weight" ? (i) => xHat[i] : weight.role === "bias" ? () => 1 : () => 0;
    dy.data.forEach((d, i) => { dw[indexOf(i)] += d * factor(i); });
    return dw;
  });
}

/* ---- batch norm */

function normParts(layer, k) {
  const pick = (role, otherwise) => (weightOf(layer, role) ? weightOf(layer, role)[k] : otherwise);
  const deviation = Math.sqrt(pick("running_var", 1) + option(layer, "epsilon", 1e-5));
  return { ...scaleOf(layer, k), mean: pick("running_mean", 0), deviation: deviation };
}

function normForward(layer, xs) {
  const c = lastOf(layer.shape);
  const parts = Array.from({ length: c }, (_, k) => normParts(layer, k));
  return tensor(xs[0].shape, xs[0].data.map((x, i) => {
    const p = parts[i % c];
    return p.gamma * (x - p.mean) / p.deviation + p.beta;
  }));
}

function normBackward(layer, xs, y, dy) {
  const c = lastOf(layer.shape);
  const parts = Array.from({ length: c }, (_, k) => normParts(layer, k));
  return { dxs: [tensor(xs[0].shape,
    dy.data.map((d, i) => d * parts[i % c].gamma / parts[i % c].deviation))] };
}

/* ---- layer norm and group norm */

/* Which elements are normalized together: of(i) is the set of element i, index(i) its place in γ. */
function setsOf(layer) {
  const c = lastOf(layer.shape), count = product(layer.shape);
  if (layer.type === "group_norm") {
    const groups = layer.options.groups[0], each = c / groups;
    return { count: groups, size: count / groups, of: (i) => Math.floor(i % c / each), index: (i) => i % c };
  }
  if (option(layer, "all_axes", 0)) return { count: 1, size: count, of: () => 0, index: (i) => i };
  return { count: count / c, size: c, of: (i) => Math.floor(i / c), index: (i) => i % c };
}

/* Mean of value(i) over each set. */
function meansOf(sets, data, value) {
  const means = new Float64Array(sets.count);
  data.forEach((x, i) => { means[sets.of(i)] += value(x, i) / sets.size; });
  return means;
}

/* The statistics of each set, and x̂ = (x − mean) / sqrt(var + ε). */
function setStatistics(layer, x) {
  const sets = setsOf(layer), means = meansOf(sets, x.data, (value) => value);
  const variances = meansOf(sets, x.data, (value, i) => (value - means[sets.of(i)]) ** 2);
  const deviations = variances.map((v) => Math.sqrt(v + option(layer, "epsilon", 1e-5)));
  const xHat = x.data.map((value, i) => (value - means[sets.of(i)]) / deviations[sets.of(i)]);
  return { sets: sets, means: means, deviations: deviations, xHat: xHat };
}

function setNormForward(layer, xs) {
  const { sets, xHat } = setStatistics(layer, xs[0]);
  return tensor(xs[0].shape, xHat.map((value, i) => {
    const { gamma, beta } = scaleOf(layer, sets.index(i));
    return gamma * value + beta;
  }));
}

/* dx̂ = γ dy,  dx = (dx̂ − mean(dx̂) − x̂ mean(dx̂ x̂)) / sqrt(var + ε), means over the set */
function setNormBackward(layer, xs, y, dy) {
  const { sets, deviations, xHat } = setStatistics(layer, xs[0]);
  const dxHat = dy.data.map((d, i) => d * scaleOf(layer, sets.index(i)).gamma);
  const flat = meansOf(sets, dxHat, (d) => d), along = meansOf(sets, dxHat, (d, i) => d * xHat[i]);
  const dx = dxHat.map((d, i) => (d - flat[sets.of(i)] - xHat[i] * along[sets.of(i)]) / deviations[sets.of(i)]);
  return { dxs: [tensor(xs[0].shape, dx)], dws: scaleGradients(layer, xHat, dy, sets.index),
    flat: flat, along: along };
}

/* ---- affine, constant */

function affineForward(layer, xs) {
  const c = lastOf(layer.shape);
  return tensor(layer.shape, xs[0].data.map((x, i) => {
    const { gamma, beta } = scaleOf(layer, i % c);
    return gamma * x + beta;
  }));
}

function affineBackward(layer, xs, y, dy) {
  const c = lastOf(layer.shape);
  return { dxs: [tensor(xs[0].shape, dy.data.map((d, i) => d * scaleOf(layer, i % c).gamma))],
    dws: scaleGradients(layer, xs[0].data, dy, (i) => i % c) };
}

function constantForward(layer) {
  return tensor(layer.shape, Float64Array.from(layer.weights[0].values));
}

function constantBackward(layer, xs, y, dy) {
  return { dxs: [tensor(xs[0].shape)], dws: [Float64Array.from(dy.data)] };
}

/* ---- local response norm:  A[j] = Z[j] D[j]^−β,  D[j] = bias + α / size × sum of Z[k]² over the
 * `size` channels k around j */

/* The channels from and up to `to`, which is not among them, around channel j of n. */
function responseWindow(layer, j, n) {
  const size = layer.options.size[0], first = j - Math.floor((size - 1) / 2);
  return { from: Math.max(first, 0), to: Math.min(first + size, n) };
}

function responseParts(layer, row, j) {
  const { from, to } = responseWindow(layer, j, row.length);
  let sum = 0;
  for (let k = from; k < to; k++) sum += row[k] ** 2;
  const alpha = option(layer, "alpha", 1e-4) / layer.options.size[0], beta = option(layer, "beta", 0.75);
  return { from: from, to: to, alpha: alpha, beta: beta, sum: sum, d: option(layer, "bias", 1) + alpha * sum };
}

function responseForward(layer, xs) {
  const y = tensor(layer.shape);
  forRows(layer.shape, (at, n) => {
    const row = xs[0].data.subarray(at, at + n);
    for (let j = 0; j < n; j++) {
      const p = responseParts(layer, row, j);
      y.data[at + j] = row[j] * p.d ** -p.beta;
    }
  });
  return y;
}

/* The derivative of A[j] in Z[k], for k in j's window. */
function responseSlope(p, row, j, k) {
  return (j === k ? p.d ** -p.beta : 0) - 2 * p.alpha * p.beta * row[j] * row[k] * p.d ** (-p.beta - 1);
}

function responseBackward(layer, xs, y, dy) {
  const dx = tensor(layer.shape);
  forRows(layer.shape, (at, n) => {
    const row = xs[0].data.subarray(at, at + n);
    for (let j = 0; j < n; j++) {
      const p = responseParts(layer, row, j);
      for (let k = p.from; k < p.to; k++) dx.data[at + k] += dy.data[at + j] * responseSlope(p, row, j, k);
    }
  });
  return { dxs: [dx] };
}
