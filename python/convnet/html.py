"""Models, plans, histories and the progress bar as HTML for a notebook: no script, no request."""
from __future__ import annotations

from html import escape
from typing import Any, List, Sequence

_CELL = "text-align:left;padding:2px 10px"
_NUMBER = "text-align:right;padding:2px 10px;font-variant-numeric:tabular-nums"


def _table(head: Sequence[str], rows: Sequence[Sequence[Any]], numbers: int, title: str) -> str:
    """A table whose first columns are words, and those from `numbers` on numbers."""

    def line(cells: Sequence[Any], tag: str) -> str:
        made = (f'<{tag} style="{_CELL if i < numbers else _NUMBER}">{escape(str(cell))}</{tag}>'
                for i, cell in enumerate(cells))  # fmt: skip
        return f"<tr>{''.join(made)}</tr>"

    body = "".join(line(row, "td") for row in rows)
    return (f'<table style="border-collapse:collapse"><caption style="text-align:left">'
            f"{escape(title)}</caption><thead>{line(head, 'th')}</thead><tbody>{body}</tbody>"
            f"</table>")  # fmt: skip


def model(m: Any) -> str:
    rows = [(one.name, f"{one.type} {one.options}", " × ".join(map(str, one.shape)),
             f"{one.parameters:,}", f"{one.multiply_adds:,}") for one in m.layers]  # fmt: skip
    return _table(("layer", "what", "output", "parameters", "multiply-adds"), rows, 3, repr(m)[1:-1])


def plan(p: Any) -> str:
    from .model import size_text

    most = max(p.total, 1)
    rows = []
    for name in p._fields[:6]:
        size = getattr(p, name)
        width = 160 * size / most
        rows.append(f'<tr><td style="{_CELL}">{name}</td><td style="{_NUMBER}">{size_text(size)}'
                    f'</td><td><svg width="160" height="10"><rect width="{width:.1f}" height="10" '
                    f'fill="steelblue"/></svg></td></tr>')  # fmt: skip
    title = f"memory {'to train' if p.training else 'to run'}, batch {p.batch}"
    return f"<table><caption>{title}</caption>{''.join(rows)}</table>"


def gradcheck(g: Any) -> str:
    rows = [(r.name, "ok" if r.ok else "WRONG", r.checked, f"{r.twin_error:.1e}",
             f"{r.engine_error:.1e}") for r in g]  # fmt: skip
    return _table(("gradient of", "", "checked", "double", "float32"), rows, 2, "gradient check")


def curve(values: Sequence[float], width: int = 220, height: int = 48) -> str:
    """A line through the values, as SVG."""
    finite = [v for v in values if v - v == 0]
    if not finite:
        return ""
    low, high = min(finite), max(finite)
    span, last = (high - low) or 1.0, max(len(values) - 1, 1)
    points = " ".join(
        f"{3 + (width - 6) * i / last:.1f},{3 + (height - 6) * (high - v) / span:.1f}"
        for i, v in enumerate(values) if v - v == 0)  # fmt: skip
    return (f'<svg width="{width}" height="{height}" role="img"><polyline points="{points}" '
            f'fill="none" stroke="steelblue" stroke-width="2"/></svg>')  # fmt: skip


def history(h: Any) -> str:
    rows = []
    for name, values in h.history.items():
        if values:
            rows.append(f'<tr><td style="{_CELL}">{name}</td><td style="{_NUMBER}">'
                        f"{values[0]:.4g}</td><td>{curve(values)}</td>"
                        f'<td style="{_NUMBER}">{values[-1]:.4g}</td></tr>')  # fmt: skip
    return f"<table><caption>{escape(repr(h)[1:-1])}</caption>{''.join(rows)}</table>"


def bar(part: float, words: str, lines: List[str]) -> str:
    kept = "".join(f"<div>{escape(line)}</div>" for line in lines[-20:])
    if not words:
        return f"<div style='font-family:monospace'>{kept}</div>"
    return (f"<div style='font-family:monospace'>{kept}<progress max='1' value='{part:.4f}'>"
            f"</progress> {escape(words)}</div>")  # fmt: skip
