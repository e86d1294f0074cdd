"""The Modelfile: how Ollama is told what the model was trained with, for it guesses where it is not told."""

from pathlib import Path

from tutelage.export.style import Style


def modelfile(gguf: str, style: Style, *, context: int, license: str | None) -> str:
    """Return a Modelfile beside a GGUF file: template, stop, context and greedy answers."""
    lines = [
        f"FROM ./{Path(gguf).name}",
        f'TEMPLATE """{style.go}"""',
        f'PARAMETER stop "{style.end_of_turn}"',
        f"PARAMETER num_ctx {context}",
        "PARAMETER temperature 0",
        "PARAMETER repeat_penalty 1",  # Ollama's own default would change greedy answers
    ]
    if license:
        lines.append(f'LICENSE "{license}"')
    return "\n".join(lines) + "\n"
