"""The training of an instruction tuning: the cross-entropy of its examples, one for each row."""

from tutelage.objectives.sft.loss import INSTRUCTION
from tutelage.objectives.spec import TrainingPart
from tutelage.training.load import as_examples

TRAINING = TrainingPart(objective=lambda recipe, units: INSTRUCTION, units=as_examples)
