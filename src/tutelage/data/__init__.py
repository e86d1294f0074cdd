"""Stage 1: turn files of rows into token ids with supervision masks."""
