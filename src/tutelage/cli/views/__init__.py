"""Print what stages report and return."""
