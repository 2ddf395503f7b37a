"""The verbs of the command line, one file each: they parse, call the package's functions, and print."""
