"""The supervisor of `crown up` and its services. No pages."""
