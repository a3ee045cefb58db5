"""Rebuilds the embedded base model and its DreamBooth subjects: ``python -m assets.build``."""
