"""The list of bad inputs, numbered, sent byte by byte to servers that run."""
