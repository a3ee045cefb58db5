"""Pictures and captions, read once and encoded once."""
