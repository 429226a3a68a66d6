"""Datasets of stacks: the manifest, pairs of image and target, and what training draws from them."""
