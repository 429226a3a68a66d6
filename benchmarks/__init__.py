"""Measurements whose figures stand in docs/, each with the command that makes them."""
