"""Whole directories: archives and forms."""
