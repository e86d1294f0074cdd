"""Examples as `prepare` writes them, made by code: invented tasks and a tokenizer of words and bytes."""

import random
import re
from typing import Any

PREAMBLE = (
    "Below is an instruction that describes a task."
    " Write a response that appropriately completes the request."
)
END = "<|im_end|>"

OPPOSITES = (
    ("hot", "cold"),
    ("early", "late"),
    ("brave", "timid"),
    ("ancient", "modern"),
    ("scarce", "plentiful"),
    ("rigid", "flexible"),
    ("noisy", "quiet"),
    ("arrive", "depart"),
)
SPELLINGS = (
    ("recieve", "receive"),
    ("definately", "definitely"),
    ("seperate", "separate"),
    ("acommodate", "accommodate"),
    ("wierd", "weird"),
    ("tommorow", "tomorrow"),
)
CAPITALS = (
    ("France", "Paris"),
    ("Kenya", "Nairobi"),
    ("Peru", "Lima"),
    ("Japan", "Tokyo"),
    ("Norway", "Oslo"),
    ("Vietnam", "Hanoi"),
)
CHINESE = (
    ("Translate 'good morning' into Chinese.", "早上好"),
    ("Translate 'thank you very much' into Chinese.", "非常感谢"),
    ("把“我喜欢读书”翻译成英文。", "I like reading."),
    ("用一句话解释什么是光合作用。", "光合作用是植物利用阳光把水和二氧化碳变成糖和氧气的过程。"),
)
PASSIVES = (
    ("The chef cooks the meal every day.", "The meal is cooked by the chef every day."),
    ("The committee approved the new budget.", "The new budget was approved by the committee."),
    ("A storm damaged the old bridge.", "The old bridge was damaged by a storm."),
    ("The students will present the results.", "The results will be presented by the students."),
    ("Maria wrote these letters.", "These letters were written by Maria."),
)


def self_instruct_rows(row: int, chance: random.Random) -> dict[str, Any]:
    """Make one line of a split from one of seven kinds of task, by turns."""
    instruction, given, response = _task(row, chance)
    prompt = f"{PREAMBLE}\n\n### Instruction:\n{instruction}"
    prompt += f"\n\n### Input:\n{given}" if given else ""
    return example(row, f"{prompt}\n\n### Response:\n", response)


def example(row: int, prompt: str, response: str) -> dict[str, Any]:
    """Make one line of train.jsonl, test.jsonl or validation.jsonl."""
    prompt_ids, response_ids = encode(prompt), encode(response + END)
    return {
        "row": row,
        "prompt": prompt,
        "response": response,
        "tokens": len(prompt_ids) + len(response_ids),
        "supervised": len(response_ids),
        "prompt_tokens": len(prompt_ids),
        "ids": prompt_ids + response_ids,
    }


def _task(row: int, chance: random.Random) -> tuple[str, str, str]:
    """Return an instruction, its input and its response."""
    kinds = (_opposite, _spelling, _capital, _passive, _conversion, _chinese, _plan)
    return kinds[row % len(kinds)](chance)


def _opposite(chance: random.Random) -> tuple[str, str, str]:
    one, other = chance.choice(OPPOSITES)
    asked = chance.choice(("Provide an antonym of", "What is the opposite of", "Name the reverse of"))
    return f"{asked} '{one}'.", "", f"An antonym of '{one}' is '{other}'."


def _spelling(chance: random.Random) -> tuple[str, str, str]:
    wrong, right = chance.choice(SPELLINGS)
    return "Correct the spelling of the word.", wrong, f"The correct spelling is '{right}'."


def _capital(chance: random.Random) -> tuple[str, str, str]:
    country, city = chance.choice(CAPITALS)
    return f"What is the capital of {country}?", "", f"The capital of {country} is {city}."


def _passive(chance: random.Random) -> tuple[str, str, str]:
    active, passive = chance.choice(PASSIVES)
    return "Rewrite the sentence in the passive voice.", active, passive


def _conversion(chance: random.Random) -> tuple[str, str, str]:
    kilometres = chance.randint(2, 90)
    asked = f"Convert {kilometres} kilometres to metres."
    return asked, "", f"{kilometres} km is {kilometres * 1000:,} metres."


def _chinese(chance: random.Random) -> tuple[str, str, str]:
    question, reply = chance.choice(CHINESE)
    return f"{question} (第{chance.randint(1, 400)}题)", "", reply


def _plan(chance: random.Random) -> tuple[str, str, str]:
    steps = chance.randint(1, 6)
    listed = (f"{number}. Step {number} follows from the one before." for number in range(1, steps + 1))
    return f"List {steps} steps of a plan.", "", "\n".join(listed)


_PIECES = re.compile(r"<\|im_end\|>| ?[A-Za-z']+| ?[0-9]|\s|.", re.ASCII | re.DOTALL)
_BYTES = [bytes([byte]) for byte in range(256)]
_IDS = {data: fingerprint for fingerprint, data in enumerate(_BYTES)}


def encode(text: str) -> list[int]:
    """Split into words, and other scripts into single bytes, as a byte-level tokenizer would."""
    ids: list[int] = []
    for piece in _PIECES.findall(text):
        data = piece.encode("utf-8", "surrogatepass")
        if piece.isascii():
            if data not in _IDS:
                _IDS[data] = len(_BYTES)
                _BYTES.append(data)
            ids.append(_IDS[data])
        else:
            ids.extend(data)
    return ids


def decode(ids: list[int]) -> str:
    """Join the bytes of the ids, and show a cut character as U+FFFD, as a byte-level tokenizer would."""
    return b"".join(_BYTES[fingerprint] for fingerprint in ids).decode("utf-8", "replace")
