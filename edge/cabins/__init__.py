"""Cabins: the runner of one, and what stands around it."""
