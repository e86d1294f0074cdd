"""One small program per contender, each run as a process of its own in its own environment."""
