"""An objective with three answers a row, which it makes itself: the written one is to be likelier than two spoilt ones.

It stands outside of the program, which finds it by two entries: its settings and its package.
"""

from tutelage.config.objectives import ObjectiveInfo

INFO = ObjectiveInfo(
    name="ranking",
    task="ranking of answers",
    help="makes a written answer likelier than the same shouted, and that likelier than the same cut in half",
    loss_unit="per row",
    unit="rows",
    refused={"data.train_on": ("all",)},
)
