"""Burned-in annotations: found, blackened in the stored values, and proven gone."""
