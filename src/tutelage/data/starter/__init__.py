"""The bundled starter data set, written by tools/starter."""
