"""Shares a folder of pictures."""

from tiny_runs import pictures

__all__ = ["pictures"]
