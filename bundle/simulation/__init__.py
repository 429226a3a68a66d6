"""Simulated cells: their shapes and structures, the brightfield and the fluorescence that a microscope would show."""
