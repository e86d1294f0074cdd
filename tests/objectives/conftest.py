"""What the tests of objectives begin with."""

from support.workplace import model, tutelage, workplace

__all__ = ["model", "tutelage", "workplace"]
