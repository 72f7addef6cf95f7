with copies as (
    select
        print_id,
        count(*) as recorded,
        count(*) filter (where was_printed) as printed,
        count(*) filter (where was_printed and not is_sold) as in_stock,
        count(*) - count(distinct edition_number) as repeated_numbers
    from intermediate.art_counted_editions
    group by print_id
),

sales as (
    select
        print_id,
        count(*) as sold,
        sum(gross) as gross,
        sum(net) as net,
        avg(gross) filter (where gross > 0) as average_price,
        count(*) filter (where in_last_12_months) as sold_12_months,
        min(date_sold) as first_sale,
        max(date_sold) as last_sale
    from intermediate.art_sales
    group by print_id
),

by_year as (
    select y.print_id, jsonb_object_agg(y.year, y.sold) as sold_by_year
    from (
        select print_id, year, count(*) as sold
        from intermediate.art_sales
        where year is not null
        group by print_id, year
    ) as y
    group by y.print_id
),

top as (
    select distinct on (g.print_id) g.print_id, g.gallery_id, g.gallery, g.sold
    from (
        select print_id, gallery_id, gallery, count(*) as sold, sum(gross) as gross
        from intermediate.art_sales
        where gallery_id is not null
        group by print_id, gallery_id, gallery
    ) as g
    order by g.print_id, g.sold desc, g.gross desc, g.gallery_id
),

joined as (
    select
        p.print_id,
        p.artwork,
        coalesce(p.total_editions, c.recorded, 0) as editions,
        p.total_editions is null as editions_are_counted,
        coalesce(c.printed, 0) as printed,
        coalesce(s.sold, 0) as sold,
        coalesce(c.in_stock, 0) as in_stock,
        greatest(coalesce(p.total_editions, c.recorded, 0) - coalesce(s.sold, 0), 0) as left_to_sell,
        s.average_price,
        coalesce(s.gross, 0) as gross,
        coalesce(s.net, 0) as net,
        coalesce(s.sold_12_months, 0) as sold_12_months,
        s.first_sale,
        s.last_sale,
        coalesce(c.repeated_numbers, 0) as repeated_numbers
    from staging.art_prints as p
    left join copies as c on c.print_id = p.print_id
    left join sales as s on s.print_id = p.print_id
    where p.is_active or c.recorded > 0
)

select
    j.print_id,
    j.artwork,
    j.editions,
    j.editions_are_counted,
    j.printed,
    j.sold,
    j.in_stock,
    j.left_to_sell,
    greatest(j.sold - j.editions, 0) as oversold,
    round(100.0 * j.sold / nullif(j.editions, 0), 1) as sell_through_percent,
    round(j.average_price, 2) as average_price,
    j.gross,
    j.net,
    round(coalesce(j.left_to_sell * j.average_price, 0), 2) as potential_gross,
    j.sold_12_months,
    round(100.0 * j.sold_12_months / nullif(j.left_to_sell, 0), 1) as velocity_percent,
    case
        when j.left_to_sell > 0 then ceil(12.0 * j.left_to_sell / nullif(j.sold_12_months, 0))::integer
    end as months_to_sell_out,
    t.gallery_id as top_gallery_id,
    t.gallery as top_gallery,
    t.sold as top_gallery_sold,
    y.sold_by_year,
    j.first_sale,
    j.last_sale,
    j.repeated_numbers
from joined as j
left join by_year as y on y.print_id = j.print_id
left join top as t on t.print_id = j.print_id
