"""The bundled starter data set and the generators that write it."""
