"""The rules: pure Python, no I/O; every rule that depends on time takes `now`."""
