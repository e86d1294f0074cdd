"""The version of the package, which modules below the public names need too."""

__version__ = "0.1.0"
