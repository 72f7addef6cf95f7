"""Files: roots and relative paths, hashes, atomic writes, watched folders. Not what a file means."""
