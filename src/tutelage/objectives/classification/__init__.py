"""Classification: a head that gives a text its label, or several."""
