/*
 * losses.js - what the backward pass begins with. A row is an image's outputs, or those of a pixel.
 *
 * p are the outputs of a row and y its targets, 1 for the label and 0 for the rest, or with a single
 * output the label itself; rows is how many there are. The gradient is that of the logits where the
 * loss is fused with the last layer, and of its output elsewhere.
 */

/* A gradient found element by element, all of them alike. */
function each(gradientOf) {
  return (p, y, rows) => p.map((_, k) => gradientOf(p[k], y[k], rows * p.length));
}

/* p times the derivative in p of the focal loss of the target t. */
function focalTerm(t, p) {
  return t ? t * (2 * p * (1 - p) * Math.log(p) - (1 - p) ** 2) : 0;
}

function focalSoftmax(p, y, rows) {
  const terms = p.map((_, k) => focalTerm(y[k], p[k])), sum = terms.reduce((a, b) => a + b, 0);
  return p.map((_, k) => (terms[k] - p[k] * sum) / rows);
}

const meanOver = (p, term) => p.reduce((sum, _, k) => sum + term(k), 0) / p.length;
const binaryEntropy = (p, y) => (y ? -y * Math.log(p) : 0) - (y < 1 ? (1 - y) * Math.log(1 - p) : 0);
const binaryFocal = (p, y) => (y ? -((1 - p) ** 2) * Math.log(p) : -(p ** 2) * Math.log(1 - p));
const sumOver = (p, term) => p.length * meanOver(p, term);

/* By kind and last layer, "any" where nothing is fused: gradient(p, y, rows); the loss of a row; its
 * formula, and the gradient's. */
const losses = {
  "cross-entropy softmax": { gradient: (p, y, rows) => p.map((_, k) => (p[k] - y[k]) / rows),
    of: (p, y) => sumOver(p, (k) => (y[k] ? -Math.log(p[k]) : 0)), text: "−ln A[label]", slope: "dZ = A − y" },
  "binary-cross-entropy sigmoid": { gradient: each((p, y, n) => (p - y) / n),
    of: (p, y) => meanOver(p, (k) => binaryEntropy(p[k], y[k])), text: "−ln A where y is 1, −ln (1 − A) where it is 0",
    slope: "dZ = A − y" },
  "focal softmax": { gradient: focalSoftmax,
    of: (p, y) => sumOver(p, (k) => (y[k] ? -((1 - p[k]) ** 2) * Math.log(p[k]) : 0)),
    text: "−(1 − A[label])² ln A[label]", slope: "dZ" },
  "focal sigmoid": { gradient: each((p, y, n) => (focalTerm(y, p) * (1 - p) - focalTerm(1 - y, 1 - p) * p) / n),
    of: (p, y) => meanOver(p, (k) => binaryFocal(p[k], y[k])),
    text: "−(1 − A)² ln A where y is 1, −A² ln (1 − A) where it is 0", slope: "dZ" },
  "mean-squared-error any": { gradient: each((p, y, n) => 2 * (p - y) / n),
    of: (p, y) => meanOver(p, (k) => (p[k] - y[k]) ** 2), text: "mean of (A − y)²", slope: "dA = 2 (A − y)" },
  "mean-absolute-error any": { gradient: each((p, y, n) => Math.sign(p - y) / n),
    of: (p, y) => meanOver(p, (k) => Math.abs(p[k] - y[k])), text: "mean of |A − y|", slope: "dA = sign(A − y)" },
};

/* The loss of a network, or null where the page does not know it; fused: it begins with the logits. */
function lossOf(kind, last) {
  const fused = losses[`${kind} ${last}`], plain = losses[`${kind} any`];
  return fused ? { ...fused, fused: true } : plain ? { ...plain, fused: false } : null;
}
