"""What the tests of the verbs begin with."""

from support.workplace import model, tutelage, workplace

__all__ = ["model", "tutelage", "workplace"]
