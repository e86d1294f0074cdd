"""Read the tokenizer saved with a run without importing transformers, which would take most of the time.

It provides what rendering prompts and decoding answers need, under the names of transformers.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from tutelage.model.folders import read_json_file

ROLES = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")


def read_kept_tokenizer(folder: Path) -> "KeptTokenizer | None":
    """Return the tokenizer that transformers saved in `folder`; None if it uses features not supported here.

    Callers must compare its text with a known correct one.
    """
    template = folder / "chat_template.jinja"
    try:
        settings = read_json_file(folder / "tokenizer_config.json")
        core = Tokenizer.from_file(str(folder / "tokenizer.json"))
        chat_template = template.read_text(encoding="utf-8") if template.is_file() else None
    except Exception:  # any error: a damaged tokenizer is not the right one either
        return None
    named = {role: settings[role] for role in ROLES if settings.get(role) is not None}
    if not all(isinstance(token, str) for token in named.values()) or _says_more(folder, settings, core):
        return None
    return KeptTokenizer(core, named, chat_template)


def _says_more(folder: Path, settings: dict[str, Any], core: Tokenizer) -> bool:
    """Return whether there are special tokens with other roles, more templates, or a cleanup after decoding."""
    others = {name for name in settings if name.endswith("_token")} - {
        *ROLES,
        "add_bos_token",
        "add_eos_token",
    }
    has_templates = "chat_template" in settings or (folder / "additional_chat_templates").exists()
    tidies = settings.get("clean_up_tokenization_spaces") and type(core.model).__name__ != "BPE"
    return bool(others or settings.get("extra_special_tokens") or has_templates or tidies)


@dataclass(frozen=True)
class KeptTokenizer:
    """A tokenizer with its special tokens, by role, and its chat template."""

    backend_tokenizer: Tokenizer
    special_tokens_map: dict[str, str]
    chat_template: str | None

    def get_chat_template(self) -> str | None:
        return self.chat_template

    @property
    def bos_token(self) -> str | None:
        return self.special_tokens_map.get("bos_token")

    @property
    def bos_token_id(self) -> int | None:
        return self._id_of("bos_token")

    @property
    def eos_token_id(self) -> int | None:
        return self._id_of("eos_token")

    @property
    def all_special_tokens(self) -> list[str]:
        return list(dict.fromkeys(self.special_tokens_map.values()))

    @property
    def added_tokens_decoder(self) -> dict[int, Any]:
        return self.backend_tokenizer.get_added_tokens_decoder()

    def encode(
        self, text: str, *, add_special_tokens: bool = True, split_special_tokens: bool = False
    ) -> list[int]:
        self.backend_tokenizer.encode_special_tokens = split_special_tokens
        return self.backend_tokenizer.encode(text, add_special_tokens=add_special_tokens).ids

    def decode(self, ids: list[int], *, skip_special_tokens: bool = False) -> str:
        return self.backend_tokenizer.decode(ids, skip_special_tokens=skip_special_tokens)

    def convert_ids_to_tokens(self, number: int) -> str | None:
        return self.backend_tokenizer.id_to_token(number)

    def convert_tokens_to_ids(self, token: str) -> int | None:
        return self.backend_tokenizer.token_to_id(token)

    def _id_of(self, role: str) -> int | None:
        token = self.special_tokens_map.get(role)
        return None if token is None else self.convert_tokens_to_ids(token)
