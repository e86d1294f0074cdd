"""Classifications without tuning, as lines to beat."""
