"""Writes the rows of the starter data, which ship as src/tutelage/data/starter/starter.json."""
