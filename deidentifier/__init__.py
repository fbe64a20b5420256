"""The worker that turns original instances into research instances, its command line and its console."""
