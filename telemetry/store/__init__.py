"""Where signals live: chdb, owned by one process and asked over loopback."""
