/*
 * moves.js - layers that move or join values: each output is a sum of some inputs times factors.
 *
 *     moves[type](layer, xs, use) calls use(outputIndex, inputNumber, inputIndex, factor) for each
 *
 * with NO_INPUT for the number of a term that no input makes: a pad's value.
 */
const NO_INPUT = -1;

const moves = {
  flatten: keep,
  reshape: keep,
  dropout: keep,
  add: (layer, xs, use) => xs.forEach((x, n) => x.data.forEach((value, i) => use(i, n, i, 1))),
  concat: concatenate,
  transpose: exchange,
  slice: cut,
  zero_pad2d: (layer, xs, use) => moveBy(layer, xs[0].shape, 1, use),
  crop2d: (layer, xs, use) => moveBy(layer, xs[0].shape, -1, use),
  pad2d: surround,
  upsample2d: (layer, xs, use) => resample(layer, xs[0].shape, use, option(layer, "method", 0)
    ? upsampleTaps : (l, axis, p) => [[Math.floor(p / l.options.factor[axis]), 1]]),
  resize2d: (layer, xs, use) => resample(layer, xs[0].shape, use, resizeTaps),
};

function moveForward(layer, xs) {
  const y = tensor(layer.shape);
  moves[layer.type](layer, xs, (to, n, from, factor) => {
    y.data[to] += n === NO_INPUT ? factor : factor * xs[n].data[from];
  });
  return y;
}

function moveBackward(layer, xs, y, dy) {
  const dxs = xs.map((x) => tensor(x.shape));
  moves[layer.type](layer, xs, (to, n, from, factor) => {
    if (n !== NO_INPUT) dxs[n].data[from] += factor * dy.data[to];
  });
  return { dxs: dxs };
}

/* ---- the same elements in another shape or order, or some of them */

function keep(layer, xs, use) {
  xs[0].data.forEach((x, i) => use(i, 0, i, 1));
}

function concatenate(layer, xs, use) {
  const all = lastOf(layer.shape);
  let first = 0;
  xs.forEach((x, n) => {
    const c = lastOf(x.shape);
    for (let i = 0; i < x.data.length; i++) use(Math.floor(i / c) * all + first + i % c, n, i, 1);
    first += c;
  });
}

/* Y[o, b, a, k] = X[o, a, b, k] */
function exchange(layer, xs, use) {
  const [a, b] = layer.options.axes, inner = option(layer, "inner", 1), block = a * b * inner;
  xs[0].data.forEach((x, i) => {
    const k = i % inner, at = Math.floor(i / inner) % b, row = Math.floor(i / (inner * b)) % a;
    use(Math.floor(i / block) * block + (at * a + row) * inner + k, 0, i, 1);
  });
}

/* Y[.., j, ..] = X[.., begin + j step, ..] */
function cut(layer, xs, use) {
  const shape = xs[0].shape, axis = shape.length - 1 - option(layer, "axis", 0);
  const inner = product(shape.slice(axis + 1)), outer = product(shape.slice(0, axis));
  const count = option(layer, "count", 1), begin = option(layer, "begin", 0), step = option(layer, "step", 1);
  for (let o = 0; o < outer; o++)
    for (let j = 0; j < count; j++)
      for (let k = 0; k < inner; k++)
        use((o * count + j) * inner + k, 0, (o * shape[axis] + begin + j * step) * inner + k, 1);
}

/* ---- borders */

function moveBy(layer, from, sign, use) {
  const pads = layer.options.pads, to = layer.shape;
  forPixels(from, (row, column, index) => {
    const r = row + sign * pads[0], c = column + sign * pads[1];
    if (r < 0 || c < 0 || r >= to[0] || c >= to[1]) return;
    for (let k = 0; k < from[2]; k++) use((r * to[1] + c) * to[2] + k, 0, index * from[2] + k, 1);
  });
}

/* The row of n that stands at r beyond the border; -1: none, the pad's value stands there. */
const borders = [
  () => -1,
  (r, n) => (r < 0 ? -r : 2 * (n - 1) - r),
  (r, n) => (r < 0 ? 0 : n - 1),
  (r, n) => (r < 0 ? r + n : r - n),
];

function surround(layer, xs, use) {
  const from = xs[0].shape, pads = layer.options.pads, border = borders[option(layer, "mode", 0)];
  const rowAt = (r, n) => (r >= 0 && r < n ? r : border(r, n));
  forPixels(layer.shape, (row, column, index) => {
    const r = rowAt(row - pads[0], from[0]), c = rowAt(column - pads[1], from[1]);
    for (let k = 0; k < from[2]; k++) {
      if (r < 0 || c < 0) use(index * from[2] + k, NO_INPUT, 0, option(layer, "value", 0));
      else use(index * from[2] + k, 0, (r * from[1] + c) * from[2] + k, 1);
    }
  });
}

/* ---- another size: tapsOf(layer, axis, p, nPrev, n) gives the rows that row p is made of, and
 * their shares; none where a crop reaches beyond the image, and `outside` stands there */

function resample(layer, from, use, tapsOf) {
  const to = layer.shape;
  const taps = [0, 1].map((axis) => Array.from({ length: to[axis] },
    (_, p) => tapsOf(layer, axis, p, from[axis], to[axis])));
  forPixels(to, (row, column, index) => {
    if (!taps[0][row].length || !taps[1][column].length) {
      for (let k = 0; k < from[2]; k++) use(index * from[2] + k, NO_INPUT, 0, option(layer, "outside", 0));
      return;
    }
    for (const [r, p] of taps[0][row])
      for (const [c, q] of taps[1][column])
        for (let k = 0; k < from[2]; k++)
          use(index * from[2] + k, 0, (r * from[1] + c) * from[2] + k, p * q);
  });
}

/* The two pixels around (p + 1/2) / factor - 1/2, which stays within the image. */
function upsampleTaps(layer, axis, p, nPrev) {
  const place = Math.max((p + 0.5) / layer.options.factor[axis] - 0.5, 0);
  const first = Math.min(Math.floor(place), nPrev - 1), part = place - first;
  return [[first, 1 - part], [Math.min(first + 1, nPrev - 1), part]];
}

/* Where row p of n lies among nPrev rows. f is n / nPrev, or the scale that the layer was given; a crop
 * begins at `begin` and reaches over `extent`, as parts of nPrev - 1. */
const coordinates = [
  (p, f) => (p + 0.5) / f - 0.5,
  (p, f, nPrev, n) => (n > 1 ? (p + 0.5) / f - 0.5 : 0),
  (p, f, nPrev, n) => (n > 1 ? p * (nPrev - 1) / (f * nPrev - 1) : 0),
  (p, f) => p / f,
  (p, f, nPrev, n) => (nPrev - n / f) / 2 + (p + 0.5) / f - 0.5,
  (p, f, nPrev, n, begin, extent) => (begin + extent * (n > 1 ? p / (f * nPrev - 1) : 0.5)) * (nPrev - 1),
];
const CROP = 5;

const roundings = [(x) => Math.ceil(x - 0.5), (x) => Math.floor(x + 0.5), Math.floor, Math.ceil];

/* The share of a row at distance t, by Keys's piecewise cubic. */
function cubicShare(a, t) {
  if (t <= 1) return ((a + 2) * t - (a + 3)) * t * t + 1;
  return t < 2 ? ((a * t - 5 * a) * t + 8 * a) * t - 4 * a : 0;
}

/* The nearest row, the two around the place, or the four, or with `antialias`, where the image shrinks, as
 * many as a row covers; beyond the border stands the border's. */
function resizeTaps(layer, axis, p, nPrev, n) {
  const given = option(layer, axis ? "scale_w" : "scale_h", 0), f = given > 0 ? given : n / nPrev;
  const kind = option(layer, "coordinates", 0), method = option(layer, "method", 0);
  const place = coordinates[kind](p, f, nPrev, n, option(layer, axis ? "crop_x" : "crop_y", 0),
    option(layer, axis ? "crop_w" : "crop_h", 1));
  if (kind === CROP && (place < -1e-6 || place > nPrev - 1 + 1e-6)) return [];
  if (method === 0) return [[clamp(roundings[option(layer, "rounding", 0)](place), 0, nPrev - 1), 1]];
  const inside = option(layer, "inside", 0), smooth = option(layer, "antialias", 0);
  const stretch = smooth ? Math.min(f, 1) : 1, reach = method / stretch;
  const first = Math.floor(place - reach) + 1, rows = [];
  for (let row = first; row < Math.max(place + reach, first + 2 * method); row++) rows.push(row);
  const shares = rows.map((row) => {
    if (inside && (row < 0 || row > nPrev - 1)) return 0;
    const t = stretch * Math.abs(place - row);
    return method === 1 ? Math.max(1 - t, 0) : cubicShare(option(layer, "cubic_a", -0.75), t);
  });
  const sum = inside || smooth ? shares.reduce((a, b) => a + b, 0) : 1;
  return rows.map((row, k) => [clamp(row, 0, nPrev - 1), shares[k] / sum]);
}
