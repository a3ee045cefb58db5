"""The rollout engine, its trainer and its instruments. Headless: nothing here imports gradio."""

__version__ = "0.1.0"
