"""Whole directories: fetched as an archive, filled from one or from a form."""
