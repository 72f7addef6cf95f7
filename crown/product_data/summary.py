"""The summary of this department."""

from crown.flow.summary import Department

PRODUCT_DATA = Department("product_data", "Product data", "No product record is imported yet.")
