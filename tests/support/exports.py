"""Exports that are read back in little time: a few prompts, and no process that has to import everything first."""

from importlib import import_module
from pathlib import Path

import pytest

from tutelage.export import verification


@pytest.fixture
def few_prompts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compare on two prompts of rows and a Chinese one."""
    monkeypatch.setattr(verification, "ROW_PROMPTS", 2)
    monkeypatch.setattr(verification, "ANSWER_TOKENS", 4)
    monkeypatch.setattr(verification, "CONTEXTS", 3)
    monkeypatch.setattr(verification, "chinese_prompts", lambda: ["你好"])


@pytest.fixture
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read exports back without the seconds in which a fresh process imports torch and transformers."""

    def reload(module: str, job: Path) -> None:
        import_module(module).main([str(job)])

    monkeypatch.setattr("tutelage.export.verification.reload", reload)
    monkeypatch.setattr("tutelage.objectives.classification.export.reload", reload)
