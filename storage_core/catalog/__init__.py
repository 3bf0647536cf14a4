"""The deterministic state machine: accounts, containers, blobs, blocks."""
