"""A run's prompt style as other runtimes take it: a Jinja chat template, and a Go template for Ollama.

Both are put together from the texts that the run's own renderer writes between the turns, so that they cannot say
anything else; the verification renders them all the same.
"""

import json
from dataclasses import dataclass
from typing import Any

from tutelage.config.recipe import PromptStyle
from tutelage.data.prompts.encoding import adds_begin_of_text
from tutelage.data.prompts.prompts import PromptRenderer, make_renderer
from tutelage.data.rows.conversations import ChatMessage, Conversation
from tutelage.errors import ModelError

TEMPLATE = "chat_template.jinja"  # where transformers, and programs that go by it, look for a chat template


@dataclass(frozen=True)
class Frame:
    """What a style writes around the turns of a conversation.

    opening, question, answer stand before the first question, before a later one (with the end of the answer before
    it) and before an answer; system_opening and system_end around a system text, which takes the opening's place.
    """

    opening: str
    question: str
    answer: str
    end_of_turn: str
    system: tuple[str, str] | None


@dataclass(frozen=True)
class Style:
    """The style of a run bound to its tokenizer, in every form that an export needs."""

    renderer: PromptRenderer
    tokenizer: Any
    jinja: str
    go: str
    end_of_turn: str
    end_of_turn_id: int


def make_style(tokenizer: Any, prompt: PromptStyle) -> Style:
    """Return the style of a run; ModelError where it cannot be put into templates."""
    renderer = make_renderer(tokenizer, prompt)
    frame = frame_of(renderer)
    return Style(
        renderer,
        tokenizer,
        # The model's own template is what the chat style renders.
        tokenizer.chat_template if prompt == "chat" else jinja_template(frame),
        go_template(frame, begin_of_text=_begin_of_text(tokenizer)),
        frame.end_of_turn,
        renderer.end_of_turn,
    )


def _begin_of_text(tokenizer: Any) -> str:
    """Return what a runtime puts before every prompt by itself."""
    return tokenizer.bos_token if adds_begin_of_text(tokenizer) else ""


def frame_of(renderer: PromptRenderer) -> Frame:
    """Read a style's texts off its renderer; ModelError where they change from turn to turn."""
    end = renderer.tokenizer.convert_ids_to_tokens(renderer.end_of_turn)
    opening, after_question, between, after_second = _texts(
        renderer, ("user", "assistant", "user", "assistant")
    )
    if after_second != after_question or not between.startswith(end):
        raise ModelError(
            "export.template_not_regular",
            "This model's chat template writes later turns differently than the first, so other runtimes"
            " cannot use it. Choose another data.prompt_template.",
        )
    return Frame(opening, between, after_question, end, _system(renderer, after_question))


def _system(renderer: PromptRenderer, after_question: str) -> tuple[str, str] | None:
    try:
        before, after, last = _texts(renderer, ("system", "user", "assistant"))
    except ModelError:
        return None  # the style has no system texts
    return (before, after) if last == after_question else None


def _texts(renderer: PromptRenderer, roles: tuple[str, ...]) -> list[str]:
    """Return what a style writes before each turn of these roles, the last one being an answer."""
    marks = [f"\ue000{place}\ue001" for place in range(len(roles))]
    turns = tuple(ChatMessage(role, mark) for role, mark in zip(roles, marks, strict=True))  # type: ignore[arg-type]
    rest = renderer.prompt_text(Conversation(0, turns))
    texts = []
    for mark in marks[:-1]:
        text, _, rest = rest.partition(mark)
        texts.append(text)
    return [*texts, rest]


def jinja_template(frame: Frame) -> str:
    """Return the chat template of a wording; it raises where a conversation does not fit the style."""
    said = {name: _quoted(text) for name, text in vars(frame).items() if isinstance(text, str)}
    # The template writes the end of a turn with the answer, so that a conversation may also end there.
    said["next_question"] = _quoted(frame.question.removeprefix(frame.end_of_turn))
    system = [_quoted(text) for text in frame.system] if frame.system else None
    begin = (
        "{%- set has_system = messages and messages[0]['role'] == 'system' -%}"
        "{%- set turns = messages[1:] if has_system else messages -%}"
        "{%- if has_system and messages[0]['content'] | trim -%}"  # an empty one counts as none
        f"{{{{- {system[0]} + messages[0]['content'] + {system[1]} -}}}}"
        f"{{%- else -%}}{{{{- {said['opening']} -}}}}{{%- endif -%}}"
        if system
        else f"{{{{- {said['opening']} -}}}}{{%- set turns = messages -%}}"
    )
    wanted = "'a user message first, then alternating assistant and user messages'"
    return (
        f"{begin}{{%- if not turns -%}}"
        "{{- raise_exception('The conversation has no user message.') -}}{%- endif -%}"
        "{%- for turn in turns -%}"
        "{%- if turn['role'] != ['user', 'assistant'][loop.index0 % 2] -%}"
        "{{- raise_exception('This model was fine-tuned on ' + "
        f"{wanted}"
        " + '; turn ' + loop.index | string + ' has the role ' + turn['role'] + '.') -}}{%- endif -%}"
        "{%- if turn['content'] is not string or turn.get('tool_calls') -%}"
        "{{- raise_exception('This model was fine-tuned on plain text; turn ' + loop.index | string"
        " + ' is not plain text.') -}}"
        "{%- endif -%}"
        "{%- if turn['role'] == 'user' -%}"
        f"{{%- if not loop.first -%}}{{{{- {said['next_question']} -}}}}{{%- endif -%}}"
        f"{{{{- turn['content'] -}}}}"
        f"{{%- if not loop.last or add_generation_prompt -%}}{{{{- {said['answer']} -}}}}{{%- endif -%}}"
        f"{{%- else -%}}{{{{- turn['content'] + {said['end_of_turn']} -}}}}{{%- endif -%}}"
        "{%- endfor -%}"
    )


def go_template(frame: Frame, *, begin_of_text: str) -> str:
    """Return Ollama's template; every text stands quoted, so that no white space is at the mercy of a parser."""
    opening = _go_text(frame.opening.removeprefix(begin_of_text))
    if frame.system:
        before, after = frame.system
        system = f"{_go_text(before.removeprefix(begin_of_text))}{{{{ .System }}}}{_go_text(after)}"
        opening = f"{{{{ if .System }}}}{system}{{{{ else }}}}{opening}{{{{ end }}}}"
    return (
        f"{opening}{{{{ range .Messages }}}}"
        f'{{{{ if eq .Role "user" }}}}{{{{ .Content }}}}{_go_text(frame.answer)}'
        f'{{{{ else if eq .Role "assistant" }}}}{{{{ .Content }}}}{_go_text(frame.question)}'
        f"{{{{ end }}}}{{{{ end }}}}"
    )


def _go_text(text: str) -> str:
    return f"{{{{ {json.dumps(text, ensure_ascii=False)} }}}}"


def _quoted(text: str) -> str:
    """Return a text as a literal of Jinja's."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n").replace("\r", "\\r")
    return f"'{escaped}'"
