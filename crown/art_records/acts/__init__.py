"""What people do to art records by hand: sell, settle, move, edit, close. Not exports."""
