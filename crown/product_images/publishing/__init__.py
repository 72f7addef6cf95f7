"""What is published where, its texts, and what is removed. No rendering."""
