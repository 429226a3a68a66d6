"""The way of a stack to its prediction."""
