"""Stage 1: from a file of rows to token ids, and which of them are supervised."""
