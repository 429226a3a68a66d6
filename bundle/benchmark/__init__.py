"""Measurements of speed, memory and agreement, beside the literal formulation as their yardstick."""
