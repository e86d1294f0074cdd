"""The documentation site: what the theme gets from us, and a check of the built pages."""
