"""Common column names in several languages, as prefixes; used if the contents of a column are ambiguous."""

import re
from collections.abc import Collection, Mapping
from typing import Literal

Role = Literal["system", "asked", "context", "answered", "text", "label"]

_ANSWERED = """
answer antwort respuesta réponse reponse risposta resposta ответ 回答 答案 回复 reply response output ausgabe salida
sortie solution lösung solución translation übersetzung traduc traduz summary zusammenfass resumen résumé
target completion json reaktion odpowied yanıt cevap svar antwoord 答 回應
"""
_ASKED = """
question frage pregunta domanda pergunta вопрос 问题 提问 質問 query anfrage ticket anliegen nachricht message
mensaje prompt instruction anweisung aufgabe task consigne request beschwerde pytanie soru fråga vraag demande
consulta
"""
_CONTEXT = """
context kontext contexto contexte passage input eingabe entrada entrée article artikel artículo document
absatz контекст 背景 上下文 contesto
"""
_LABEL = """
label class klasse kategorie categor catégorie sentiment etiqueta étiquette stimmung spam тема метка класс
категори 标签 类别 分类 topic thema tema tag type typ art rating bewertung etichetta intent
"""
_META = """
note notiz comment kommentar bemerkung titel title título titre autor author quelle source fuente 备注 примечани
комментари observ remarque nota intern
"""

HINTS: Mapping[Role, tuple[str, ...]] = {
    "answered": tuple(_ANSWERED.split()),
    "asked": tuple(_ASKED.split()),
    "context": tuple(_CONTEXT.split()),
    "label": tuple(_LABEL.split()),
}
META = tuple(_META.split())  # remarks about a row, neither question nor answer
SHORTEST_BEGINNING = 5  # letters; shorter hints are prefixes of other words, as in art and article

FIRST_WORD = re.compile(r"[^\W\d_]+")


def begins_like(name: str, hints: Collection[str]) -> bool:
    """Return whether a name starts with a hint; short hints must match its whole first word."""
    name = name.strip().casefold()
    found = FIRST_WORD.match(name)
    word = found[0] if found else name
    return any(
        name.startswith(hint)
        if len(hint) >= SHORTEST_BEGINNING or not hint.isascii()
        else word in (hint, f"{hint}s")
        for hint in hints
    )
