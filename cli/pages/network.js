/*
 * network.js - the network of the page: its values forward and backward, computed here as far as
 * the page holds the weights ("exact" layers), else as the library wrote them into the page.
 */

class Network {
  constructor(data) {
    this.data = data;
    this.layers = data.layers.map((layer) => readLayer(layer));
    const unknown = this.layers.findIndex((layer) => layer.type !== "input" && !layerTypes[layer.type]);
    this.exact = unknown < 0 ? data.exact : Math.min(data.exact, unknown);
    this.complete = this.exact === this.layers.length;
    this.pixelLabels = null;
    this.version = 0; /* grows with each change of a value or a gradient */
    this.scored = null;
    this.edited = false;
    this.library = this.layers.map((layer, i) => ({
      y: readValue(data.layers[i].y, layer.shape),
      dy: readValue(data.layers[i].dy, layer.shape),
      dws: data.layers[i].weights.map((w) => (w.gradient ? floatsOf(w.gradient) : null)),
    }));
    this.label = data.label;
    this.image = tensor(this.layers[0].shape, this.isExact(0) ? this.library[0].y.data.slice() : null);
    this.run();
  }

  isExact(i) {
    return i < this.exact;
  }

  inputs(i) {
    return this.layers[i].inputs.map((from) => this.values[from]);
  }

  run() {
    this.forward();
    this.backward();
  }

  /* values[i] is a tensor, or null where the page has only a map of 8 bits, or where a change made
   * what the library found out of date. */
  forward() {
    this.values = [];
    this.layers.forEach((layer, i) => {
      if (i === 0) this.values.push(this.isExact(0) ? this.image : null);
      else if (this.isExact(i)) this.values.push(layerTypes[layer.type][0](layer, this.inputs(i)));
      else this.values.push(this.edited ? null : exactValue(this.library[i].y));
    });
  }

  /* The layer whose output the loss, or the score of a class, is found from. */
  logits() {
    const last = this.layers[this.data.output];
    return ["softmax", "sigmoid"].includes(last.type) ? last.inputs[0] : this.data.output;
  }

  /* The class of each row of the output: the one chosen, or of every pixel the predicted one. */
  labels() {
    const y = this.values[this.data.output];
    if (y.shape.length === 1) return [this.label];
    if (!this.pixelLabels) this.pixelLabels = pixelClasses(y);
    return this.pixelLabels;
  }

  /* The targets of row r, one per output. */
  targets(r) {
    const label = this.labels()[r], n = lastOf(this.layers[this.data.output].shape);
    return Array.from({ length: n }, (_, k) => (n === 1 ? label : Number(k === label)));
  }

  /* The layer whose output the loss's gradient is found for: the logits where they are fused. */
  lossStart() {
    return this.loss.fused ? this.logits() : this.data.output;
  }

  lossGradient() {
    const p = this.values[this.data.output], n = lastOf(p.shape), rows = p.data.length / n;
    const gradient = tensor(p.shape);
    for (let r = 0; r < rows; r++)
      gradient.data.set(this.loss.gradient(Array.from(p.data.subarray(r * n, r * n + n)), this.targets(r), rows), r * n);
    return gradient;
  }

  scoreGradient(label) {
    const z = this.values[this.logits()];
    if (z.data.length === 1) return tensor(z.shape, Float64Array.of(label ? 1 : -1));
    return tensor(z.shape, z.data.map((value, k) => Number(k === label)));
  }

  /* Gradients of all values from that of layer `start`. */
  backwardFrom(start, gradient) {
    const grads = this.layers.map(() => null);
    grads[start] = gradient;
    for (let i = start; i > 0; i--) {
      if (!grads[i]) continue;
      const parts = this.partsOf(i, grads[i]);
      this.layers[i].inputs.forEach((from, n) => {
        if (!grads[from]) grads[from] = tensor(this.layers[from].shape);
        const to = grads[from].data, dx = parts.dxs[n].data;
        for (let k = 0; k < to.length; k++) to[k] += dx[k];
      });
    }
    return grads;
  }

  /* What the layer makes of a gradient of its output. */
  partsOf(i, dy) {
    const layer = this.layers[i];
    return layerTypes[layer.type][1](layer, this.inputs(i), this.values[i], dy);
  }

  backward() {
    this.version++;
    this.loss = lossOf(this.data.loss_kind, this.layers[this.data.output].type);
    this.live = this.complete && this.loss !== null;
    if (this.live) this.grads = this.backwardFrom(this.lossStart(), this.lossGradient());
    else this.grads = this.library.map((l) => (this.edited ? null : exactValue(l.dy)));
  }

  /* A change of a pixel or a weight. */
  change(write) {
    write();
    this.edited = true;
    this.run();
  }

  reset() {
    this.edited = false;
    this.pixelLabels = null;
    this.label = this.data.label;
    this.image = tensor(this.layers[0].shape, this.isExact(0) ? this.library[0].y.data.slice() : null);
    this.layers.forEach((layer, i) => readWeights(layer, this.data.layers[i]));
    this.run();
  }

  output() {
    return this.values[this.data.output];
  }

  /* Gradients of the score of the class, found once for each version. */
  scoreGradients() {
    if (!this.scored || this.scored.version !== this.version)
      this.scored = { version: this.version,
        grads: this.backwardFrom(this.logits(), this.scoreGradient(this.label)) };
    return this.scored.grads;
  }

  /* Saliency: the largest magnitude over channels of the score's gradient at each pixel. */
  saliency() {
    if (!this.canScore()) return readMap(this.data.saliency, this.layers[0].shape);
    const dx = this.scoreGradients()[0];
    const [h, w, c] = dx.shape, map = tensor([h, w, 1]);
    dx.data.forEach((d, i) => {
      const at = Math.floor(i / c);
      map.data[at] = Math.max(map.data[at], Math.abs(d));
    });
    return map;
  }

  /* Grad-CAM: relu of the sum over channels of A[.., k] times the mean over pixels of dA[.., k]. */
  cam() {
    const data = this.data.cam;
    if (!data) return null;
    if (!this.canScore()) return readMap(data, [data.shape[0], data.shape[1], 1]);
    const a = this.values[data.layer];
    const da = this.scoreGradients()[data.layer];
    const c = a.shape[2], pixels = a.shape[0] * a.shape[1], alpha = new Float64Array(c);
    da.data.forEach((d, i) => { alpha[i % c] += d / pixels; });
    const map = tensor([a.shape[0], a.shape[1], 1]);
    a.data.forEach((value, i) => { map.data[Math.floor(i / c)] += alpha[i % c] * value; });
    map.data = map.data.map((value) => Math.max(value, 0));
    return map;
  }

  canScore() {
    return this.complete && this.data.saliency !== undefined;
  }

  /* How far the numbers computed here are from the library's: the largest difference of any, as a
   * part of the largest number of its tensor. */
  check() {
    const worst = { forward: 0, backward: 0, weights: 0, saliency: 0, cam: 0, compared: 0 };
    const compare = (kind, ours, theirs) => {
      const size = maximum(Array.from(theirs, Math.abs)) || 1;
      theirs.forEach((value, k) => {
        if (!Object.is(ours[k], value))
          worst[kind] = Math.max(worst[kind], Math.abs(ours[k] - value) / size);
      });
      worst.compared += theirs.length;
    };
    this.library.forEach((theirs, i) => {
      const y = exactValue(theirs.y), dy = exactValue(theirs.dy);
      if (y && i > 0 && this.isExact(i)) compare("forward", this.values[i].data, y.data);
      if (dy && this.live && this.grads[i]) compare("backward", this.grads[i].data, dy.data);
      if (!theirs.dws.some((dw) => dw) || !this.grads[i] || !this.isExact(i)) return;
      const parts = this.partsOf(i, this.grads[i]);
      theirs.dws.forEach((dw, k) => { if (dw && parts.dws) compare("weights", parts.dws[k], dw); });
    });
    if (this.canScore()) {
      compare("saliency", this.saliency().data, readMap(this.data.saliency, this.layers[0].shape).data);
      if (this.data.cam) compare("cam", this.cam().data, floatsOf(this.data.cam.floats));
    }
    return worst;
  }
}

/* The class of each pixel that an output finds the most probable. */
function pixelClasses(y) {
  const n = lastOf(y.shape);
  return Array.from({ length: y.data.length / n }, (_, r) => {
    const row = y.data.subarray(r * n, r * n + n);
    return n === 1 ? Number(row[0] > 0.5) : row.indexOf(maximum(Array.from(row)));
  });
}

/* ---- reading the data */

function readLayer(data) {
  const layer = {
    name: data.name, type: data.type, text: data.text, inputs: data.inputs, shape: data.shape,
    options: data.options, window: data.window || null, groups: data.groups || 1,
    weights: data.weights.map((w) => ({ role: w.role, shape: w.shape, values: null })),
  };
  readWeights(layer, data);
  return layer;
}

function readWeights(layer, data) {
  data.weights.forEach((w, k) => { layer.weights[k].values = w.floats ? floatsOf(w.floats) : null; });
}

/* { shape, data, rough }: rough values come from 8 bits, thinned out, and are for maps alone. */
function readValue(value, shape) {
  if (!value) return null;
  if (value.floats) return { shape: shape, data: floatsOf(value.floats), rough: false };
  const scale = (value.high - value.low) / 255;
  const data = Float64Array.from(bytesOf(value.bytes), (b) => value.low + b * scale);
  return { shape: value.shape, data: data, rough: true };
}

function exactValue(value) {
  return value && !value.rough ? value : null;
}

function readMap(value, shape) {
  if (!value) return null;
  const map = readValue(value, [shape[0], shape[1], 1]);
  return { shape: map.shape, data: map.data };
}
