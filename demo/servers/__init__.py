"""Real servers on free loopback ports, for the demo and the tests."""
