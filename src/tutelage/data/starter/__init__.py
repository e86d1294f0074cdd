"""The bundled starter data set; tools/starter writes it."""
