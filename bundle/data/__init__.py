"""Stacks in, stacks out: reading, writing, transforms and the dataset manifest."""
