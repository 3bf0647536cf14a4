"""The typed steps that runs are made of, one module for each kind of run."""
