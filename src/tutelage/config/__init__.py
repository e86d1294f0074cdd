"""Every setting, declared once; recipes as TOML, read, checked and written; and those that ship."""
