"""The formats of rows, a module for each with its one record, `FORMAT`.

To add one, write its module and name it in `config/extensions.py`.
"""
