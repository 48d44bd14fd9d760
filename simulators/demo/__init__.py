"""The reference site in one command: broker, central, edges, devices, people, vehicles, faults, and a reckoning."""
