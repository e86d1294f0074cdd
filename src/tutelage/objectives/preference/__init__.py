"""Preference tuning: the chosen of two answers more probable than the rejected one."""
