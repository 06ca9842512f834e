"""The version of restool."""

__version__ = "0.1.0"
