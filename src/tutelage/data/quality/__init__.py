"""What is right with a row and what is not: rules, checks, repairs, labels, near-duplicates, languages."""
