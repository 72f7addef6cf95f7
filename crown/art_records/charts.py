"""Pictures of what the marts counted: sales by month with sell-through, and sell-through by artwork. PNG bytes.

Belongs here: drawing given rows. Does not: queries, sums, files.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

_WIDTH_INCHES, _DPI = 9, 110
_SOLD, _LEFT, _INK, _GRID = "#2f6f8f", "#d8dee3", "#333a40", "#e3e7ea"

Row = Mapping[str, Any]


def sales_by_month(rows: Sequence[Row], months: int = 36) -> bytes:
    """Sales a month as bars, and below, on the same months, the share of all copies that was sold by then.

    Args:
        rows: `month` (date), `sold`, `sell_through_percent` (or None), oldest first, one per month.
        months: how many of the newest are drawn.
    """
    rows = rows[-months:]
    figure = _figure(4.6)
    bars, line = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    at = range(len(rows))
    bars.bar(at, [int(row["sold"]) for row in rows], color=_SOLD, width=0.8)
    bars.set_title(_title("Copies sold a month", rows), loc="left", fontsize=11, color=_INK)
    line.plot(at, [_number(row["sell_through_percent"]) for row in rows], color=_SOLD, linewidth=2)
    line.set_title("Sold so far, % of all copies", loc="left", fontsize=11, color=_INK)
    line.set_ylim(0, 100)
    if rows:
        last = rows[-1]["sell_through_percent"]
        if last is not None:
            line.annotate(
                f" {_number(last):.1f} %", (len(rows) - 1, _number(last)), fontsize=9, va="bottom", ha="right"
            )
        step = max(1, len(rows) // 12)
        bars.set_ylim(bottom=0)
        line.set_xticks(at[::step], [row["month"].strftime("%b %y") for row in rows[::step]], fontsize=8)
    _plain(bars, line)
    return _png(figure)


def sell_through_by_artwork(rows: Sequence[Row], artworks: int = 25) -> bytes:
    """Sold and left copies of the artworks that sold most, as horizontal bars with the sold share beside them.

    Args:
        rows: `artwork` (or None), `sold`, `left_to_sell`, `sell_through_percent` (or None).
        artworks: how many are drawn.
    """
    best = sorted(rows, key=lambda row: (-int(row["sold"]), str(row["artwork"])))[:artworks]
    figure = _figure(max(2.0, 0.27 * len(best) + 1.1))
    axes = figure.add_subplot()
    at = list(range(len(best)))
    sold = [int(row["sold"]) for row in best]
    left = [int(row["left_to_sell"]) for row in best]
    axes.barh(at, sold, color=_SOLD, label="sold")
    axes.barh(at, left, left=sold, color=_LEFT, label="left")
    for y, row in enumerate(best):
        if row["sell_through_percent"] is not None:
            axes.text(
                sold[y] + left[y],
                y,
                f" {_number(row['sell_through_percent']):.0f} %",
                va="center",
                fontsize=8,
            )
    axes.set_yticks(at, [str(row["artwork"] or "no name") for row in best], fontsize=8)
    axes.invert_yaxis()
    axes.set_title(_title("Copies sold and left", best), loc="left", fontsize=11, color=_INK)
    axes.margins(y=0.01)
    if best:
        axes.legend(
            loc="lower right", bbox_to_anchor=(1, 1), ncols=2, borderaxespad=0.2, frameon=False, fontsize=8
        )
    _plain(axes)
    return _png(figure)


def _title(title: str, rows: Sequence[Row]) -> str:
    return title if rows else f"{title}: no sales yet"


def _number(value: Any) -> float:
    return float("nan") if value is None else float(value)


def _figure(height: float) -> Any:
    # No pyplot: it keeps every figure of a long-lived process, and asks for a display.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(_WIDTH_INCHES, height), dpi=_DPI, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _plain(*all_axes: Any) -> None:
    for axes in all_axes:
        axes.grid(axis="both", color=_GRID, linewidth=0.6)
        axes.set_axisbelow(True)
        axes.tick_params(colors=_INK, labelsize=8)
        for side in ("top", "right", "left"):
            axes.spines[side].set_visible(False)
        if not axes.has_data():
            axes.set_xticks([])
            axes.set_yticks([])


def _png(figure: Any) -> bytes:
    buffer = io.BytesIO()
    # Without the library's version the same rows give the same bytes.
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()
