"""Lets other language models score the answers, and tests each of them before it is believed."""
