"""Live pictures of cameras for whoever bears a grant."""
