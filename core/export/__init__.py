"""A finished run's LoRA as files that other tools read, each read back and held against the run's own adapter."""
