"""`tutelage data`: commands that create one file of rows from another."""
