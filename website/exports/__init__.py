"""Exports: a query's instances as files in an S3 bucket, complete, verifiable, resumable."""
