/* base.js - what both pages share: the data, numbers as text, elements, colors. */
"use strict";

const page = JSON.parse(document.getElementById("data").textContent);

/* ---- arrays in the data */

function bytesOf(text) {
  const characters = atob(text);
  const bytes = new Uint8Array(characters.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = characters.charCodeAt(i);
  return bytes;
}

/* float32 numbers, as doubles. */
function floatsOf(text) {
  const view = new DataView(bytesOf(text).buffer);
  const floats = new Float64Array(view.byteLength / 4);
  for (let i = 0; i < floats.length; i++) floats[i] = view.getFloat32(4 * i, true);
  return floats;
}

function product(numbers) {
  return numbers.reduce((a, b) => a * b, 1);
}

/* ---- text */

/* Five digits, as short as they can be written: 0.25, -1.2346, 3.1e-7. */
function numberText(x) {
  if (x === null || x === undefined || Number.isNaN(x)) return "–";
  if (!Number.isFinite(x)) return x > 0 ? "∞" : "−∞";
  const size = Math.abs(x);
  const text = size !== 0 && (size < 1e-4 || size >= 1e6)
    ? Number(x.toPrecision(3)).toExponential() : String(Number(x.toPrecision(5)));
  return text.replace(/-/g, "−");
}

function shapeText(shape) {
  return shape.join(" × ");
}

function percentText(x) {
  return (100 * x).toFixed(x > 0.9995 && x < 1 ? 2 : 1) + "\u00a0%";
}

/* ---- elements: text is only ever set as text, so that a name is never markup */

function make(tag, attributes, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (name === "class") node.className = value;
    else if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

function byId(id) {
  return document.getElementById(id);
}

/* ---- light and dark */

function styleColor(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

/* While the page is printed it is light, and what is painted is painted anew. */
let printing = false;

function isDark() {
  if (printing) return false;
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}

/* The button that changes between them; `redraw` is called when the colors have changed. */
function themeButton(redraw) {
  const button = make("button", { type: "button", id: "theme", title: "Light or dark" }, "◐");
  button.addEventListener("click", () => {
    document.documentElement.dataset.theme = isDark() ? "light" : "dark";
    redraw();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  for (const [event, value] of [["beforeprint", true], ["afterprint", false]])
    addEventListener(event, () => {
      printing = value;
      redraw();
    });
  return button;
}
