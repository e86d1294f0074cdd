"""What texts may hold: unseen characters, keys, near names, and users' patterns under a time limit."""
