"""transformers' generate on the common prompts, in left-padded batches by length: variants bf16 and fp32."""

from typing import Any

from benchmarks.runners.job import print_result, read_job, time_answers

VARIANTS = {"bf16": "bfloat16", "fp32": "float32"}


def main() -> None:
    """Answer every prompt of the job and print what it took."""
    job, variant = read_job(__doc__, tuple(VARIANTS))

    import torch
    from transformers import AutoModelForCausalLM

    model: Any = AutoModelForCausalLM.from_pretrained(job["model"], dtype=getattr(torch, VARIANTS[variant]))
    model.eval()

    def answer(prompts: list[list[int]], new_tokens: int) -> list[list[int]]:
        answers: dict[int, list[int]] = {}
        by_length = sorted(range(len(prompts)), key=lambda index: len(prompts[index]))
        for begin in range(0, len(by_length), job["peer_batch"]):
            indices = by_length[begin : begin + job["peer_batch"]]
            ids, seen = pad_left([prompts[index] for index in indices], job["end_of_turn"])
            output = model.generate(
                input_ids=ids,
                attention_mask=seen,
                do_sample=False,
                max_new_tokens=new_tokens,
                eos_token_id=job["end_of_turn"],
                pad_token_id=job["end_of_turn"],
            )
            new = output[:, ids.shape[1] :].tolist()
            answers |= {
                index: until(row, job["end_of_turn"]) for index, row in zip(indices, new, strict=True)
            }
        return [answers[index] for index in range(len(prompts))]

    print_result(time_answers(job, answer), ("transformers", "torch"))


def pad_left(prompts: list[list[int]], padding: int) -> tuple[Any, Any]:
    """Return ids and which of them are seen, both (prompts, longest)."""
    import torch

    longest = max(len(prompt) for prompt in prompts)
    ids = [[padding] * (longest - len(prompt)) + prompt for prompt in prompts]
    seen = [[0] * (longest - len(prompt)) + [1] * len(prompt) for prompt in prompts]
    return torch.tensor(ids), torch.tensor(seen)


def until(ids: list[int], end: int) -> list[int]:
    """Return the ids before the first end token."""
    return ids[: ids.index(end)] if end in ids else ids


if __name__ == "__main__":
    main()
