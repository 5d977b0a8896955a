/*
 * binary.js - functions of two inputs, element by element. Along an axis where one of them has a
 * single element, this is combined with all of the other's, and its gradient is the sum over them.
 */

/* The function, its derivatives in A and in B, and how it is written. */
const binaries = {
  plus: [(a, b) => a + b, () => 1, () => 1, "+"],
  subtract: [(a, b) => a - b, () => 1, () => -1, "−"],
  multiply: [(a, b) => a * b, (a, b) => b, (a) => a, "×"],
  divide: [(a, b) => a / b, (a, b) => 1 / b, (a, b) => -a / (b * b), "/"],
  maximum: [(a, b) => (b > a ? b : a), (a, b) => Number(a >= b), (a, b) => Number(a < b), "max"],
  minimum: [(a, b) => (b < a ? b : a), (a, b) => Number(a <= b), (a, b) => Number(a > b), "min"],
  power: [(a, b) => a ** b, (a, b) => b * a ** (b - 1), (a, b) => (a > 0 ? a ** b * Math.log(a) : 0), "^"],
};

/* The element of an input that output element i is made from. */
function sourceIndex(x, shape, i) {
  const out = shape.length === 3 ? shape : [1, 1, shape[0]], n = x.shape.length === 3 ? x.shape : [1, 1, x.shape[0]];
  const place = [Math.floor(i / (out[1] * out[2])), Math.floor(i / out[2]) % out[1], i % out[2]];
  const [row, column, channel] = place.map((p, axis) => (n[axis] === 1 ? 0 : p));
  return (row * n[1] + column) * n[2] + channel;
}

function binaryForward(layer, xs) {
  const f = binaries[layer.type][0], y = tensor(layer.shape);
  y.data.forEach((_, i) => {
    y.data[i] = f(...xs.map((x) => x.data[sourceIndex(x, layer.shape, i)]));
  });
  return y;
}

function binaryBackward(layer, xs, y, dy) {
  const dxs = xs.map((x) => tensor(x.shape)), slopes = binaries[layer.type].slice(1, 3);
  dy.data.forEach((d, i) => {
    const from = xs.map((x) => sourceIndex(x, layer.shape, i)), values = xs.map((x, n) => x.data[from[n]]);
    slopes.forEach((slope, n) => { dxs[n].data[from[n]] += d * slope(...values); });
  });
  return { dxs: dxs };
}
