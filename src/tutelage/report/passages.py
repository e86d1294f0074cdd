"""Makes text from data and models safe and honest to show: nothing in it can act, hide or flood the page."""

import unicodedata
from dataclasses import dataclass
from itertools import groupby

from markupsafe import Markup, escape

from tutelage.text.characters import is_unseen

FOLDED_OVER = 600  # characters
FOLDED_OVER_LINES = 14
NO_LABEL = "(none)"  # of several labels a text may have none
SHOWN_AT_MOST = 20_000  # characters; one row of megabytes would make the page too heavy to send


@dataclass(frozen=True)
class Passage:
    """A text as the page shows it: whole, or folded behind its `opening`, and cut where it is enormous."""

    text: str
    opening: str
    is_folded: bool
    length: int
    omitted: int


def passage(text: str) -> Passage:
    """Decide how much of a text is shown at once."""
    lines = text.split("\n")
    is_folded = len(text) > FOLDED_OVER or len(lines) > FOLDED_OVER_LINES
    return Passage(
        text=text[:SHOWN_AT_MOST],
        opening="\n".join(lines[:6])[:240].rstrip(),
        is_folded=is_folded,
        length=len(text),
        omitted=max(0, len(text) - SHOWN_AT_MOST),
    )


def visible(text: str) -> Markup:
    """Escape a text for HTML and show as its code point each character that is unseen or reorders others."""
    runs = groupby(text, key=is_unseen)
    return Markup("").join(_named("".join(run)) if unseen else escape("".join(run)) for unseen, run in runs)


def label_name(label: str) -> Markup:
    """Return the name of a label in quotation marks, in which every blank but a plain one is shown as well."""
    if not label:
        return Markup(NO_LABEL)
    runs = groupby(
        label, key=lambda one: one != " " and (is_unseen(one) or unicodedata.category(one) == "Zs")
    )
    shown = (_named("".join(run)) if unseen else escape("".join(run)) for unseen, run in runs)
    return Markup('<span class="label">“{}”</span>').format(Markup("").join(shown))


def _named(unseen: str) -> Markup:
    names = [unicodedata.name(character, "control or unnamed character").lower() for character in unseen]
    label = Markup('<span class="unseen" title="{}">U+{:04X}</span>')
    return Markup("").join(
        label.format(name, ord(character)) for name, character in zip(names, unseen, strict=True)
    )
