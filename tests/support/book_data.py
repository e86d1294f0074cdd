"""The book's file, where it stands beside the repository."""

from pathlib import Path

import pytest

BOOK_FILE = Path(__file__).parents[3] / "shared" / "data" / "instruction-data.json"


def book_file() -> Path:
    """Return its path, or skip the test."""
    if not BOOK_FILE.is_file():
        pytest.skip("the book's instruction-data.json is not beside the repository in ../shared/data")
    return BOOK_FILE
