-- The day that all marts count from, and where their periods begin.
-- For another day: set crown.as_of = '2025-12-31'; and read any mart in the same session.
select
    c.as_of,
    (c.as_of - interval '30 days')::date as thirty_days_ago,
    (c.as_of - interval '1 month')::date as one_month_ago,
    (c.as_of - interval '1 year')::date as one_year_ago,
    (c.as_of - interval '2 years')::date as two_years_ago,
    (c.as_of - interval '4 years')::date as four_years_ago,
    date_trunc('year', c.as_of)::date as year_start,
    (date_trunc('year', c.as_of) - interval '1 year')::date as previous_year_start
from (
    select coalesce(nullif(current_setting('crown.as_of', true), '')::date, current_date) as as_of
) as c
