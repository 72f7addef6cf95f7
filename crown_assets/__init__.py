"""The craft as software-defined assets, a room per department. definitions.py is the only door."""
