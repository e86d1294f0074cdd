"""The rates of this machine in matrix products of the model's own shapes, by type and library, and what machine it is.

Variants: `fp32`, `bf16` (which measures fp32 beside it).
"""

import math
import time
from collections.abc import Callable
from statistics import median
from typing import Any

from benchmarks.runners.job import print_result, read_job

MEASURED = {"fp32": ("fp32",), "bf16": ("bf16", "fp32")}
ROWS = (512, 1024, 2048)
SECONDS_EACH = 0.2

# From rows and a weight to what computes their product.
Library = Callable[[Any, Any], Callable[[], Any]]


def main() -> None:
    """Print, for each type and library, the median over the shapes of the body of the best rate in each."""
    job, variant = read_job(__doc__, tuple(MEASURED))

    import torch

    from tutelage.system.runtime import describe_environment

    dtypes = {"bf16": torch.bfloat16, "fp32": torch.float32}
    hidden, inner = job["hidden_size"], job["intermediate_size"]
    shapes = [
        (rows, inputs, outputs)
        for rows in ROWS
        for inputs, outputs in ((hidden, hidden), (hidden, inner), (inner, hidden))
    ]
    rates = {
        dtype: {
            name: median(measure(library, shape, dtypes[dtype]) for shape in shapes)
            for name, library in LIBRARIES.items()
            if runs_here(library, dtypes[dtype])
        }
        for dtype in MEASURED[variant]
    }
    machine = describe_environment(torch.device("cpu"), dtypes[variant])
    print_result({"gemm_flops_per_second": rates, "machine": machine}, ("torch",))


def torch_mm(left: Any, weight: Any) -> Callable[[], Any]:
    """Multiply as torch does by itself: by its BLAS in fp32, and by oneDNN, which packs the weight anew, in bf16."""
    import torch

    return lambda: torch.mm(left, weight.t())


def packed_onednn(left: Any, weight: Any) -> Callable[[], Any]:
    """Multiply by a weight that oneDNN has packed once."""
    import torch

    packed = torch.ops.mkldnn._reorder_linear_weight(weight, len(left))
    return lambda: torch.ops.mkldnn._linear_pointwise(left, packed, None, "none", [], "")


LIBRARIES: dict[str, Library] = {"torch's mm": torch_mm, "oneDNN, weights packed once": packed_onednn}


def runs_here(library: Library, dtype: Any) -> bool:
    """Tell whether a library has products of a type on this processor and in this build, by one small product."""
    import torch

    try:
        library(torch.ones(16, 16, dtype=dtype), torch.ones(16, 16, dtype=dtype))()
    except (RuntimeError, AttributeError):  # what a build says that lacks the operation or the instructions
        return False
    return True


def measure(library: Library, shape: tuple[int, int, int], dtype: Any) -> float:
    """Return the best rate, in operations a second, of (rows, inputs) times a weight of (outputs, inputs).

    The shortest time is the machine's own; the others also show what else it was doing, and the first is cold.
    """
    import torch

    rows, inputs, outputs = shape
    multiply = library(torch.randn(rows, inputs).to(dtype), torch.randn(outputs, inputs).to(dtype))
    shortest, begin = math.inf, time.perf_counter()
    while time.perf_counter() - begin < SECONDS_EACH:
        start = time.perf_counter()
        multiply()
        shortest = min(shortest, time.perf_counter() - start)
    return 2 * math.prod(shape) / shortest


if __name__ == "__main__":
    main()
