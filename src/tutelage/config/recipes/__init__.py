"""The recipes that ship with the package, by their names; each begins with what it is for and what it takes."""

import re
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent
ENDING = ".toml"
OPENING = re.compile(r"# For: (?P<purpose>.+)\n# Takes: (?P<takes>.+)\n")


@dataclass(frozen=True)
class ShippedRecipe:
    """purpose: what it is for; takes: about how long and how much memory, as the file itself says it."""

    name: str
    path: Path
    purpose: str
    takes: str

    @property
    def is_from_the_book(self) -> bool:
        """Tell whether it is a run of the book or of its article."""
        return self.name == "article" or self.name.startswith("book-")

    @property
    def text(self) -> str:
        return self.path.read_text(encoding="utf-8")


def shipped_recipes() -> dict[str, ShippedRecipe]:
    """Return every recipe of the package by its name, in alphabetical order, those of the book behind the others."""
    found = sorted(map(_shipped, FOLDER.glob(f"*{ENDING}")), key=lambda one: (one.is_from_the_book, one.name))
    return {recipe.name: recipe for recipe in found}


def shipped_path(name: str) -> Path | None:
    """Return the file of a recipe that ships, or None where no recipe has that name."""
    path = FOLDER / f"{name}{ENDING}"
    return path if re.fullmatch(r"[a-z0-9-]+", name) and path.is_file() else None


def _shipped(path: Path) -> ShippedRecipe:
    opening = OPENING.match(path.read_text(encoding="utf-8"))
    assert opening, f"{path.name} must begin with `# For:` and `# Takes:`"
    return ShippedRecipe(path.stem, path, opening["purpose"], opening["takes"])
