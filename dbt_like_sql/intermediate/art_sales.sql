select
    s.edition_id,
    s.edition,
    s.print_id,
    s.artwork,
    s.edition_number,
    s.gallery_id,
    s.gallery,
    s.gallery_kind,
    s.commission_percentage,
    s.commission_is_unknown,
    s.date_sold,
    s.price is null as price_is_unknown,
    coalesce(s.price, 0) as gross,
    coalesce(s.commission_amount, 0) as commission,
    coalesce(s.invoice_amount, 0) as net,
    i.label as invoice,
    s.is_settled,
    not s.is_settled and coalesce(s.invoice_amount, 0) > 0 as is_due,
    date_trunc('month', s.date_sold)::date as month,
    extract(year from s.date_sold)::integer as year,
    -- Three months and five days earlier, 6 April is 1 January: the tax year becomes a calendar year.
    extract(year from s.date_sold - interval '3 months 5 days')::integer as tax_year_start,
    extract(quarter from s.date_sold - interval '3 months 5 days')::integer as tax_quarter,
    case when s.date_sold >= s.date_in_gallery then s.date_sold - s.date_in_gallery end as days_to_sell,
    c.as_of - s.date_sold as days_since_sale,
    coalesce(s.date_sold between c.thirty_days_ago and c.as_of, false) as in_last_30_days,
    coalesce(s.date_sold > c.one_month_ago and s.date_sold <= c.as_of, false) as in_last_month,
    coalesce(s.date_sold between c.one_year_ago and c.as_of, false) as in_last_12_months,
    coalesce(s.date_sold >= c.two_years_ago and s.date_sold < c.one_year_ago, false) as in_previous_12_months,
    coalesce(s.date_sold >= c.four_years_ago and s.date_sold < c.one_year_ago, false) as in_three_years_before,
    coalesce(s.date_sold between c.year_start and c.as_of, false) as in_year_to_date,
    coalesce(s.date_sold between c.previous_year_start and c.one_year_ago, false) as in_previous_year_to_date
from intermediate.art_counted_editions as s
cross join staging.art_clock as c
left join staging.art_invoiced_sales as i on i.edition_id = s.edition_id
where s.is_sold
