"""Rows: records with their places, strict JSON, and conversations."""
