"""The formats of rows: which one a row has, and how it becomes a conversation."""
