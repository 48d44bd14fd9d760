"""The reference site in one command: broker, central, seven edges, devices, people, faults, and a reckoning."""
