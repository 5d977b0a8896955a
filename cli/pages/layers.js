/*
 * layers.js - every type of layer: forward from its equation, backward below it. All in double
 * precision, as the library's reference is. Layers that normalize are in norms.js, those that move
 * values in moves.js, those of two inputs in binary.js; the table of all is at the end.
 *
 *     forward(layer, xs) -> y              xs: the inputs, tensors
 *     backward(layer, xs, y, dy) -> { dxs, dws }    dws: one array per weight, or missing
 */

function weightOf(layer, role) {
  const found = layer.weights.find((w) => w.role === role);
  return found ? found.values : null;
}

function option(layer, name, otherwise) {
  const value = layer.options[name];
  return value && value.length ? value[0] : otherwise;
}

/* ---- convolution:  Z[r,c,k] = sum over u,v,i of A_prev[r s + u - p, c s + v - p, i] W[u,v,i,k] + b[k]
 *
 * With groups, filter k sees the channels of its group only, and i counts within it.
 *
 * Transposed convolution adds the same products the other way round: A_prev[p,q,i] W[u,v,k,i] is a
 * term of Z at row p s + u d - pad, so that under tap (u, v) of Z's row r lies the pixel (r + pad -
 * u d) / s, where that is a whole number. */

function isTransposed(layer) {
  return layer.type === "conv_transpose2d";
}

/* x: the shape of A_prev; the channels that a filter sees, the filters, those of each group. */
function convSizes(layer, x) {
  const filters = isTransposed(layer) ? layer.weights[0].shape[2] * layer.groups : layer.weights[0].shape[3];
  return { x: x.shape, seen: x.shape[2] / layer.groups, filters: filters, each: filters / layer.groups };
}

/* The pixel of A_prev under tap (u, v) of the window of Z's pixel (row, column); -1: none. */
function pixelOf(layer, shape, row, column, u, v) {
  return (isTransposed(layer) ? transposedPixel : pixelUnder)(layer.window, shape, row, column, u, v);
}

/* The weight of tap (u, v) between channel `channel` of A_prev and filter k. */
function weightIndex(layer, size, u, v, channel, k) {
  const tap = u * layer.window.kernel[1] + v;
  return isTransposed(layer) ? (tap * size.each + k % size.each) * size.x[2] + channel
    : (tap * size.seen + channel % size.seen) * size.filters + k;
}

/* Calls use(xIndex, wIndex, k) for all taps and channels of the window at (row, column). */
function forProducts(layer, size, row, column, use) {
  const step = isTransposed(layer) ? size.x[2] : 1;
  for (let u = 0; u < layer.window.kernel[0]; u++)
    for (let v = 0; v < layer.window.kernel[1]; v++) {
      const pixel = pixelOf(layer, size.x, row, column, u, v);
      for (let channel = 0; pixel >= 0 && channel < size.x[2]; channel++) {
        const first = Math.floor(channel / size.seen) * size.each;
        const at = weightIndex(layer, size, u, v, channel, first), from = pixel * size.x[2] + channel;
        for (let k = 0; k < size.each; k++) use(from, at + k * step, first + k);
      }
    }
}

function convForward(layer, xs) {
  const size = convSizes(layer, xs[0]);
  const bias = weightOf(layer, "bias");
  const w = layer.weights[0].values;
  const x = xs[0].data;
  const y = tensor(layer.shape);
  forPixels(y.shape, (row, column, index) => {
    const at = index * size.filters;
    forProducts(layer, size, row, column, (i, j, k) => { y.data[at + k] += x[i] * w[j]; });
    if (bias) for (let k = 0; k < size.filters; k++) y.data[at + k] += bias[k];
  });
  return y;
}

/* dA_prev += W dZ,  dW += A_prev dZ,  db += dZ */
function convBackward(layer, xs, y, dy) {
  const size = convSizes(layer, xs[0]);
  const w = layer.weights[0].values;
  const x = xs[0].data;
  const dx = tensor(xs[0].shape);
  const dws = layer.weights.map((weight) => new Float64Array(product(weight.shape)));
  forPixels(dy.shape, (row, column, index) => {
    const at = index * size.filters;
    forProducts(layer, size, row, column, (i, j, k) => {
      const dz = dy.data[at + k];
      dx.data[i] += w[j] * dz;
      dws[0][j] += x[i] * dz;
    });
    if (dws[1]) for (let k = 0; k < size.filters; k++) dws[1][k] += dy.data[at + k];
  });
  return { dxs: [dx], dws: dws };
}

/* ---- pooling; padding takes no part, and of equal maxima the first counts */

function poolForward(layer, xs, ofWindow) {
  const shape = xs[0].shape;
  const y = tensor([...outputSize(layer.window, shape), shape[2]]);
  forPixels(y.shape, (row, column, index) => {
    for (let k = 0; k < shape[2]; k++) {
      const values = [];
      forTaps(layer.window, shape, row, column,
        (pixel) => values.push(xs[0].data[pixel * shape[2] + k]));
      y.data[index * shape[2] + k] = ofWindow(values);
    }
  });
  return y;
}

/* Where each output's gradient goes: share(values) gives one factor per element of the window. */
function poolBackward(layer, xs, dy, share) {
  const shape = xs[0].shape;
  const dx = tensor(shape);
  forPixels(dy.shape, (row, column, index) => {
    for (let k = 0; k < shape[2]; k++) {
      const at = [];
      forTaps(layer.window, shape, row, column, (pixel) => at.push(pixel * shape[2] + k));
      const factors = share(at.map((i) => xs[0].data[i]));
      at.forEach((i, n) => { dx.data[i] += factors[n] * dy.data[index * shape[2] + k]; });
    }
  });
  return { dxs: [dx] };
}

function maximum(values) {
  return values.reduce((a, b) => (b > a ? b : a), -Infinity);
}

function mean(values) {
  return values.reduce((a, b) => a + b, 0) / values.length;
}

/* The mask of a maximum: 1 at the first one. */
function maxMask(values) {
  const first = values.indexOf(maximum(values));
  return values.map((value, i) => (i === first ? 1 : 0));
}

/* The distributed value: every element has the same part. */
function equalShares(values) {
  return values.map(() => 1 / values.length);
}

/* Windows of an adaptive pool: from floor(p n_prev / n) up to ceil((p + 1) n_prev / n). */
function adaptiveTaps(shape, size, row, column) {
  const from = (p, axis) => Math.floor(p * shape[axis] / size[axis]);
  const to = (p, axis) => Math.ceil((p + 1) * shape[axis] / size[axis]);
  const pixels = [];
  for (let r = from(row, 0); r < to(row, 0); r++)
    for (let c = from(column, 1); c < to(column, 1); c++) pixels.push(r * shape[1] + c);
  return pixels;
}

function adaptiveSize(layer) {
  return layer.type === "global_average_pool" ? [1, 1] : layer.options.size;
}

function adaptiveForward(layer, xs) {
  const shape = xs[0].shape, size = adaptiveSize(layer), y = tensor(layer.shape);
  forPixels(size, (row, column, index) => {
    const pixels = adaptiveTaps(shape, size, row, column);
    for (let k = 0; k < shape[2]; k++)
      y.data[index * shape[2] + k] = mean(pixels.map((p) => xs[0].data[p * shape[2] + k]));
  });
  return y;
}

function adaptiveBackward(layer, xs, y, dy) {
  const shape = xs[0].shape, size = adaptiveSize(layer), dx = tensor(shape);
  forPixels(size, (row, column, index) => {
    const pixels = adaptiveTaps(shape, size, row, column);
    for (const p of pixels)
      for (let k = 0; k < shape[2]; k++)
        dx.data[p * shape[2] + k] += dy.data[index * shape[2] + k] / pixels.length;
  });
  return { dxs: [dx] };
}

/* ---- dense:  Z[j] = sum over i of A_prev[i] W[i,j] + b[j] */

function denseForward(layer, xs) {
  const y = tensor(layer.shape), n = layer.shape[0];
  const w = layer.weights[0].values, bias = weightOf(layer, "bias");
  xs[0].data.forEach((a, i) => {
    for (let j = 0; j < n; j++) y.data[j] += a * w[i * n + j];
  });
  if (bias) for (let j = 0; j < n; j++) y.data[j] += bias[j];
  return y;
}

/* dA_prev[i] = sum over j of W[i,j] dZ[j],  dW[i,j] = A_prev[i] dZ[j],  db = dZ */
function denseBackward(layer, xs, y, dy) {
  const n = layer.shape[0], w = layer.weights[0].values, dx = tensor(xs[0].shape);
  const dw = new Float64Array(w.length);
  xs[0].data.forEach((a, i) => {
    for (let j = 0; j < n; j++) {
      dx.data[i] += w[i * n + j] * dy.data[j];
      dw[i * n + j] = a * dy.data[j];
    }
  });
  return { dxs: [dx], dws: [dw, Float64Array.from(dy.data)] };
}

/* ---- functions of one element: f and f' */

/* erf by its series near 0, and by the continued fraction of erfc beyond. */
function erf(x) {
  const size = Math.abs(x);
  if (size < 3) {
    let term = x, sum = x;
    for (let n = 1; n < 60; n++) {
      term *= -x * x / n;
      sum += term / (2 * n + 1);
    }
    return 2 / Math.sqrt(Math.PI) * sum;
  }
  let fraction = 0;
  for (let n = 60; n > 0; n--) fraction = n / 2 / (size + fraction);
  return Math.sign(x) * (1 - Math.exp(-x * x) / Math.sqrt(Math.PI) / (size + fraction));
}

function logistic(x) {
  return x < 0 ? Math.exp(x) / (1 + Math.exp(x)) : 1 / (1 + Math.exp(-x));
}

function gelu(layer, x, derivative) {
  if (option(layer, "approximate", 0)) {
    const root = Math.sqrt(2 / Math.PI), t = Math.tanh(root * (x + 0.044715 * x ** 3));
    if (!derivative) return x * (1 + t) / 2;
    return (1 + t) / 2 + x * (1 - t * t) / 2 * root * (1 + 3 * 0.044715 * x * x);
  }
  const cdf = (1 + erf(x / Math.SQRT2)) / 2;
  if (!derivative) return x * cdf;
  return cdf + x * Math.exp(-x * x / 2) / Math.sqrt(2 * Math.PI);
}

const inside = (x, low, high) => (x > low && x < high ? 1 : 0);
const clamp = (x, low, high) => Math.min(Math.max(x, low), high);

const elementFunctions = {
  relu: [(l, x) => Math.max(x, 0), (l, x) => (x > 0 ? 1 : 0), "max(z, 0)"],
  relu6: [(l, x) => clamp(x, 0, 6), (l, x) => inside(x, 0, 6), "min(max(z, 0), 6)"],
  leaky_relu: [(l, x) => (x > 0 ? x : option(l, "slope", 0.01) * x),
    (l, x) => (x > 0 ? 1 : option(l, "slope", 0.01)), "z where z > 0, else slope z"],
  hard_sigmoid: [(l, x) => clamp(x + 3, 0, 6) / 6, (l, x) => inside(x, -3, 3) / 6,
    "min(max(z + 3, 0), 6) / 6"],
  hard_swish: [(l, x) => x * clamp(x + 3, 0, 6) / 6,
    (l, x) => (x <= -3 ? 0 : x >= 3 ? 1 : (2 * x + 3) / 6), "z min(max(z + 3, 0), 6) / 6"],
  clip: [(l, x) => clamp(x, option(l, "lower", 0), option(l, "upper", 0)),
    (l, x) => inside(x, option(l, "lower", 0), option(l, "upper", 0)), "min(max(z, lower), upper)"],
  shift: [(l, x) => x + option(l, "offset", 0), () => 1, "z + offset"],
  scale: [(l, x) => option(l, "factor", 1) * x, (l) => option(l, "factor", 1), "factor z"],
  sigmoid: [(l, x) => logistic(x), (l, x) => logistic(x) * logistic(-x), "1 / (1 + exp(−z))"],
  tanh: [(l, x) => Math.tanh(x), (l, x) => 1 - Math.tanh(x) ** 2, "tanh(z)"],
  elu: [(l, x) => (x > 0 ? x : option(l, "alpha", 1) * Math.expm1(x)),
    (l, x) => (x > 0 ? 1 : option(l, "alpha", 1) * Math.exp(x)), "z where z > 0, else α (exp(z) − 1)"],
  softplus: [(l, x) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x))),
    (l, x) => logistic(x), "ln(1 + exp(z))"],
  silu: [(l, x) => x * logistic(x),
    (l, x) => logistic(x) * (1 + x * logistic(-x)), "z / (1 + exp(−z))"],
  gelu: [(l, x) => gelu(l, x, false), (l, x) => gelu(l, x, true), "z Φ(z)"],
};

function elementForward(layer, xs) {
  const f = elementFunctions[layer.type][0];
  return tensor(xs[0].shape, xs[0].data.map((x) => f(layer, x)));
}

function elementBackward(layer, xs, y, dy) {
  const derivative = elementFunctions[layer.type][1];
  return { dxs: [tensor(xs[0].shape, dy.data.map((d, i) => d * derivative(layer, xs[0].data[i])))] };
}

/* ---- softmax over the last axis:  A[k] = exp(Z[k]) / sum of exp(Z) */

function forRows(shape, use) {
  const n = shape[shape.length - 1];
  for (let at = 0; at < product(shape); at += n) use(at, n);
}

function softmaxForward(layer, xs) {
  const y = tensor(xs[0].shape);
  forRows(xs[0].shape, (at, n) => {
    const row = xs[0].data.subarray(at, at + n), top = maximum(Array.from(row));
    let sum = 0;
    for (let k = 0; k < n; k++) sum += y.data[at + k] = Math.exp(row[k] - top);
    for (let k = 0; k < n; k++) y.data[at + k] /= sum;
  });
  return y;
}

/* dZ[k] = A[k] (dA[k] - sum over j of dA[j] A[j]) */
function softmaxBackward(layer, xs, y, dy) {
  const dx = tensor(xs[0].shape);
  forRows(y.shape, (at, n) => {
    let sum = 0;
    for (let k = at; k < at + n; k++) sum += dy.data[k] * y.data[k];
    for (let k = at; k < at + n; k++) dx.data[k] = y.data[k] * (dy.data[k] - sum);
  });
  return { dxs: [dx] };
}

/* ---- log softmax:  A[k] = Z[k] - ln(sum of exp(Z)) */

function logSoftmaxForward(layer, xs) {
  const y = tensor(xs[0].shape);
  forRows(xs[0].shape, (at, n) => {
    const row = xs[0].data.subarray(at, at + n), top = maximum(Array.from(row));
    const shift = top + Math.log(row.reduce((sum, z) => sum + Math.exp(z - top), 0));
    for (let k = 0; k < n; k++) y.data[at + k] = row[k] - shift;
  });
  return y;
}

/* dZ[k] = dA[k] - exp(A[k]) sum of dA */
function logSoftmaxBackward(layer, xs, y, dy) {
  const dx = tensor(xs[0].shape);
  forRows(y.shape, (at, n) => {
    const sum = dy.data.subarray(at, at + n).reduce((a, b) => a + b, 0);
    for (let k = at; k < at + n; k++) dx.data[k] = dy.data[k] - Math.exp(y.data[k]) * sum;
  });
  return { dxs: [dx] };
}

/* ---- the table */

const conv = [convForward, convBackward];
const layerTypes = {
  conv2d: conv,
  depthwise_conv2d: conv,
  conv_transpose2d: conv,
  max_pool: [(l, xs) => poolForward(l, xs, maximum), (l, xs, y, dy) => poolBackward(l, xs, dy, maxMask)],
  average_pool: [(l, xs) => poolForward(l, xs, mean), (l, xs, y, dy) => poolBackward(l, xs, dy, equalShares)],
  global_average_pool: [adaptiveForward, adaptiveBackward],
  adaptive_average_pool: [adaptiveForward, adaptiveBackward],
  dense: [denseForward, denseBackward],
  softmax: [softmaxForward, softmaxBackward],
  log_softmax: [logSoftmaxForward, logSoftmaxBackward],
  batch_norm: [normForward, normBackward],
  layer_norm: [setNormForward, setNormBackward],
  group_norm: [setNormForward, setNormBackward],
  local_response_norm: [responseForward, responseBackward],
  affine: [affineForward, affineBackward],
  constant: [constantForward, constantBackward],
};
for (const name of Object.keys(elementFunctions)) layerTypes[name] = [elementForward, elementBackward];
for (const name of Object.keys(moves)) layerTypes[name] = [moveForward, moveBackward];
for (const name of Object.keys(binaries)) layerTypes[name] = [binaryForward, binaryBackward];
