"""SentencePiece's byte-fallback BPE as its tokenizer.json has it, in each of the ways to write the opening space."""

import json
from functools import cache

from support.tiny_tokenizer import BRACKETS, CORPUS
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

SPACE = "\u2581"
CONTROLS = ("<unk>", "<s>", "</s>")
REPLACE = {"type": "Replace", "pattern": {"String": " "}, "content": SPACE}
# As they stand in the files of Llama 2, of Mistral 0.3, of models saved from "always", and of Gemma.
WAYS = {
    "prepend": {
        "normalizer": {
            "type": "Sequence",
            "normalizers": [{"type": "Prepend", "prepend": SPACE}, REPLACE],
        },
        "pre_tokenizer": None,
    },
    "first": {
        "normalizer": None,
        "pre_tokenizer": {
            "type": "Metaspace",
            "replacement": SPACE,
            "prepend_scheme": "first",
            "split": False,
        },
    },
    "always": {
        "normalizer": None,
        "pre_tokenizer": {
            "type": "Metaspace",
            "replacement": SPACE,
            "prepend_scheme": "always",
            "split": False,
        },
    },
    "none": {"normalizer": REPLACE, "pre_tokenizer": None},
}


def sentencepiece_tokenizer(way: str) -> PreTrainedTokenizerFast:
    """Like Llama 2's: bytes for what has no token, and `</s>` after each answer of its template."""
    state = json.loads(_learned()) | WAYS[way]
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(json.dumps(state)),
        clean_up_tokenization_spaces=False,
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
    )
    tokenizer.chat_template = BRACKETS
    return tokenizer


@cache
def _learned() -> str:
    learner = Tokenizer(models.BPE())
    learner.pre_tokenizer = pre_tokenizers.Metaspace()
    learner.train_from_iterator(CORPUS * 3, trainers.BpeTrainer(vocab_size=200, show_progress=False))
    found = sorted(learner.get_vocab().items(), key=lambda entry: entry[1])
    # SentencePiece lists what it merged first, best first, then single characters.
    pieces = [token for token, _ in found if len(token) > 1] + [
        token for token, _ in found if len(token) == 1
    ]
    names = [*CONTROLS, *(f"<0x{byte:02X}>" for byte in range(256)), *pieces]
    known = {*pieces}
    # Every pair that makes a token may be merged, not only the one that it was learned from.
    merges = [
        [token[:cut], token[cut:]]
        for token in pieces
        for cut in range(1, len(token))
        if token[:cut] in known and token[cut:] in known
    ]
    model = {
        "type": "BPE",
        "unk_token": "<unk>",
        "fuse_unk": True,
        "byte_fallback": True,
        "vocab": {name: number for number, name in enumerate(names)},
        "merges": merges,
    }
    decoder = {
        "type": "Sequence",
        "decoders": [
            {"type": "Replace", "pattern": {"String": SPACE}, "content": " "},
            {"type": "ByteFallback"},
            {"type": "Fuse"},
            {"type": "Strip", "content": " ", "start": 1, "stop": 0},
        ],
    }
    marks = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    added = [{"id": number, "content": name, **marks} for number, name in enumerate(CONTROLS)]
    return json.dumps({"version": "1.0", "model": model, "decoder": decoder, "added_tokens": added})
