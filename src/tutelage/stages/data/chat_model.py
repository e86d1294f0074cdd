"""The language model that writes rows: opened with a memory, so that no question is put twice."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tutelage.errors import RecipeError

if TYPE_CHECKING:
    from tutelage.data.synthetic.cached_model import RememberingModel


def check_request_settings(*, temperature: float, max_tokens: int, seed: int, timeout_seconds: float) -> None:
    """Stop at numbers that a model cannot be asked with."""
    for name, value, least in (
        ("temperature", temperature, 0),
        ("max-tokens", max_tokens, 1),
        ("seed", seed, 0),
        ("timeout-seconds", timeout_seconds, 1),
    ):
        if not least <= value < 2**31:
            raise RecipeError(
                "cli.value_out_of_range",
                f"--{name} is {value}, but it must be at least {least} and below 2^31.",
            )


def remote_host(name: str) -> str | None:
    """Return the host that would be sent what a model is asked, None where nothing leaves this machine."""
    from tutelage.llm.model_names import parse_model_name

    return parse_model_name(name).remote_host


def load_cached_model(
    name: str,
    *,
    temperature: float = 0.7,
    max_tokens: int = 1024,
    timeout_seconds: float = 300,
    aliases: Sequence[str] = (),
) -> "RememberingModel":
    """Return a model named as ollama:MODEL, openai:MODEL@URL or gguf:PATH, which is opened at the first new question.

    Its replies are kept in the cache, so that the same work goes on where it was interrupted.
    """
    from tutelage.data.synthetic.cached_model import RememberingModel
    from tutelage.llm.language_models import load_chat_model
    from tutelage.system.fetching import user_cache

    return RememberingModel(
        name,
        lambda: load_chat_model(name, timeout_seconds=timeout_seconds, aliases=aliases),
        cache=user_cache(),
        temperature=temperature,
        max_tokens=max_tokens,
    )
