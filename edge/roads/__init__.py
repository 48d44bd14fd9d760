"""Vehicle lanes: the runner of one, and what it sees and shows."""
