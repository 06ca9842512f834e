"""A study on the workers of Ray: a driver hands out tasks, workers do them, messages go between."""

from restool.transfer.cluster.driver import Driver
from restool.transfer.cluster.pool import Pool

__all__ = ["Driver", "Pool"]
