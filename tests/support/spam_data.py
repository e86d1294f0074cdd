"""The file of `sms-spam`, where it stands beside the repository."""

from pathlib import Path

import pytest

SPAM_FILE = Path(__file__).parents[3] / "shared" / "data" / "sms-spam.tsv"


def spam_file() -> Path:
    """Return its path, or skip the test."""
    if not SPAM_FILE.is_file():
        pytest.skip("sms-spam.tsv is not beside the repository in ../shared/data")
    return SPAM_FILE
