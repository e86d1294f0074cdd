"""The training of an instruction tuning: the cross-entropy of its examples, one for each row."""

from tutelage.objectives.spec import TrainingPart
from tutelage.training.cross_entropy import CROSS_ENTROPY
from tutelage.training.load import as_examples

TRAINING = TrainingPart(objective=lambda recipe, units: CROSS_ENTROPY, units=as_examples)
