"""The portal: its index, its export jobs, its background workers."""
