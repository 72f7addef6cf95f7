"""Trying another cut-out model beside the present one, comparing, and promoting it."""
