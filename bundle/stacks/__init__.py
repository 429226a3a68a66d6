"""Stacks in and out: which is meant, its axes, channels and voxel size, and lazy access to its voxels."""
