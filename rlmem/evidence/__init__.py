"""Does an agent really remember, how far back, how much: lesions, probes, curves, and one report of them all."""
