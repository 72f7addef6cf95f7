"""Picture files, for every department: decoding, colour, tags, contact sheets. No meaning of a picture."""
