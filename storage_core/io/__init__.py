"""The outside world as ports: disk, clock, network, checksum."""
