"""The commands of ``python -m deidentifier``, a module each; see :mod:`deidentifier.__main__`."""
