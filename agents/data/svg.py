"""Bar and line charts as SVG text: no script, no style sheet, text escaped, with title and description."""

from __future__ import annotations

import math
from collections.abc import Sequence
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 640, 360
LEFT, RIGHT, TOP, BOTTOM = 70, 16, 40, 64
BAR, LINE, FIT, INK, GRID = "#3b76d4", "#3b76d4", "#d9822b", "#5f6b7a", "#d5dae1"
MAX_POINTS = 400
MAX_LABELS = 12


def bars(title: str, labels: Sequence[str], values: Sequence[float], description: str = "") -> str:
    """A bar for each value, from zero; hovering shows its label and value."""
    low, high, ticks = _scale(min(0.0, *values), max(0.0, *values))
    width = (WIDTH - LEFT - RIGHT) / len(values)
    parts = []
    for index, (label, value) in enumerate(zip(labels, values, strict=True)):
        top, bottom = _y(max(value, 0), low, high), _y(min(value, 0), low, high)
        parts.append(
            f'<rect x="{LEFT + (index + 0.1) * width:.1f}" y="{top:.1f}" width="{0.8 * width:.1f}" '
            f'height="{max(bottom - top, 0.5):.1f}" fill="{BAR}">'
            f"<title>{_text(f'{label}: {_number(value)}')}</title></rect>"
        )
    centres = [LEFT + (index + 0.5) * width for index in range(len(values))]
    return _chart(title, description, parts, [*_grid(ticks, low, high), *_labels(labels, centres)])


def line(
    title: str,
    labels: Sequence[str],
    values: Sequence[float],
    fit: Sequence[float] = (),
    description: str = "",
) -> str:
    """A line through the values, evenly spaced, and a dashed one through `fit`; of 400 points at most."""
    low, high, ticks = _scale(min(*values, *fit, values[0]), max(*values, *fit, values[0]))
    step = -(-len(values) // MAX_POINTS)
    drawn = range(0, len(values), step)
    width = (WIDTH - LEFT - RIGHT) / max(len(values) - 1, 1)
    parts = [_polyline(drawn, values, width, low, high, f'stroke="{LINE}"')]
    if fit:
        parts.append(_polyline(drawn, fit, width, low, high, f'stroke="{FIT}" stroke-dasharray="6 4"'))
    places = [LEFT + index * width for index in range(len(values))]
    return _chart(title, description, parts, [*_grid(ticks, low, high), *_labels(labels, places)])


def _polyline(drawn: range, values: Sequence[float], width: float, low: float, high: float, stroke: str) -> str:
    points = " ".join(f"{LEFT + i * width:.1f},{_y(values[i], low, high):.1f}" for i in drawn)
    return f'<polyline points="{points}" fill="none" stroke-width="1.8" {stroke}/>'


def _chart(title: str, description: str, marks: list[str], frame: list[str]) -> str:
    heading = f'<text x="{LEFT}" y="22" font-size="15" fill="{INK}">{_text(_short(title, 70))}</text>'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'font-family="sans-serif" font-size="11">'
        f"<title>{_text(title)}</title><desc>{_text(description or title)}</desc>"
        f"{heading}{''.join(frame)}{''.join(marks)}</svg>"
    )


def _grid(ticks: list[float], low: float, high: float) -> list[str]:
    parts = []
    for tick in ticks:
        y = _y(tick, low, high)
        parts.append(f'<line x1="{LEFT}" y1="{y:.1f}" x2="{WIDTH - RIGHT}" y2="{y:.1f}" stroke="{GRID}"/>')
        place = f'x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end"'
        parts.append(f'<text {place} fill="{INK}">{_text(_number(tick))}</text>')
    return parts


def _labels(labels: Sequence[str], places: Sequence[float]) -> list[str]:
    every = -(-len(labels) // MAX_LABELS)
    y = HEIGHT - BOTTOM + 16
    return [
        f'<text x="{x:.1f}" y="{y}" text-anchor="end" fill="{INK}" transform="rotate(-30 {x:.1f} {y})">'
        f"{_text(_short(str(label), 16))}</text>"
        for label, x in list(zip(labels, places, strict=True))[::every]
    ]


def _y(value: float, low: float, high: float) -> float:
    return TOP + (HEIGHT - TOP - BOTTOM) * (1 - (value - low) / (high - low))


def _scale(low: float, high: float) -> tuple[float, float, list[float]]:
    """Round limits around the values, and the ticks between: multiples of 1, 2 or 5 times a power of ten."""
    # Centred and widened where all values are the same, or nearly, so that nothing is divided by zero.
    if not high - low > max(1e-12 * max(abs(low), abs(high)), 1e-290):
        low, high = low - max(abs(low), 1) / 2, high + max(abs(high), 1) / 2
    rough = high / 5 - low / 5
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(s for s in (power, 2 * power, 5 * power, 10 * power) if s >= rough * 0.999)
    first, last = math.floor(low / step), math.ceil(high / step)
    ticks = [n * step for n in range(first, last + 1)]
    return ticks[0], ticks[-1], ticks


def _number(value: float) -> str:
    return f"{value:.4g}" if abs(value) >= 1e6 or 0 < abs(value) < 1e-3 else f"{value:,.4f}".rstrip("0").rstrip(".")


def _short(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"


def _text(text: str) -> str:
    """Escaped, without the characters that XML can't hold."""
    return escape("".join(c for c in text if c.isprintable() or c == " "), {'"': "&quot;", "'": "&apos;"})
