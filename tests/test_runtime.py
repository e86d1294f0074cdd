"""What a process settles before torch is imported, and that it leaves alone what the user settled."""

import os
from unittest.mock import patch

import pytest

from tutelage.runtime import settle_process


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, "5000"),
        ({"GOMP_SPINCOUNT": "300000"}, "300000"),
        ({"OMP_WAIT_POLICY": "ACTIVE"}, None),
    ],
)
def test_threads_sleep_soon_unless_the_user_says_otherwise(given, expected):
    with patch.dict(os.environ, given, clear=True):
        settle_process()
        assert os.environ.get("GOMP_SPINCOUNT") == expected
