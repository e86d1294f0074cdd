"""What training can make smaller, by the names that training.objective has for it; each stands in a file of its own."""

from tutelage.training.objectives.instruction import INSTRUCTION
from tutelage.training.objectives.objective import Objective

OBJECTIVES: dict[str, Objective] = {
    "instruction": INSTRUCTION,
    # The same loss: a row has one target, and the head has a row for each class in place of each token.
    "classification": INSTRUCTION,
}
