"""The rate of this machine in bfloat16 matrix products of the model's own shapes, and what machine it is."""

import math
import time
from statistics import median

from benchmarks.runners.job import print_result, read_job

ROWS = (512, 1024, 2048)
SECONDS_EACH = 0.2


def main() -> None:
    """Print the median over the shapes of the body of the best rate in each."""
    job, _ = read_job(__doc__, ("bf16",))

    import torch

    from tutelage.runtime import describe_environment

    hidden, inner = job["hidden_size"], job["intermediate_size"]
    measure(ROWS[0], hidden, inner)  # the first products are cold
    rates = [
        measure(rows, inputs, outputs)
        for rows in ROWS
        for inputs, outputs in ((hidden, hidden), (hidden, inner), (inner, hidden))
    ]
    machine = describe_environment(torch.device("cpu"), torch.bfloat16)
    print_result({"bf16_flops_per_second": median(rates), "machine": machine}, ("torch",))


def measure(rows: int, inputs: int, outputs: int) -> float:
    """Return the best rate, in operations a second, of (rows, inputs) times a weight of (outputs, inputs).

    The shortest time is the machine's own; the others also show what else it was doing.
    """
    import torch

    left = torch.randn(rows, inputs, dtype=torch.bfloat16)
    weight = torch.randn(outputs, inputs, dtype=torch.bfloat16)
    shortest, begin = math.inf, time.perf_counter()
    while time.perf_counter() - begin < SECONDS_EACH:
        start = time.perf_counter()
        torch.nn.functional.linear(left, weight)
        shortest = min(shortest, time.perf_counter() - start)
    return 2 * math.prod((rows, inputs, outputs)) / shortest


if __name__ == "__main__":
    main()
