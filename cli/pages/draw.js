/* draw.js - paints tensors: feature maps in one color, signed ones in two, images in their own. */

/* Colors of signed values from -1 to 1: blue, paper, orange. In dark mode 0 is dark. */
function signedColor(t, dark) {
  const end = t < 0 ? (dark ? [110, 178, 250] : [18, 86, 170]) : (dark ? [250, 160, 90] : [190, 80, 5]);
  const zero = dark ? [34, 39, 45] : [246, 246, 244];
  const part = Math.min(Math.abs(t), 1) ** 0.8;
  return end.map((value, i) => zero[i] + (value - zero[i]) * part);
}

/* From 0 to 1, like heat. */
function heatColor(t) {
  return [255 * Math.min(1, 2.2 * t), 255 * Math.max(0, Math.min(1, 2 * t - 0.6)), 60 * (1 - t)];
}

function largestMagnitude(data) {
  let largest = 0;
  for (const x of data) if (Number.isFinite(x)) largest = Math.max(largest, Math.abs(x));
  return largest;
}

/* A canvas of one pixel per element. */
function paint(canvas, height, width, colorAt) {
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext("2d");
  const pixels = context.createImageData(width, height);
  for (let i = 0; i < height * width; i++) {
    const color = colorAt(i);
    for (let k = 0; k < 3; k++) pixels.data[4 * i + k] = color[k];
    pixels.data[4 * i + 3] = color.length > 3 ? color[3] : 255;
  }
  context.putImageData(pixels, 0, 0);
}

/* Channel k of a tensor; `scale` is the magnitude of the full color. */
function paintChannel(canvas, value, k, scale) {
  const image = asImage(value), dark = isDark();
  const [h, w, c] = image.shape;
  paint(canvas, h, w, (i) => signedColor(scale ? image.data[i * c + k] / scale : 0, dark));
}

/* What the model was shown, with its normalization undone: gray or color. */
function paintImage(canvas, value, data) {
  const [h, w, c] = value.shape;
  const means = data.mean ? floatsOf(data.mean) : null, stds = data.std ? floatsOf(data.std) : null;
  const plain = (i) => value.data[i] * (stds ? stds[i % c] : 1) + (means ? means[i % c] : 0);
  let low = 0, high = 1;
  for (let i = 0; i < value.data.length; i++) {
    low = Math.min(low, plain(i));
    high = Math.max(high, plain(i));
  }
  paint(canvas, h, w, (pixel) => {
    const shown = (k) => 255 * (plain(pixel * c + Math.min(k, c - 1)) - low) / (high - low);
    return c >= 3 ? [shown(0), shown(1), shown(2)] : [shown(0), shown(0), shown(0)];
  });
}

/* A heat map laid over an image of the same proportions: clear where it is 0. */
function paintHeat(canvas, map) {
  const [h, w] = map.shape, top = largestMagnitude(map.data) || 1;
  paint(canvas, h, w, (i) => {
    const t = map.data[i] / top;
    return [...heatColor(t), 255 * Math.min(0.85, 1.2 * t)];
  });
}

/* A map in its frame, with room for marks: rectangles in units of its pixels. */
function framed(canvas, height, width, side, marks) {
  const scale = Math.max(side / Math.max(height, width), 0.2);
  const box = make("div", { class: "frame" }, canvas);
  box.style.width = `${width * scale}px`;
  box.style.aspectRatio = `${width} / ${height}`;
  for (const mark of marks || []) {
    const rectangle = make("div", { class: "mark " + mark.kind });
    rectangle.style.left = `${100 * mark.column / width}%`;
    rectangle.style.top = `${100 * mark.row / height}%`;
    rectangle.style.width = `${100 * mark.columns / width}%`;
    rectangle.style.height = `${100 * mark.rows / height}%`;
    box.append(rectangle);
  }
  return box;
}
