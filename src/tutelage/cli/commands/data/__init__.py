"""`tutelage data`: verbs that make one file of rows from another."""
