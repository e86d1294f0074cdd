"""Guess which unknown columns are question and answer from their contents; the result is only a suggestion."""

import re
from collections.abc import Collection, Mapping, Sequence
from itertools import pairwise

from tutelage.data.formats.column_hints import Role
from tutelage.data.formats.column_samples import SHARE, TEXT_SIZE, Column, ColumnSamples

MESSAGES = re.compile(r"\s*\[\s*\{")
FIELDS_OF_MESSAGES = {"messages": re.compile(r'"role"\s*:'), "conversations": re.compile(r'"from"\s*:')}
MANY_TIMES = 4  # times the length of the answers: a context passage


def roles_of_labels(samples: ColumnSamples, known: Mapping[Role, str]) -> dict[Role, str]:
    """Suggest the text and label columns for classification; empty if no two columns qualify."""
    columns = [column for column in samples.columns() if column.name not in known.values() and column.values]
    roles = dict(known)
    if "label" not in roles:
        classes = [column for column in columns if column.is_classes and column.is_filled]
        others = [column for column in columns if column.bare < SHARE and column.size < TEXT_SIZE]
        found = max(classes or others, key=_label_rank, default=None)
        if found is None:
            return {}
        roles["label"] = found.name
    if "text" not in roles:
        rest = [column for column in columns if column.name != roles["label"] and not column.is_classes]
        if not rest:
            rest = [column for column in columns if column.name != roles["label"]]
        found = max(
            rest, key=lambda column: (column.bare < SHARE, not column.is_meta, column.size), default=None
        )
        if found is None:
            return {}
        roles["text"] = found.name
    return {"text": roles["text"], "label": roles["label"]}


def _label_rank(column: Column) -> tuple:
    return column.bare < SHARE, column.is_called("label"), not column.is_meta, -column.distinct, column.place


def messages_among(samples: ColumnSamples) -> dict[str, str]:
    """Return {field: column} if exactly one column contains lists of messages, otherwise an empty dict."""
    found = {
        column.name: field
        for column in samples.columns()
        for field, key in FIELDS_OF_MESSAGES.items()
        if column.is_json
        and all(MESSAGES.match(text) and key.search(text) for text in samples.texts(column.name))
    }
    return {field: name for name, field in found.items() if field != name} if len(found) == 1 else {}


def roles_of_answers(samples: ColumnSamples, known: Mapping[Role, str]) -> dict[Role, str]:
    """Suggest columns for question, context and answer; empty if no two columns qualify."""
    columns = [column for column in samples.columns() if column.name not in known.values() and column.values]
    roles = dict(known)
    texts = [column for column in columns if column.is_text and column.is_varied]
    constant = [column for column in columns if column.is_text and column.is_constant]
    repeated = [column for column in columns if _is_repeated(column)]
    if "answered" not in roles:
        found = _answer(samples, columns, texts, has_question="asked" in roles)
        if found is None:
            return {}
        roles["answered"] = found.name
    texts = [column for column in texts if column.name not in roles.values()]
    repeated = [column for column in repeated if column.name not in roles.values()]
    if "asked" not in roles:
        pool = texts or repeated or _short(columns, roles.values()) or constant
        found = max(pool, key=_asked_rank, default=None)
        if found is None:
            return {}
        roles["asked"] = found.name
    texts = [column for column in texts if column.name not in roles.values()]
    first = next((column for column in (*constant, *repeated) if column.name not in roles.values()), None)
    if first is not None and "asked" not in known and not first.is_meta and not first.is_called("label"):
        # The same text in many rows is an instruction or a system prompt.
        asked = next(column for column in samples.columns() if column.name == roles["asked"])
        if first.is_constant and asked.question_rate >= SHARE / 2:
            roles["system"] = first.name
        elif asked.question_rate < SHARE / 2 and "context" not in known:
            roles["context"], roles["asked"] = roles["asked"], first.name
    if "context" not in roles:
        found = next((column for column in texts if _is_context(samples, column, roles)), None)
        if found is not None:
            roles["context"] = found.name
    return roles


def _is_repeated(column: Column) -> bool:
    """Return whether a column repeats a few texts many times, like an instruction."""
    is_few = not column.is_varied and not column.is_constant
    return is_few and (column.is_text or (column.is_classes and column.is_called("asked")))


def _short(columns: Sequence[Column], taken: Collection[str]) -> list[Column]:
    """Return columns of short, varied values, such as words and their translations."""
    found = [column for column in columns if column.name not in taken and column.is_varied]
    return [column for column in found if column.bare < SHARE and not column.is_json]


def _answer(
    samples: ColumnSamples, columns: Sequence[Column], texts: Sequence[Column], *, has_question: bool
) -> Column | None:
    """Return the answer column: JSON, or else a column without questions, which comes after the question.

    The contents decide; names only break ties between columns with the same kind of content.
    """
    objects = [column for column in columns if column.is_json]
    plain = [column for column in texts if column.question_rate < SHARE / 2]
    filled = [column for column in plain if column.is_filled] or plain
    quoted = [
        column
        for column in _short(columns, [one.name for one in texts])
        if any(_holds(samples, one, column) for one in filled)
    ]
    if objects:
        found = max(objects, key=_answer_rank)
    elif quoted and not _are_outdone(quoted, samples, texts, filled):
        found = max(quoted, key=_answer_rank)
    elif len(filled) >= (1 if has_question or len(texts) > len(plain) else 2):
        found = _text_answer(samples, texts, filled, has_question=has_question)
    elif texts or has_question or len(_short(columns, ())) > 1:
        found = _short_answer(samples, columns, texts) or _few_answers(
            columns, has_question=has_question or any(column.question_rate >= SHARE / 2 for column in texts)
        )
    else:
        found = None
    return found


def _answer_rank(column: Column) -> tuple:
    return column.is_called("answered"), not column.is_meta, not column.is_called("asked"), column.place


def _text_answer(
    samples: ColumnSamples, texts: Sequence[Column], filled: Sequence[Column], *, has_question: bool
) -> Column:
    """Return the answer column among text columns without questions."""
    questions = [column for column in texts if column.question_rate >= SHARE / 2]
    candidates = [column for column in filled if not _is_passage(samples, column, filled)] or filled
    if questions or has_question:
        begin = max(questions, key=_asked_rank).place if questions else -1
        return max(candidates, key=lambda one: (*_answer_rank(one)[:3], one.place > begin, -one.place))
    return max(candidates, key=_answer_rank)


def _short_answer(
    samples: ColumnSamples, columns: Sequence[Column], texts: Sequence[Column]
) -> Column | None:
    """Return a column of short, varied values, preferring words to numbers."""
    filled = [column for column in columns if column not in texts and column.is_filled]
    numbers = [column for column in filled if column.bare >= SHARE and _may_be_result(samples, column)]
    return max(_short(filled, ()) or numbers, key=_answer_rank, default=None)


def _few_answers(columns: Sequence[Column], *, has_question: bool) -> Column | None:
    """Return a column of few distinct values beside questions if its name says that it holds answers."""
    called = [
        column
        for column in columns
        if column.is_called("answered") and column.is_filled and column.is_classes
    ]
    return called[-1] if has_question and called else None


def _are_outdone(
    quoted: Sequence[Column], samples: ColumnSamples, texts: Sequence[Column], filled: Sequence[Column]
) -> bool:
    """Return whether text columns beside questions are better answers than short values found in a text."""
    if not any(column.question_rate >= SHARE / 2 for column in texts):
        return False
    are_called = [any(column.is_called("answered") for column in some) for some in (filled, quoted)]
    free = [column for column in filled if not _is_passage(samples, column, [*filled, *quoted])]
    return are_called[0] if any(are_called) else bool(free)


def _asked_rank(column: Column) -> tuple:
    has_questions = column.question_rate >= SHARE / 2
    return has_questions, column.is_filled, column.is_called("asked"), not column.is_meta, -column.place


def _is_context(samples: ColumnSamples, column: Column, roles: Mapping[Role, str]) -> bool:
    """Return whether a column is context: by its name, because it contains the answers, or because it is much
    longer.
    """
    if column.is_called("context"):
        return True
    if column.is_meta or column.is_called("answered"):
        return False
    answers = [one for one in samples.columns() if one.name == roles["answered"]]
    asked = next(one for one in samples.columns() if one.name == roles["asked"])
    is_between = asked.place < column.place < answers[0].place if answers else False
    is_input = is_between and asked.question_rate < SHARE / 2
    return is_input or _is_passage(samples, column, answers)


def _is_passage(samples: ColumnSamples, column: Column, others: Sequence[Column]) -> bool:
    """Return whether the values of a column contain those of another, or are many times as long."""
    others = [other for other in others if other is not column and other.values]
    return any(
        _holds(samples, column, other) or column.size > MANY_TIMES * max(other.size, 2 * TEXT_SIZE)
        for other in others
    )


def _holds(samples: ColumnSamples, column: Column, other: Column) -> bool:
    """Return whether the values of a column contain those of another in at least half of the rows."""
    pairs = [(long.casefold(), short.casefold()) for long, short in samples.pairs(column.name, other.name)]
    held = sum(bool(short) and short.strip(" .\u3002!") in long and short != long for long, short in pairs)
    return held >= other.values / 2 > 0


def _may_be_result(samples: ColumnSamples, column: Column) -> bool:
    """Return whether numbers may be answers, rather than row numbers, dates or codes."""
    texts = samples.texts(column.name)
    if not all(re.fullmatch(r"[-+]?[\d.,' ]+", text) for text in texts):
        return False
    numbers = [float(re.sub(r"\D", "", text) or 0) for text in texts]
    steps = {after - before for before, after in pairwise(numbers)}
    return len(steps) != 1  # row numbers have a constant step
