"""The folders people use: inbox, review, notes. No rendering and no publishing."""
