"""The language model that `tutelage data generate` and `improve` ask: its options, and what is said of it."""

from dataclasses import KW_ONLY, dataclass
from typing import Annotated, Any

from cyclopts import Parameter

from tutelage.cli.views import console
from tutelage.errors import RecipeError


@Parameter(name="*")
@dataclass(frozen=True)
class ModelOptions:
    """Which model is asked, and how."""

    _: KW_ONLY
    model: Annotated[
        str,
        Parameter(
            help="ollama:MODEL, openai:MODEL@URL or gguf:PATH. A key is taken from OPENAI_API_KEY alone."
        ),
    ]
    temperature: Annotated[
        float, Parameter(help="0 takes the most probable words; more draws more freely.")
    ] = 0.7
    max_tokens: Annotated[int, Parameter(help="Longest reply in tokens.")] = 1024
    seed: Annotated[int, Parameter(help="Another seed asks for other replies.")] = 123
    timeout_seconds: Annotated[float, Parameter(help="Longest wait for a reply of a server.")] = 300
    alias: Annotated[
        tuple[str, ...],
        Parameter(
            help="Another name with which the server may answer for the model; may be repeated.",
            negative="",
            show_default=False,
        ),
    ] = ()


def refuse_less_than_one(**counts: int | None) -> None:
    """Stop at a count, given by the name of its option, that asks for nothing."""
    for name, value in counts.items():
        if value is not None and value < 1:
            raise RecipeError(
                "cli.value_out_of_range",
                f"--{name.replace('_', '-')} is {value}, but it has to be 1 or more.",
            )


def remembering_model(options: ModelOptions) -> Any:
    """Return the RememberingModel of the options, and say where what is asked goes."""
    from tutelage.data.synthetic.asking import RememberingModel
    from tutelage.llm.language_models import open_chat_model
    from tutelage.llm.model_names import parse_model_name
    from tutelage.system.fetching import user_cache

    for name, value, least in (
        ("temperature", options.temperature, 0),
        ("max-tokens", options.max_tokens, 1),
        ("seed", options.seed, 0),
        ("timeout-seconds", options.timeout_seconds, 1),
    ):
        if not least <= value < 2**31:
            raise RecipeError(
                "cli.value_out_of_range",
                f"--{name} is {value}, but it has to be {least} or more, and below 2^31.",
            )
    host = parse_model_name(options.model).remote_host
    if host:
        console.say(f"Rows are sent to {host}.")
    return RememberingModel(
        options.model,
        lambda: open_chat_model(
            options.model, timeout_seconds=options.timeout_seconds, aliases=options.alias
        ),
        cache=user_cache(),
        temperature=options.temperature,
        max_tokens=options.max_tokens,
    )


def show_questions(model: Any) -> None:
    """Say how many questions were put."""
    known = f" Answered before: {model.remembered:,}." if model.remembered else ""
    console.say(f"Questions put to {model.name}: {model.asked:,}.{known}")
