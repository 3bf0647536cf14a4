"""How quickly a worker goes through steps that do nothing."""
