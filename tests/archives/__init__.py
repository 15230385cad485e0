"""Archives that are written, read, damaged, and made to harm."""
