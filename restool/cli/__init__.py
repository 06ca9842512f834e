"""The command line. Heavy imports happen inside the commands, so that help is instant."""

from restool.cli.process import main

__all__ = ["main"]
