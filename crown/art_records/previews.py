"""Pictures for people who would rather look than read: sell-through by print, sales by month. PNG bytes.

Belongs here: drawing figures that SQL computed. Does not belong here: other numbers (dbt_like_sql/), files.
"""

from __future__ import annotations

import io
from typing import Any

from sqlalchemy import Engine, text

_WIDTH, _DPI = 9, 110
_SOLD, _LEFT, _GRID = "#2f6f8f", "#d8dee3", "#c9ced3"


def sell_through_png(engine: Engine, prints: int = 25) -> bytes:
    """Sold and unsold editions of the prints with most sales, as horizontal bars."""
    with engine.connect() as connection:
        rows = connection.execute(
            text("""
                select coalesce(p.short_name, p.name, e.print_id), count(*) filter (where e.is_sold),
                       count(*) filter (where e.is_sold is not true)
                from art.editions e left join art.prints p on p.airtable_id = e.print_id
                where e.is_active and e.kind = 'edition'
                group by e.print_id, p.short_name, p.name order by 2 desc, 1 limit :n
            """),
            {"n": prints},
        ).all()
    figure, axes = _figure(max(2.0, 0.27 * len(rows) + 1))
    names = [str(row[0]) for row in rows]
    at = list(range(len(rows)))
    sold, left = [row[1] for row in rows], [row[2] for row in rows]
    axes.barh(at, sold, color=_SOLD, label="sold")
    axes.barh(at, left, left=sold, color=_LEFT, label="left")
    for y, (done, rest) in enumerate(zip(sold, left, strict=True)):
        axes.text(done + rest, y, f" {done / (done + rest):.0%}", va="center", fontsize=8)
    axes.set_yticks(at, names, fontsize=8)
    axes.invert_yaxis()
    axes.set_xlabel("editions")
    axes.legend(loc="lower right", frameon=False)
    axes.set_title("Sell-through by print")
    return _png(figure)


def sales_by_month_png(engine: Engine, months: int = 36) -> bytes:
    """Number and retail value of dated sales per month, the last `months` up to the newest sale."""
    with engine.connect() as connection:
        rows = connection.execute(
            text("""
                with sales as (select date_trunc('month', date_sold)::date as month, retail_price from art.editions
                               where is_active and is_sold and kind <> 'blank' and date_sold is not null),
                     span as (select generate_series(max(month) - make_interval(months => :n - 1), max(month),
                                                     interval '1 month')::date as month from sales)
                select month, count(sales.month), coalesce(sum(retail_price), 0)
                from span left join sales using (month) group by month order by month
            """),
            {"n": months},
        ).all()
    figure, axes = _figure(3.6)
    labels = [row[0].strftime("%b %y") if row[0] else "" for row in rows]
    at = list(range(len(rows)))
    axes.bar(at, [row[1] for row in rows], color=_SOLD)
    axes.set_ylabel("sales")
    axes.set_xticks(at[:: max(1, len(at) // 12)], labels[:: max(1, len(at) // 12)], fontsize=8)
    value = axes.twinx()
    value.plot(at, [float(row[2]) for row in rows], color="#b5542d", linewidth=1.5)
    value.set_ylabel("retail value, £")
    value.set_ylim(bottom=0)
    axes.set_title("Sales by month")
    return _png(figure)


def _figure(height: float) -> tuple[Any, Any]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(_WIDTH, height), dpi=_DPI, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.grid(axis="both", color=_GRID, linewidth=0.4)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    return figure, axes


def _png(figure: Any) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()
