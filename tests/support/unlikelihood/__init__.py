"""A fourth objective: answers that are unwanted become less probable, from their prompt to a section of the report.

It stands outside of the program, which finds it by three entries: its settings, its package, and its row format.
"""

from tutelage.config.objectives import ObjectiveInfo

INFO = ObjectiveInfo(
    name="unlikelihood",
    task="unlikelihood training",
    help="makes unwanted answers less probable",
    loss_unit="nats per token",
    row_format="prompt-unwanted",
    refused={"data.train_on": ("all",)},
)
