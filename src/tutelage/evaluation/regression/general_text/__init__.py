"""Plain text of several kinds, written for this package, on which a tuned model should be no worse than its base."""
