"""One cell, for laws of keys and records."""

from restool.recipe import Recipe
from restool.transfer import Cell, SourceRun

RUN = SourceRun(
    model="flexnet-3",
    dataset="gabors",
    data="0123456789abcdef",
    limit=None,
    source=16,
    seed=0,
    epochs=8,
    recipe=Recipe(alias_penalty="none", batch_size=64, learning_rate=0.01),
)
CELL = Cell(run=RUN, target=32, protocol="requery")
