"""Gathers what a run wrote into one summary for machines and one page for people."""
