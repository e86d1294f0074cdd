"""Runs on the same test rows, held against each other."""
