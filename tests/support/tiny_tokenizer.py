"""Byte-level tokenizers and a whole small model folder, made by code: random weights, no download."""

import random
from functools import cache
from pathlib import Path

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
)

CONTEXT = 512
VOCABULARY = 420

CORPUS = [
    "Below is an instruction that describes a task. Write a response that appropriately completes the request.",
    "\n\n### Instruction:\nRewrite the sentence.\n\n### Input:\nThe cat sat.\n\n### Response:\nThe cat was seated.",
    "user assistant system: what is the opposite of the word? The opposite is another word, as I said.",
]

CHATML = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
BRACKETS = (
    "{{ bos_token }}{% for message in messages %}{% if message['role'] == 'user' %}"
    "[INST] {{ message['content'] }} [/INST]{% else %}{{ message['content'] }}{{ eos_token }}{% endif %}{% endfor %}"
)
PHI3 = (
    "{% for message in messages %}{{ '<|' + message['role'] + '|>\n' + message['content'] + '<|end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% else %}{{ eos_token }}{% endif %}"
)
HEADERS = (
    "{{ bos_token }}{% for message in messages %}<|start_header_id|>{{ message['role'] }}<|end_header_id|>\n\n"
    "{{ message['content'] | trim }}<|eot_id|>{% endfor %}"
    "{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}"
)


def chatml_tokenizer() -> PreTrainedTokenizerFast:
    """Like SmolLM2's: ChatML, and no begin-of-text token is added."""
    return _dressed(
        _learned(("<|endoftext|>", "<|im_start|>", "<|im_end|>")),
        template=CHATML,
        bos_token="<|im_start|>",
        eos_token="<|im_end|>",
    )


def bos_adding_tokenizer() -> PreTrainedTokenizerFast:
    """Like Llama 2's: `<s>` is put before every text."""
    backend = _learned(("<s>", "</s>"))
    backend.post_processor = processors.Sequence(
        [
            processors.ByteLevel(trim_offsets=False),
            processors.TemplateProcessing(
                single="<s> $A", pair="<s> $A <s> $B", special_tokens=[("<s>", backend.token_to_id("<s>"))]
            ),
        ]
    )
    return _dressed(backend, template=BRACKETS, bos_token="<s>", eos_token="</s>")


def phi3_tokenizer() -> PreTrainedTokenizerFast:
    """Like Phi-3's: the markers are control tokens of tokenizer.json, but no named ones like eos_token."""
    markers = ("<|endoftext|>", "<|user|>", "<|assistant|>", "<|system|>", "<|end|>")
    return _dressed(_learned(markers), template=PHI3, eos_token="<|endoftext|>")


def whitespace_eating_tokenizer() -> PreTrainedTokenizerFast:
    """Phi-3's again, with the flag its files have: a marker swallows the white space after it."""
    backend = _learned(("<|endoftext|>",))
    markers = ("<|user|>", "<|assistant|>", "<|system|>", "<|end|>")
    backend.add_special_tokens([AddedToken(marker, special=True, rstrip=True) for marker in markers])
    return _dressed(backend, template=PHI3, eos_token="<|endoftext|>")


def trimming_tokenizer() -> PreTrainedTokenizerFast:
    """Like Llama 3's: the chat template trims each message."""
    controls = ("<|begin_of_text|>", "<|eot_id|>", "<|start_header_id|>", "<|end_header_id|>")
    return _dressed(
        _learned(controls), template=HEADERS, bos_token="<|begin_of_text|>", eos_token="<|eot_id|>"
    )


TOKENIZERS = {
    "chatml": chatml_tokenizer,
    "adds bos": bos_adding_tokenizer,
    "phi3": phi3_tokenizer,
    "trims": trimming_tokenizer,
}


def write_tiny_model(folder: Path, *, context: int = CONTEXT) -> Path:
    """Write config, random Llama weights as safetensors and the ChatML tokenizer; the same at every call."""
    tokenizer = chatml_tokenizer()
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=context,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.eos_token_id,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def write_tiny_gpt2(folder: Path) -> Path:
    """Write a random GPT-2 with its one control token, which is begin, end and padding."""
    tokenizer = _dressed(
        _learned(("<|endoftext|>",)),
        template="",
        bos_token="<|endoftext|>",
        eos_token="<|endoftext|>",
    )
    # Weights larger than in practice, so that every token depends clearly on all before it.
    shape = {"n_embd": 32, "n_layer": 2, "n_head": 2, "n_positions": CONTEXT, "initializer_range": 0.2}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        GPT2LMHeadModel(GPT2Config(vocab_size=len(tokenizer), **shape)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def control_ids(tokenizer: PreTrainedTokenizerFast) -> set[int]:
    """Return the ids of all control tokens, as tokenizer.json marks them."""
    return {fingerprint for fingerprint, token in tokenizer.added_tokens_decoder.items() if token.special}


def random_texts(count: int, *, seed: int) -> list[str]:
    """Return texts of mixed scripts, white space, marks of control tokens and any other character but surrogates."""
    chance = random.Random(seed)
    pools = [
        "abcdefghijklmnopqrstuvwxyzABC 0123456789.,'",
        " \n\t\r.|<>_",
        ["<|user|>", "<|end|>", "<|im_end|>", "<|eot_id|>", "<s>", "</s>", "[INST]"],
        "你好世界，请把句子改写。",
        "éüßñ\u0301\u200b\u202e\ufeff\x00\x1b\x7f\u2028",
    ]
    return [
        "".join(
            chance.choice(chance.choice(pools)) if chance.random() < 0.8 else _any_character(chance)
            for _ in range(chance.randrange(1, 24))
        )
        for _ in range(count)
    ]


def _any_character(chance: random.Random) -> str:
    code = chance.randrange(0x110000 - 0x800)
    return chr(code if code < 0xD800 else code + 0x800)  # surrogates are no characters


def _dressed(backend: Tokenizer, *, template: str, **named: str) -> PreTrainedTokenizerFast:
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, clean_up_tokenization_spaces=False, **named)
    tokenizer.chat_template = template
    return tokenizer


def _learned(controls: tuple[str, ...]) -> Tokenizer:
    return Tokenizer.from_str(_learned_json(controls))


@cache
def _learned_json(controls: tuple[str, ...]) -> str:
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        special_tokens=list(controls),
        show_progress=False,
    )
    backend.train_from_iterator(CORPUS * 3, trainer)
    return backend.to_str()
