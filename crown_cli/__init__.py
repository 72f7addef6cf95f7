"""The `crown` command: one thin file per department."""
