/* explain.js - what is chosen on the page, and what happens when something else is. */

const network = new Network(page);
const state = { layer: 0, row: 0, column: 0, channel: 0, input: 0, direction: "y", overlay: "none",
  trial: null };

/* ---- choosing */

function clampIndex(value, size) {
  return Math.max(0, Math.min(size - 1, value));
}

function convolves(layer) {
  return layer.window !== null && layer.weights.length > 0;
}

/* Keeps the choice within the layer's shape. */
function fitChoice(s) {
  if (!s.y) return;
  const [h, w, c] = asImage(s.y).shape;
  state.row = clampIndex(state.row, h);
  state.column = clampIndex(state.column, w);
  state.channel = clampIndex(state.channel, c);
  if (!s.xs.length || s.xs[0] === null) return;
  let first = 0, seen = asImage(s.xs[0]).shape[2];
  if (convolves(s.layer)) {
    const group = convGroup({ ...s, state: state });
    first = group.first;
    seen = group.size.seen;
  }
  state.input = first + clampIndex(state.input - first, seen);
}

/* Backward, an element without a gradient says little: the channel's largest one is taken. */
function findGradient() {
  const dy = network.grads[state.layer];
  if (!dy || at(dy, state.row, state.column, state.channel) !== 0) return;
  Object.assign(state, largestOf(dy, state.channel));
}

function choose(changes) {
  if ("layer" in changes && changes.layer !== state.layer) {
    state.trial = null;
    changes = { ...opening(changes.layer), ...changes };
  }
  const turned = changes.direction === "dy" || "layer" in changes;
  Object.assign(state, changes);
  if (turned && state.direction === "dy" && !state.trial) findGradient();
  draw();
}

/* Where a channel of a tensor has its largest magnitude. */
function largestOf(t, channel) {
  const image = asImage(t), c = image.shape[2];
  let best = 0;
  for (let p = 0; p < image.data.length / c; p++)
    if (Math.abs(image.data[p * c + channel]) > Math.abs(image.data[best * c + channel])) best = p;
  return { row: Math.floor(best / image.shape[1]), column: best % image.shape[1] };
}

/* The element that a layer opens with. */
function opening(i) {
  const y = network.values[i];
  return { row: 0, column: 0, channel: 0, input: 0, ...(y ? largestOf(y, 0) : {}) };
}

/* Where the detail stands below the list, it comes into view. */
function chooseLayer(i) {
  choose({ layer: i });
  if (innerWidth < 1000) byId("detail").scrollIntoView({ block: "start" });
}

function chooseLabel(k) {
  network.label = k;
  network.backward();
  draw();
}

/* ---- controls */

function pressed(text, on, act, id) {
  return make("button", { type: "button", "aria-pressed": String(on), id: id, onclick: act }, text);
}

function stepper(label, id, value, least, most, act) {
  const input = make("input", { type: "number", id: id, min: least, max: most, value: value });
  input.addEventListener("change", () => {
    const n = Math.round(Number(input.value));
    act(Number.isFinite(n) ? Math.max(least, Math.min(most, n)) : value);
  });
  return make("label", {}, label, " ", input);
}

function drawDirections() {
  byId("directions").replaceChildren(
    pressed("Forward", state.direction === "y", () => choose({ direction: "y" }), "forward"),
    pressed("Backward", state.direction === "dy", () => choose({ direction: "dy" }), "backward"));
  byId("map-legend").textContent = state.direction === "y"
    ? "Outputs of each layer: orange above zero, blue below."
    : "Gradients of the loss with respect to them.";
}

function drawOverlays() {
  const names = Object.keys(overlays).filter((name) => name === "none" || page[name]);
  byId("overlays").replaceChildren(...names.map((name) =>
    pressed(overlays[name][0], state.overlay === name, () => choose({ overlay: name }), `overlay-${name}`)));
  byId("overlay-text").textContent = overlays[state.overlay][1];
}

function elementControls(s, place) {
  const [h, w, c] = asImage(s.y).shape;
  if (h > 1) place.append(stepper("row", "row", state.row, 0, h - 1, (n) => choose({ row: n })));
  place.append(stepper(h > 1 ? "column" : "element", "column", state.column, 0, w - 1,
    (n) => choose({ column: n })));
  if (c > 1) place.append(stepper("channel", "channel", state.channel, 0, c - 1, (n) => choose({ channel: n })));
}

/* Kernel, stride and padding: another window for this layer alone. */
function windowControls(s, place) {
  const base = network.layers[state.layer].window, now = state.trial || base;
  const change = (key, n) => {
    const next = { ...now, [key]: key === "pads" ? [n, n, n, n] : [n, n] };
    choose({ trial: next });
  };
  const pads = now.pads.every((p) => p === now.pads[0]) ? now.pads[0] : Math.max(...now.pads);
  place.append(make("span", { class: "group" }, stepper("kernel", "kernel", now.kernel[0], 1, 15,
    (n) => change("kernel", n)),
  stepper("stride", "stride", now.stride[0], 1, 8, (n) => change("stride", n)),
  stepper("pad", "pad", pads, 0, 8, (n) => change("pads", n)),
  state.trial ? make("button", { type: "button", id: "as-trained",
    onclick: () => choose({ trial: null }) }, "as in the network") : null));
}

/* ---- the detail */

function mapFigure(title, value, k, side, marks, pick) {
  const canvas = make("canvas", { role: "img", "aria-label": title });
  const image = asImage(value);
  paintChannel(canvas, image, k, largestMagnitude(image.data));
  const box = framed(canvas, image.shape[0], image.shape[1], side, marks);
  if (pick) {
    box.tabIndex = 0;
    box.classList.add("pick");
    box.addEventListener("click", (event) => {
      const area = canvas.getBoundingClientRect();
      pick(Math.floor((event.clientY - area.top) / area.height * image.shape[0]),
        Math.floor((event.clientX - area.left) / area.width * image.shape[1]));
    });
  }
  return make("figure", {}, make("figcaption", {}, title), box);
}

/* The elements of A_prev that the window covers; of a transposed convolution those that add to Z here. */
function windowMark(s) {
  const w = s.layer.window;
  if (isTransposed(s.layer)) {
    const [first, last] = [0, 1].map((end) => [state.row, state.column].map((p, axis) => {
      const tap = end ? 0 : (w.kernel[axis] - 1) * w.dilation[axis];
      return (end ? Math.floor : Math.ceil)((p + w.pads[axis] - tap) / w.stride[axis]);
    }));
    return { kind: "window", row: first[0], column: first[1], rows: last[0] - first[0] + 1,
      columns: last[1] - first[1] + 1 };
  }
  return { kind: "window", row: state.row * w.stride[0] - w.pads[0],
    column: state.column * w.stride[1] - w.pads[1],
    rows: (w.kernel[0] - 1) * w.dilation[0] + 1, columns: (w.kernel[1] - 1) * w.dilation[1] + 1 };
}

function drawMaps(s, place) {
  const back = state.direction === "dy", filters = convolves(s.layer);
  const out = back ? s.dy : s.y, chosen = { kind: "pixel", row: state.row, column: state.column,
    rows: 1, columns: 1 };
  const figures = [], side = innerWidth >= 1700 ? 380 : 260;
  if (s.layer.window) {
    const k = filters ? state.input : state.channel;
    const value = back ? s.parts().dxs[0] : s.xs[0];
    figures.push(mapFigure(`${back ? "dA_prev" : "A_prev"}, channel ${k}`, value, k, side, [windowMark(s)], null));
  }
  const name = (back ? "d" : "") + (filters || s.layer.type === "dense" ? "Z" : "A");
  const channel = asImage(s.y).shape[2] > 1 ? `, channel ${state.channel}` : "";
  figures.push(mapFigure(name + channel, out || s.y, state.channel, side, [chosen],
    (row, column) => choose({ row: row, column: column })));
  place.replaceChildren(...figures);
}

function transposedText(w, n, shape) {
  const side = (axis) => {
    const reach = (w.kernel[axis] - 1) * w.dilation[axis] + 1, pads = w.pads[axis] + w.pads[axis + 2];
    const added = shape[axis] - ((n[axis] - 1) * w.stride[axis] + reach - pads);
    return `(${n[axis]} − 1) × ${w.stride[axis]} + ${reach} − ${w.pads[axis]} − ${w.pads[axis + 2]}` +
      `${added ? ` + ${added}` : ""} = ${shape[axis]}`;
  };
  return `n_H = ${side(0)}, n_W = ${side(1)}`;
}

function sizeText(s) {
  if (!s.layer.window) return "";
  const w = s.layer.window, n = s.xs[0].shape;
  if (isTransposed(s.layer)) return transposedText(w, n, s.y.shape);
  const side = (axis) => `⌊(${n[axis]} + ${w.pads[axis]} + ${w.pads[axis + 2]} − ` +
    `${(w.kernel[axis] - 1) * w.dilation[axis] + 1}) / ${w.stride[axis]}⌋ + 1 = ${s.y.shape[axis]}`;
  return `n_H = ${side(0)}, n_W = ${side(1)}`;
}

function closedText(s) {
  if (network.edited && s.network.library[state.layer].y)
    return "After a change this layer is not computed: the page does not hold its weights.";
  return "The page has no room for this layer's numbers, only for its maps. convnet explain --size KB " +
    "makes more room.";
}

function drawCalculation(s, place) {
  place.replaceChildren();
  if (s.empty) {
    place.append(make("p", { class: "soft" }, "The window is larger than the padded image: no output."));
    return;
  }
  if (s.closed || !s.y) {
    place.append(make("p", { class: "soft" }, closedText(s)));
    return;
  }
  if (state.direction === "y") details[s.layer.type](s, place);
  else if (isLossLayer(s)) drawLoss(s, place);
  else if (!s.dy) place.append(make("p", { class: "soft" }, "No gradient of the loss is known here."));
  else backwardDetails[s.layer.type](s, place);
}

/* The loss, and where its gradient begins with this layer's output, what comes of that. */
function drawLoss(s, place) {
  lossDetail(s, place);
  if (s.dy) backwardDetails[s.layer.type](s, place);
}

function drawDetail() {
  const s = subjectOf(network, state);
  s.choose = choose;
  fitChoice(s);
  let parts = null;
  s.parts = () => parts || (parts = layerTypes[s.layer.type][1](s.layer, s.xs, s.y, s.dy));
  byId("detail-title").textContent = s.layer.name;
  byId("detail-text").textContent = s.closed || !s.y ? "" : sizeText(s);
  const choices = byId("choices"), open = !s.closed && s.y;
  choices.replaceChildren();
  if (open) elementControls(s, choices);
  if ((open || s.empty) && s.layer.window) windowControls(s, choices);
  const drawable = open && !s.empty && (state.direction === "y" || s.dy);
  if (drawable) drawMaps(s, byId("maps"));
  else byId("maps").replaceChildren();
  drawCalculation(s, byId("calculation"));
}

/* ---- all of it */

function draw() {
  const focused = document.activeElement && document.activeElement.id;
  const label = document.activeElement && document.activeElement.getAttribute("aria-label");
  drawPicture(network, state.overlay, byId("picture"));
  drawBars(network, byId("bars"), chooseLabel);
  drawOverlays();
  drawDirections();
  drawLayers(network, state, byId("layers"), chooseLayer);
  drawDetail();
  byId("reset").disabled = !network.edited && network.label === page.label;
  const again = focused ? byId(focused)
    : label && document.querySelector(`#detail [aria-label="${CSS.escape(label)}"]`);
  if (again) again.focus({ preventScroll: true });
}

function undo() {
  network.reset();
  state.trial = null;
  draw();
}

function agreementText() {
  const worst = network.check();
  const most = Math.max(worst.forward, worst.backward, worst.weights, worst.saliency, worst.cam);
  const part = network.complete ? "All layers are" : `The first ${network.exact} of ${network.layers.length} layers are`;
  const rest = worst.compared ? ` ${worst.compared.toLocaleString("en")} numbers computed here were ` +
    `compared with those of the library; the largest difference is ${numberText(most)} of the largest ` +
    "number of its tensor." : "";
  return `${part} computed in this page, in double precision.${rest} convnet ${page.version}.`;
}

const keys = {
  ArrowUp: () => ({ row: state.row - 1 }), ArrowDown: () => ({ row: state.row + 1 }),
  ArrowLeft: () => ({ column: state.column - 1 }), ArrowRight: () => ({ column: state.column + 1 }),
  "[": () => ({ channel: state.channel - 1 }), "]": () => ({ channel: state.channel + 1 }),
  ",": () => ({ input: state.input - 1 }), ".": () => ({ input: state.input + 1 }),
  j: () => ({ layer: clampIndex(state.layer + 1, network.layers.length) }),
  k: () => ({ layer: clampIndex(state.layer - 1, network.layers.length) }),
  b: () => ({ direction: state.direction === "y" ? "dy" : "y" }),
};

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.tagName === "INPUT") return;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  if (key === "u") undo();
  if (!keys[key]) return;
  const arrows = key.startsWith("Arrow"), list = event.target.id === "layers";
  if (arrows && list) {
    choose({ layer: clampIndex(state.layer + (key === "ArrowDown" || key === "ArrowRight" ? 1 : -1),
      network.layers.length) });
    byId(`layer-${state.layer}`).scrollIntoView({ block: "nearest" });
    event.preventDefault();
    return;
  }
  if (arrows && !event.target.classList.contains("pick")) return;
  choose(keys[key]());
  event.preventDefault();
  if (arrows) document.querySelector("#maps .pick").focus({ preventScroll: true });
}

function start() {
  document.title = `${page.image}: ${page.model}`;
  const described = page.model.includes(",");
  byId("title").textContent = `How ${described ? "a network" : page.model} sees ${page.image}`;
  byId("model-text").textContent = described ? page.model : "";
  const known = page.label !== page.predicted ? ` The right answer is ${page.classes[page.label]}.` : "";
  byId("subtitle").textContent = `It answers ${page.classes[page.predicted]}.${known}`;
  byId("theme-place").append(themeButton(draw));
  byId("reset").addEventListener("click", undo);
  document.addEventListener("keydown", onKey);
  const first = network.layers.findIndex((layer) => layer.type === "conv2d");
  const begin = first > 0 && network.isExact(first) ? first : 0;
  Object.assign(state, { layer: begin }, opening(begin));
  draw();
  byId("agreement").textContent = agreementText();
}

start();
