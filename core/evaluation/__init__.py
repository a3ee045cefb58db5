"""Instruments that judge a denoiser: drift against the true path."""
