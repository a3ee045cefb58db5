"""Noise schedules, what a network predicts, and the contract of the callable that predicts it."""
