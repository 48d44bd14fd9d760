"""Lanes: what people and vehicles meet. Pure state machines; time is an argument."""
