"""The collector: listens to devices and writes samples and state changes to the database."""
