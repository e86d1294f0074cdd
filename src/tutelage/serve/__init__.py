"""Answers people and programs with the base and the tuned model of a run."""
