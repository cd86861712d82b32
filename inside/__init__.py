"""What is looked at and written inside containers from outside them: files, ports, output."""
