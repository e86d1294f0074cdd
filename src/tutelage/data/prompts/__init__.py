"""Encode conversations as token ids: prompt templates, chat templates and supervision."""
