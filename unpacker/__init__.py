"""A program of its own: reads one layer on its standard input, and writes it into a directory.

It is given no name, no key and no socket; it sees nothing but the directory. Its parser of tar is
the only one that reads a layer, so nothing else can read it otherwise.
"""
