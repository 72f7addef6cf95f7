"""Commands of the platform itself: up, status, doctor, db, backup."""
