"""De-identifying files without servers: what ``python -m deidentifier run`` is made of."""
