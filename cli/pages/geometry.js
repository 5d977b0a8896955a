/*
 * geometry.js - where a window lies.
 *
 * A tensor is { shape, data }: shape [n_H, n_W, n_C] or [n], data a Float64Array with the last axis
 * contiguous, as in the library. A layer with a window has { kernel, stride, pads, dilation }, pads
 * being rows above, columns left, rows below, columns right.
 */

function tensor(shape, data) {
  return { shape: shape, data: data || new Float64Array(product(shape)) };
}

/* n = floor((n_prev + pads - ((f - 1) dilation + 1)) / stride) + 1 along both axes. */
function outputSize(window, shape) {
  return [0, 1].map((axis) => {
    const reach = (window.kernel[axis] - 1) * window.dilation[axis] + 1;
    const room = shape[axis] + window.pads[axis] + window.pads[axis + 2] - reach;
    return room < 0 ? 0 : Math.floor(room / window.stride[axis]) + 1;
  });
}

/* The pixel of the input under tap (u, v) of the window at (row, column); -1: it is padding. */
function pixelUnder(window, shape, row, column, u, v) {
  const r = row * window.stride[0] - window.pads[0] + u * window.dilation[0];
  const c = column * window.stride[1] - window.pads[1] + v * window.dilation[1];
  if (r < 0 || c < 0 || r >= shape[0] || c >= shape[1]) return -1;
  return r * shape[1] + c;
}

/* The pixel of A_prev whose product with tap (u, v) of a transposed convolution is added to its output
 * at (row, column); -1: none. */
function transposedPixel(window, shape, row, column, u, v) {
  const r = (row + window.pads[0] - u * window.dilation[0]) / window.stride[0];
  const c = (column + window.pads[1] - v * window.dilation[1]) / window.stride[1];
  if (!Number.isInteger(r) || !Number.isInteger(c)) return -1;
  if (r < 0 || c < 0 || r >= shape[0] || c >= shape[1]) return -1;
  return r * shape[1] + c;
}

/* n = (n_prev - 1) stride + (f - 1) dilation + 1 - pads, and what is added at the end. */
function transposedSize(window, shape, added) {
  return [0, 1].map((axis) => (shape[axis] - 1) * window.stride[axis] +
    (window.kernel[axis] - 1) * window.dilation[axis] + 1 - window.pads[axis] - window.pads[axis + 2] +
    added[axis]);
}

/* Calls use(pixel, u, v) for every tap of the window that lies in the image. */
function forTaps(window, shape, row, column, use) {
  for (let u = 0; u < window.kernel[0]; u++)
    for (let v = 0; v < window.kernel[1]; v++) {
      const pixel = pixelUnder(window, shape, row, column, u, v);
      if (pixel >= 0) use(pixel, u, v);
    }
}

/* Calls use(row, column, index) for every output pixel. */
function forPixels(shape, use) {
  for (let row = 0; row < shape[0]; row++)
    for (let column = 0; column < shape[1]; column++) use(row, column, row * shape[1] + column);
}

/* A map of one row stands for a tensor without pixels. */
function asImage(t) {
  return t.shape.length === 3 ? t : { shape: [1, t.shape[0], 1], data: t.data };
}
