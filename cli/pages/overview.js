/* overview.js - the answer, and the network as a list of layers with their maps. */

const MAPS_SHOWN = 16;

/* The value that a layer's maps show: computed here, or the library's 8 bits. */
function shownValue(network, i, direction) {
  const exact = direction === "dy" ? network.grads[i] : network.values[i];
  if (exact) return exact;
  return network.edited || network.isExact(i) ? null : network.library[i][direction];
}

/* ---- the answer */

function probabilities(network) {
  const y = network.output();
  if (!y || y.shape.length !== 1) return null;
  return y.data.length === 1 ? [1 - y.data[0], y.data[0]] : Array.from(y.data);
}

function drawBars(network, place, choose) {
  const p = probabilities(network);
  place.replaceChildren();
  if (!p) {
    place.append(make("p", { class: "soft" }, network.edited
      ? "After a change the page cannot compute the answer: it does not hold all weights."
      : "A class for every pixel: the last layer's maps show them."));
    return;
  }
  const order = p.map((value, k) => k).sort((a, b) => p[b] - p[a] || a - b).slice(0, 8);
  if (!order.includes(network.label)) order.push(network.label);
  for (const k of order) {
    const bar = make("span", { class: "bar" });
    bar.style.width = `${Math.max(100 * p[k], 0.5)}%`;
    place.append(make("button", {
      type: "button", class: "answer", "aria-pressed": String(k === network.label),
      title: "Find the loss and the score against this class", onclick: () => choose(k),
    }, make("span", { class: "class" }, network.data.classes[k] || String(k)),
    make("span", { class: "track" }, bar), make("span", { class: "number" }, percentText(p[k]))));
  }
}

const overlays = {
  none: ["Image", "What the network is shown, with the normalization undone."],
  saliency: ["Saliency", "How much each pixel moves the class's score: the largest magnitude over " +
    "channels of its gradient."],
  cam: ["Grad-CAM", "Where the last feature maps speak for the class: their sum, weighted by the " +
    "mean of their gradients, where it is positive."],
};

function drawPicture(network, overlay, place) {
  const canvas = make("canvas", { "aria-label": "The image", role: "img" });
  const value = network.values[0] || network.library[0].y;
  paintImage(canvas, value, network.data);
  const box = framed(canvas, value.shape[0], value.shape[1], 220, []);
  const map = overlay === "saliency" ? network.saliency() : overlay === "cam" ? network.cam() : null;
  if (map) {
    const heat = make("canvas", { class: "heat" });
    paintHeat(heat, map);
    canvas.classList.add("under");
    box.append(heat);
  }
  place.replaceChildren(box);
}

/* ---- the layers */

function layerMaps(network, i, direction) {
  const value = shownValue(network, i, direction), strip = make("div", { class: "strip" });
  if (!value) {
    strip.append(make("span", { class: "soft" }, direction === "dy" ? "no gradient" : "not computed"));
    return strip;
  }
  if (i === 0 && direction === "y") {
    const canvas = make("canvas", {});
    paintImage(canvas, value, network.data);
    strip.append(thumbnail(canvas, value.shape));
    return strip;
  }
  const image = asImage(value), scale = largestMagnitude(value.data);
  const channels = image.shape[2];
  for (let k = 0; k < Math.min(channels, MAPS_SHOWN); k++) {
    const canvas = make("canvas", {});
    paintChannel(canvas, image, k, scale);
    strip.append(thumbnail(canvas, image.shape));
  }
  const all = network.layers[i].shape.length === 3 ? network.layers[i].shape[2] : 1;
  if (all > strip.childElementCount)
    strip.append(make("span", { class: "soft" }, `and ${all - strip.childElementCount} more`));
  return strip;
}

function thumbnail(canvas, shape) {
  const flat = shape[0] === 1 && shape[1] > 1;
  canvas.style.width = flat ? `${Math.min(260, Math.max(40, 4 * shape[1]))}px` : "44px";
  canvas.style.height = flat ? "12px" : `${44 * shape[0] / shape[1]}px`;
  return canvas;
}

function parameterCount(layer) {
  return layer.weights.reduce((sum, w) => sum + product(w.shape), 0);
}

function layerRow(network, state, i, choose) {
  const layer = network.layers[i], parameters = parameterCount(layer);
  const from = layer.inputs.filter((k) => k !== i - 1).map((k) => network.layers[k].name);
  return make("div", { class: "layer", role: "option", id: `layer-${i}`, onclick: () => choose(i) },
    make("div", { class: "what" },
      make("b", {}, layer.name), " ",
      make("span", { class: "soft" }, `${layer.type === layer.name ? "" : layer.type} ${layer.text}`),
      make("div", { class: "soft" }, shapeText(layer.shape) +
        (parameters ? ` · ${parameters.toLocaleString("en")} parameters` : "") +
        (from.length ? ` · reads ${from.join(", ")}` : ""))),
    layerMaps(network, i, state.direction));
}

/* The maps of a deep network take long to paint: they are painted anew only where they changed. */
function drawLayers(network, state, place, choose) {
  const shown = `${network.version} ${state.direction} ${isDark()}`;
  if (place.dataset.shown !== shown)
    place.replaceChildren(...network.layers.map((_, i) => layerRow(network, state, i, choose)));
  place.dataset.shown = shown;
  Array.from(place.children).forEach((row, i) => row.setAttribute("aria-selected", String(i === state.layer)));
  place.setAttribute("aria-activedescendant", `layer-${state.layer}`);
}
