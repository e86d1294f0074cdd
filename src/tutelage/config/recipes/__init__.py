"""The built-in recipes by name; each file begins with its purpose and its cost."""

import re
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent
ENDING = ".toml"
OPENING = re.compile(r"# For: (?P<purpose>.+)\n# Takes: (?P<takes>.+)\n")


@dataclass(frozen=True)
class ShippedRecipe:
    """purpose: what it is for; takes: approximate time and memory, as stated in the file."""

    name: str
    path: Path
    purpose: str
    takes: str

    @property
    def is_from_the_book(self) -> bool:
        """Whether it reproduces a run from the book or its article."""
        return self.name == "article" or self.name.startswith("book-")

    @property
    def text(self) -> str:
        return self.path.read_text(encoding="utf-8")


def shipped_recipes() -> dict[str, ShippedRecipe]:
    """Return all built-in recipes by name, sorted alphabetically, with those of the book last."""
    found = sorted(map(_shipped, FOLDER.glob(f"*{ENDING}")), key=lambda one: (one.is_from_the_book, one.name))
    return {recipe.name: recipe for recipe in found}


def shipped_path(name: str) -> Path | None:
    """Return the file of a built-in recipe, or None if the name is unknown."""
    path = FOLDER / f"{name}{ENDING}"
    return path if re.fullmatch(r"[a-z0-9-]+", name) and path.is_file() else None


def _shipped(path: Path) -> ShippedRecipe:
    opening = OPENING.match(path.read_text(encoding="utf-8"))
    assert opening, f"{path.name} must begin with `# For:` and `# Takes:`"
    return ShippedRecipe(path.stem, path, opening["purpose"], opening["takes"])
