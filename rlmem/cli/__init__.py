"""The command line, one file a verb: each parses its options, calls the package's functions, and prints."""
