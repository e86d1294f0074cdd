"""Instruction-tune a small language model on your own data and learn honestly whether it got better."""

__version__ = "0.1.0"
