"""Keeps files: roots and relative paths, hashes, atomic writes, watched folders. No meaning of any file."""
