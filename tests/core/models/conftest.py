"""Shares the tiny base models and their runs."""

from tiny_families import family_bases
from tiny_runs import bases, config, one_thread, pictures, runs_dir, trained
from typed_commands import typed

__all__ = ["bases", "config", "family_bases", "one_thread", "pictures", "runs_dir", "trained", "typed"]
