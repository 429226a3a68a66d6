"""A public collection of labelled stacks, made into a dataset that trainings read patch by patch."""
