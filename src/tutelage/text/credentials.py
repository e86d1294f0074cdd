"""Detect keys and passwords in names and addresses, and redact them from messages."""

import os
import re
from typing import Literal

KEY_VARIABLE = "OPENAI_API_KEY"
STRUCK = "…"
SHORTEST_KEY = 12  # characters
KEY_IN_NAME = (
    "The name of the model holds what looks like a key; it is neither used nor written down. Put a key into the"
    f" environment variable {KEY_VARIABLE}, and replace it if others could have seen it."
)

# Prefixes of the keys of known services, followed by more characters than a word in a model's name has.
_OF_A_SERVICE = re.compile(
    r"(?<![A-Za-z0-9])(?:[spr]k[-_][\w-]{8,}|(?:gsk_|hf_|xai-|pplx-|fw_|r8_|csk-|gh[pos]_|dapi)[A-Za-z0-9]{16,}"
    r"|(?:nvapi-|glpat-|github_pat_|AIza)[\w-]{16,}|AKIA[A-Z0-9]{12,}|eyJ[\w-]{8,}\.[\w.-]+)"
    r"|\b[Bb]earer\s+\S+"
    r"|(?i:\b\w*(?:api_?key|secret|token|password))\s*=\s*\S+"
)
# Unbroken letters and digits: hex or base64 keys, unless they contain a word of a name.
_RUN = re.compile(r"(?<![A-Za-z0-9+])[A-Za-z0-9+]{32,}={0,2}")
_HEX = re.compile(r"(?=.*[0-9])[0-9a-fA-F]+")
_WORD = re.compile("[a-z]{7}")
_DIGEST = re.compile(r"(?i)sha256[:-][0-9a-f]{64}")


def secret_in_name(name: str) -> Literal["key", "address"] | None:
    """Return "key" if a model name contains a key, or "address" if its URL has more than host and path."""
    kind, _, rest = name.partition(":")
    if kind == "gguf":
        return "key" if holds_key_of_a_service(rest) else None
    model, _, address = rest.partition("@")
    if set(address) & set("@?#"):
        return "address"
    return "key" if any(map(holds_key, (kind, model, address))) else None


def holds_key(text: str) -> bool:
    """Return whether a name or an address contains something that looks like a key."""
    return without_keys(text) != text


def holds_key_of_a_service(text: str) -> bool:
    """Return the same for a path, where a long run of letters and digits may be a hash."""
    return without_known_keys(text) != text


def without_keys(text: str) -> str:
    """Redact everything in a text that looks like a key, and the user's own key in any form."""
    text = without_known_keys(text)
    digests = [match.span() for match in _DIGEST.finditer(text)]

    def strike(match: re.Match[str]) -> str:
        run = match[0]
        is_digest = any(begin <= match.start() and match.end() <= end for begin, end in digests)
        is_key = _HEX.fullmatch(run) or (len(re.findall("[0-9]+", run)) > 1 and not _WORD.search(run))
        return STRUCK if is_key and not is_digest else run

    return _RUN.sub(strike, text)


def without_known_keys(text: str) -> str:
    """Redact keys with known prefixes, and the user's own key."""
    return _OF_A_SERVICE.sub(STRUCK, without_own_key(text))


def without_own_key(text: str) -> str:
    """Redact the user's own key from external text.

    A short key is a placeholder for a local server, such as "ollama", and not secret.
    """
    own = own_key()
    return text.replace(own, STRUCK) if own and len(own) >= SHORTEST_KEY else text


def without_secrets(address: str) -> str:
    """Redact user, password, query, fragment and keys from a URL, or what was meant as one.

    A password can contain any character. So everything before the last @ is removed, and also the rest if a
    query may have begun.
    """
    scheme, slashes, rest = address.partition("//") if "//" in address else ("", "", address)
    if "@" in scheme:
        scheme = f"{STRUCK}@{scheme.rpartition('@')[2]}"
    before, at, after = rest.rpartition("@")
    if at:
        rest = STRUCK if set(before) & set("?#") else f"{STRUCK}@{after}"
    plain = re.match("[^?#]*", rest)
    if plain and plain[0] != rest:
        rest = f"{plain[0]}{rest[plain.end()]}{STRUCK}"
    return without_keys(f"{scheme}{slashes}{rest}")


def own_key() -> str | None:
    """Return the key in the environment, without surrounding whitespace such as the line break of a file."""
    return os.environ.get(KEY_VARIABLE, "").strip() or None
