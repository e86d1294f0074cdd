"""Byte-level tokenizers for each way to find words, with merges over whatever may stand in one word."""

import json
from functools import cache
from typing import Any

from support.tiny_tokenizer import CHATML
from tokenizers import Regex, Tokenizer, decoders, models, trainers
from tokenizers import pre_tokenizers as steps
from transformers import PreTrainedTokenizerFast

from tutelage.data.prompts.text_parts import GPT4_WORDS, GPT4O_WORDS, QWEN2_WORDS, QWEN3_5_WORDS, TEKKEN_WORDS

CONTROLS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
CORPUS = [
    "Name it.\n\nIt isn't a thing; they'll say so:\n  1. one\n  2. two\n\n\n10. ten  \n",
    "if x:\n    return (y)\n\n\tprint('a  b')\n//\n/ end.  \n\n   The end!\n \n",
    "A café, naïve e\u0301 n\u0303. \u4f60\u597d\uff0c\u4e16\u754c \U0001f642 \U0001f642\n",
]
# All of three of these in a row, so that a word which is cut elsewhere has other ids.
MARKS = "abst'.:/1 \n\t"


def _split(expression: str) -> steps.PreTokenizer:
    return steps.Split(Regex(expression), behavior="isolated")


BYTES = steps.ByteLevel(add_prefix_space=False, use_regex=False)
GPT2 = steps.ByteLevel(add_prefix_space=False, use_regex=True)
DIGITS = steps.Digits(individual_digits=True)
KNOWN = {
    "gpt2": [GPT2],
    "digits": [DIGITS, GPT2],
    "rare bytes": [DIGITS, GPT2, _split("[\u0106\u0107]")],
    "gpt4": [_split(GPT4_WORDS), BYTES],
    "qwen2": [_split(QWEN2_WORDS), BYTES],
    "qwen3.5": [_split(QWEN3_5_WORDS), BYTES],
    "gpt4o": [_split(GPT4O_WORDS), BYTES],
    "tekken": [_split(TEKKEN_WORDS), BYTES],
}
UNKNOWN = {"two words": [_split(r"\S+ \S+|\s+|\S+"), BYTES], "lines": [_split(r"[^\n]*\n?"), BYTES]}


def words_tokenizer(kind: str, **changed: Any) -> PreTrainedTokenizerFast:
    """Return a tokenizer that finds words in this way, with `changed` in its tokenizer.json; its template is ChatML."""
    state = json.loads(_learned(kind)) | changed
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(json.dumps(state)),
        clean_up_tokenization_spaces=False,
        bos_token="<|im_start|>",
        eos_token="<|im_end|>",
    )
    tokenizer.chat_template = CHATML
    return tokenizer


def state_of(kind: str) -> dict[str, Any]:
    """Return the tokenizer.json of such a tokenizer."""
    return json.loads(_learned(kind))


@cache
def _learned(kind: str) -> str:
    learner = Tokenizer(models.BPE())
    learner.pre_tokenizer = steps.Sequence((KNOWN | UNKNOWN)[kind])
    learner.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=900,
        initial_alphabet=sorted(steps.ByteLevel.alphabet()),
        special_tokens=list(CONTROLS),
        show_progress=False,
    )
    runs = [first + second + third for first in MARKS for second in MARKS for third in MARKS]
    learner.train_from_iterator([*CORPUS * 3, *runs], trainer)
    learner.add_tokens(["<tool_call>"])  # no control token, so that it is read in every text
    return learner.to_str()
