"""The run folder: paths, artifacts, events, history and lock."""
