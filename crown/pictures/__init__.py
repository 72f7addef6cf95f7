"""Picture files, for every department: decoding, colour, tags, contact sheets. Independent of what a picture shows."""
