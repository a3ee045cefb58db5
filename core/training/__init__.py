"""The trainer: config to parts, the step, the loop."""
