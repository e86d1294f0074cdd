"""Instruction tuning: every answer's tokens as probable as can be."""
