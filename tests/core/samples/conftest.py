"""Shares the tiny base models and their runs."""

from tiny_runs import bases, config, one_thread, pictures, runs_dir, trained

__all__ = ["bases", "config", "one_thread", "pictures", "runs_dir", "trained"]
