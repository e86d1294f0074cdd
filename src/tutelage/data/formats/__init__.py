"""Row formats: recognize the format of a row and read it as a conversation."""
