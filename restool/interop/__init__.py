"""Readers for other people's checkpoints."""

from restool.interop.flexconv import read_flexconv

__all__ = ["read_flexconv"]
