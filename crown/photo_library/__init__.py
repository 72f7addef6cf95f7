"""A company's photo library: sources, deduplication, compression, sorting, verification."""
