"""Prediction of whole stacks: windows and their weights, many files in one run, and what is written for each."""
