select
    i.edition_id,
    i.label
from art.invoiced_sales as i
