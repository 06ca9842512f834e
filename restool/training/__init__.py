"""One training loop for every model."""

from restool.training.checkpoints import Checkpoint, load_checkpoint, load_model, save_checkpoint
from restool.training.loop import TrainingDivergedError, train
from restool.training.recipe import Recipe, learning_rate

__all__ = [
    "Checkpoint",
    "Recipe",
    "TrainingDivergedError",
    "learning_rate",
    "load_checkpoint",
    "load_model",
    "save_checkpoint",
    "train",
]
