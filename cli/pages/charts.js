/* charts.js - lines and bars as SVG. */

function svg(tag, attributes, ...children) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

const chartSize = { width: 560, height: 240, left: 66, right: 12, top: 10, bottom: 28 };

/* About four round numbers from low to high. */
function ticks(low, high) {
  const raw = (high - low) / 5 || 1, power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((k) => k * power).find((s) => s >= raw);
  const found = [];
  for (let t = Math.ceil(low / step - 1e-9) * step; t <= high + 1e-9 * step; t += step) found.push(t);
  return found;
}

function frame(low, high, first, last) {
  const c = chartSize;
  const x = (t) => c.left + (last > first ? (t - first) / (last - first) : 0.5) * (c.width - c.left - c.right);
  const y = (t) => c.height - c.bottom - (t - low) / (high - low || 1) * (c.height - c.top - c.bottom);
  const box = svg("svg", { viewBox: `0 0 ${c.width} ${c.height}`, role: "img" });
  for (const t of ticks(low, high))
    box.append(svg("line", { class: "gridline", x1: c.left, x2: c.width - c.right, y1: y(t), y2: y(t) }),
      svg("text", { x: c.left - 6, y: y(t) + 4, "text-anchor": "end" }, numberText(t)));
  return { box: box, x: x, y: y };
}

function axisLabels(f, values) {
  for (const t of values)
    f.box.append(svg("text", { x: f.x(t), y: chartSize.height - 8, "text-anchor": "middle" }, numberText(t)));
}

/* lines: [{ name, values }], one value per epoch; null leaves a gap. */
function lineChart(lines, label) {
  const all = lines.flatMap((line) => line.values).filter((v) => v !== null && v !== undefined);
  if (!all.length) return make("p", { class: "soft" }, "nothing recorded");
  const n = lines[0].values.length, f = frame(Math.min(0, ...all), Math.max(...all), 1, Math.max(n, 2));
  f.box.setAttribute("aria-label", label);
  lines.forEach((line, k) => {
    const points = line.values.map((v, i) => (v === null || v === undefined ? null : `${f.x(i + 1)},${f.y(v)}`));
    f.box.append(svg("polyline", { class: `line-${k + 1}`, points: points.filter((p) => p).join(" ") }));
  });
  axisLabels(f, ticks(1, Math.max(n, 2)).filter((t) => Number.isInteger(t)));
  const legend = make("p", { class: "legend" });
  lines.forEach((line, k) => legend.append(make("b", { class: k ? "second" : "" }), line.name));
  return make("div", {}, f.box, legend);
}

/* Bars from 0 to 1 over bins of the same width, and the diagonal. */
function calibrationChart(bins) {
  const f = frame(0, 1, 0, 1);
  f.box.setAttribute("aria-label", "Accuracy over confidence");
  bins.forEach((bin, i) => {
    if (!bin.count) return;
    const x = f.x(i / bins.length), y = f.y(bin.accuracy);
    f.box.append(svg("rect", { class: "block", x: x + 2, y: y, width: f.x((i + 1) / bins.length) - x - 4,
      height: Math.max(f.y(0) - y, 1) },
    svg("title", {}, `${bin.count} images: confidence ${percentText(bin.confidence)}, right ${percentText(bin.accuracy)}`)));
  });
  f.box.append(svg("line", { class: "ideal", x1: f.x(0), y1: f.y(0), x2: f.x(1), y2: f.y(1) }));
  axisLabels(f, [0, 0.25, 0.5, 0.75, 1]);
  return f.box;
}
