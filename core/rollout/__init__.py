"""Rollouts: how likely, how long, from where, by which sampler, and what the model is then trained on."""
