select
    s.edition_id,
    s.edition,
    s.artwork,
    s.gallery,
    s.date_sold,
    case
        when s.tax_year_start is null then 'undated'
        else s.tax_year_start || '-' || lpad(((s.tax_year_start + 1) % 100)::text, 2, '0')
    end as tax_year,
    s.invoice,
    s.price_is_unknown,
    s.gross,
    s.commission_percentage,
    s.commission_is_unknown,
    s.commission,
    s.net,
    s.is_settled
from intermediate.art_sales as s
