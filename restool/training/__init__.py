"""One training loop for every model."""

from restool.training.checkpoints import Checkpoint, load_checkpoint, load_model, read_digest, save_checkpoint
from restool.training.loop import Auxiliary, TrainingDivergedError, train
from restool.training.optimizer import learning_rate

__all__ = [
    "Auxiliary",
    "Checkpoint",
    "TrainingDivergedError",
    "learning_rate",
    "load_checkpoint",
    "load_model",
    "read_digest",
    "save_checkpoint",
    "train",
]
