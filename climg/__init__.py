"""The command line: talks HTTP only."""
