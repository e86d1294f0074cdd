"""A row: its record and place, the values in it, strict JSON, and the conversation it is read into."""
