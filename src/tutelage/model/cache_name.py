"""The name of the key-value cache in transformers: `cache` since 5.24, `past_key_values` before."""

from dataclasses import fields

from transformers.modeling_outputs import BaseModelOutputWithPast

_NAMES = {field.name for field in fields(BaseModelOutputWithPast)}
CACHE = "cache" if "cache" in _NAMES else "past_key_values"
