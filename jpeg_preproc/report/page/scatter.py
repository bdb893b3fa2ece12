"""Time against gain as a small SVG, which needs no script."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from jpeg_preproc.report.page.content import Cost
from jpeg_preproc.report.tables import printable

_WIDTH, _HEIGHT = 640, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 20, 16, 44


def scatter(costs: Sequence[Cost]) -> str:
    """Return an SVG of each restorer's gain over its seconds for an image, with intervals.

    Args:
        costs: At least one; those without a positive time are left out.
    """
    known = [cost for cost in costs if cost.seconds > 0]
    if not known:
        return ""
    bounds = [
        value for cost in known for value in (cost.low, cost.gain, cost.high) if value is not None
    ]
    low, high = min(0.0, *bounds), max(0.0, *bounds)
    step = _step(high - low)
    low, high = math.floor(low / step) * step, math.ceil(high / step) * step
    first = math.log10(min(cost.seconds for cost in known)) - 0.15
    last = math.log10(max(cost.seconds for cost in known)) + 0.35

    def x(seconds: float) -> float:
        share = (math.log10(seconds) - first) / (last - first)
        return _LEFT + share * (_WIDTH - _LEFT - _RIGHT)

    def y(value: float) -> float:
        return _TOP + (high - value) / (high - low or 1) * (_HEIGHT - _TOP - _BOTTOM)

    parts = [
        f'<svg class="scatter" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
        'aria-label="Points gained over seconds of restoring for an image">'
    ]
    for index in range(round((high - low) / step) + 1):
        value = low + index * step
        label = f"{value:+g}".replace("-", "−") if abs(value) > step / 9 else "0"
        parts.append(
            f'<line class="{"zero" if abs(value) < step / 9 else "grid"}" x1="{_LEFT}" '
            f'x2="{_WIDTH - _RIGHT}" y1="{y(value):.1f}" y2="{y(value):.1f}"/>'
            f'<text x="{_LEFT - 8}" y="{y(value) + 4:.1f}" text-anchor="end">{label}</text>'
        )
    for seconds in _times(10**first, 10**last):
        parts.append(
            f'<text x="{x(seconds):.1f}" y="{_HEIGHT - 24}" text-anchor="middle">{seconds:g}</text>'
        )
    parts.append(
        f'<text x="{(_LEFT + _WIDTH) / 2:.0f}" y="{_HEIGHT - 6}" text-anchor="middle">'
        f"{known[0].unit} of restoring for an image (log)</text>"
    )
    models = list(dict.fromkeys(cost.model for cost in known))
    taken: list[tuple[float, float]] = []
    for cost in known:
        at, height = x(cost.seconds), y(cost.gain)
        name = escape(printable(f"{cost.restorer} · {cost.model}"))
        bar = ""
        if cost.low is not None and cost.high is not None:
            ends = f'y1="{y(cost.low):.1f}" y2="{y(cost.high):.1f}"'
            bar = f'<line x1="{at:.1f}" x2="{at:.1f}" {ends}/>'
        text = height + 4
        while any(abs(text - other) < 13 and abs(at - place) < 180 for place, other in taken):
            text += 13
        taken.append((at, text))
        anchor, side = ("end", at - 9) if at > _WIDTH * 0.72 else ("start", at + 9)
        parts.append(
            f'<g class="model-{models.index(cost.model) % 6}">{bar}'
            f'<circle cx="{at:.1f}" cy="{height:.1f}" r="4.5"><title>{name}: '
            f"{cost.gain:+.1f} points, {cost.seconds:.3g} s</title></circle>"
            f'<text x="{side:.1f}" y="{text:.1f}" text-anchor="{anchor}">{name}</text></g>'
        )
    return "".join([*parts, "</svg>"])


def _step(span: float) -> float:
    """Return the distance of about five grid lines: 1, 2 or 5 times a power of ten."""
    wanted = (span or 1.0) / 5
    power = 10.0 ** math.floor(math.log10(wanted))
    return next(power * one for one in (1, 2, 5, 10) if power * one >= wanted)


def _times(first: float, last: float) -> list[float]:
    """Return round numbers of seconds between two times."""
    decades = range(math.floor(math.log10(first)), math.ceil(math.log10(last)) + 1)
    marks = [one * 10.0**decade for decade in decades for one in (1, 2, 5)]
    return [mark for mark in marks if first <= mark <= last]
