"""From a laboratory's own stacks to a trained and measured marker: pairs, checks, splits, baselines and a verdict."""
