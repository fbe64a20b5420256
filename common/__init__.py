"""What both services need, and nothing else. Imports neither of them."""
