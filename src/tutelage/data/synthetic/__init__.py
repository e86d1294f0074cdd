"""Rows that a language model writes: new ones, and better ones."""
