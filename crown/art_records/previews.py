"""Pictures of the art tables for the step that wrote them, before any mart is built. PNG bytes.

Belongs here: the rows behind the two pictures, straight from the art tables. Does not belong here: drawing (`charts.py`),
other numbers (dbt_like_sql/), files.
"""

from __future__ import annotations

from sqlalchemy import Engine, text

from crown.art_records.charts import sales_by_month, sell_through_by_artwork


def sell_through_png(engine: Engine, prints: int = 25) -> bytes:
    """Sold and unsold editions of the prints with most sales."""
    with engine.connect() as connection:
        rows = connection.execute(
            text("""
                select coalesce(p.short_name, p.name, e.print_id) as artwork,
                       count(*) filter (where e.is_sold) as sold,
                       count(*) filter (where e.is_sold is not true) as left_to_sell,
                       100.0 * count(*) filter (where e.is_sold) / count(*) as sell_through_percent
                from art.editions e left join art.prints p on p.airtable_id = e.print_id
                where e.is_active and e.kind = 'edition'
                group by e.print_id, p.short_name, p.name order by 2 desc, 1 limit :n
            """),
            {"n": prints},
        ).mappings()
        return sell_through_by_artwork([dict(row) for row in rows], prints)


def sales_by_month_png(engine: Engine, months: int = 36) -> bytes:
    """Dated sales per month up to the newest one, and the share of all copies that was sold by then."""
    with engine.connect() as connection:
        rows = connection.execute(
            text("""
                with copies as (select * from art.editions where is_active and kind = 'edition'),
                     sales as (select date_trunc('month', date_sold)::date as month from copies
                               where is_sold and date_sold is not null),
                     span as (select generate_series(max(month) - make_interval(months => :n - 1), max(month),
                                                     interval '1 month')::date as month from sales)
                select month, (select count(*) from sales s where s.month = span.month) as sold,
                       100.0 * (select count(*) from sales s where s.month <= span.month)
                           / (select count(*) from copies) as sell_through_percent
                from span where month is not null order by month
            """),
            {"n": months},
        ).mappings()
        return sales_by_month([dict(row) for row in rows], months)
