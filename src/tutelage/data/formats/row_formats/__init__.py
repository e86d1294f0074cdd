"""Row formats: one module each, with a record named `FORMAT`.

To add one, write its module and name it in `config/extensions.py`.
"""
