"""Greets, and says which version does."""
