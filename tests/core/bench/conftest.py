"""Shares the tiny base models and pictures."""

from tiny_runs import bases, config, one_thread, pictures

__all__ = ["bases", "config", "one_thread", "pictures"]
