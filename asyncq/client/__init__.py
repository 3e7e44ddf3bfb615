"""Those who ask for work: make a message, push it."""
