"""Data quality: rules, checks, repairs, labels, near-duplicates and languages."""
