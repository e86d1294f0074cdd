"""The book's training loop on the common rows: every weight in float32, loss on the prompt too, no clipping.

Rows of a step are padded to the longest; padding is not scored, and the end token of a row is.
"""

from typing import Any

from benchmarks.runners.job import StepClock, batches, print_training, read_job


def main() -> None:
    """Train for the steps of the job and print what they took."""
    job, _ = read_job(__doc__, ("fp32",))

    import torch
    from transformers import AutoModelForCausalLM

    torch.manual_seed(job["seed"])
    model: Any = AutoModelForCausalLM.from_pretrained(job["model"], dtype=torch.float32)
    model.train()
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=job["book_learning_rate"], weight_decay=job["weight_decay"]
    )
    clock = StepClock()
    clock.start()
    losses = []
    for batch in batches(job):
        inputs, targets = pad([row["ids"] for row in batch], job["padding"])
        optimizer.zero_grad()
        logits = model(input_ids=inputs, use_cache=False).logits  # (rows, longest - 1, vocabulary)
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten())
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    print_training(job, clock, losses, ("transformers", "torch"))


def pad(rows: list[list[int]], padding: int) -> tuple[Any, Any]:
    """Return inputs and targets, both (rows, longest - 1); targets are the inputs shifted by one, -100 in padding."""
    import torch

    longest = max(len(ids) for ids in rows)
    inputs = [ids[:-1] + [padding] * (longest - len(ids)) for ids in rows]
    targets = [ids[1:] + [-100] * (longest - len(ids)) for ids in rows]
    return torch.tensor(inputs), torch.tensor(targets)


if __name__ == "__main__":
    main()
