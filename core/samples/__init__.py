"""Pictures made from fixed seeds."""
