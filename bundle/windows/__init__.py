"""The sliding window: overlapping patches with Gaussian weights, as large as a budget of memory allows."""
