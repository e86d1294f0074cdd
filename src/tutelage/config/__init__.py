"""Settings, declared once; recipes in TOML: read, validate, write, and the built-in ones."""
