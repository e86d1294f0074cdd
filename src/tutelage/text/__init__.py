"""Text utilities: invisible characters, secrets, similar names, and user patterns with a time limit."""
