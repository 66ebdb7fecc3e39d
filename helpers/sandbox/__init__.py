"""The offline stand-in: state, checks and one module a service; no I/O, no clock of its own."""
