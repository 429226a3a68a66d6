"""Stacks in, stacks out: reading, writing, transforms, the dataset manifest and simulated cells."""
