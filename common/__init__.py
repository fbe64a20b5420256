"""What both services need, and nothing else. Imports neither of them."""

__version__ = "2.0.0.dev0"
