"""How the platform asks this department where it stands."""

from crown.flow.summary import Department

PRODUCT_DATA = Department("product_data", "Product data", "No product record is imported yet.")
