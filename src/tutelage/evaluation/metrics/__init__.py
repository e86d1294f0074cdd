"""Scores: of one answer against its reference, of a named set, and of classes."""
