"""Options of the language model for `tutelage data generate` and `improve`."""

from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from tutelage.cli.views import console
from tutelage.stages.data.chat_model import check_request_settings, load_cached_model, remote_host

if TYPE_CHECKING:
    from tutelage.stages.data.chat_model import RememberingModel


@Parameter(name="*")
@dataclass(frozen=True)
class ModelOptions:
    """Which model to use, and how."""

    _: KW_ONLY
    model: Annotated[
        str,
        Parameter(
            help="ollama:MODEL, openai:MODEL@URL or gguf:PATH. The API key is read from OPENAI_API_KEY only."
        ),
    ]
    temperature: Annotated[float, Parameter(help="Sampling temperature; 0 is greedy decoding.")] = 0.7
    max_tokens: Annotated[int, Parameter(help="Maximum number of tokens per response.")] = 1024
    seed: Annotated[int, Parameter(help="Random seed of the requests.")] = 123
    timeout_seconds: Annotated[float, Parameter(help="Timeout of a request in seconds.")] = 300
    alias: Annotated[
        tuple[str, ...],
        Parameter(
            help="Another name under which the server may report the model. Repeatable.",
            negative="",
            show_default=False,
        ),
    ] = ()


def load_chat_model_of(options: ModelOptions) -> "RememberingModel":
    """Return the model named in the options, and print where requests are sent."""
    check_request_settings(
        temperature=options.temperature,
        max_tokens=options.max_tokens,
        seed=options.seed,
        timeout_seconds=options.timeout_seconds,
    )
    if host := remote_host(options.model):
        console.print_message(f"Rows are sent to {host}.")
    return load_cached_model(
        options.model,
        temperature=options.temperature,
        max_tokens=options.max_tokens,
        timeout_seconds=options.timeout_seconds,
        aliases=options.alias,
    )
