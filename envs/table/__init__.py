"""Tasks on a table with a 7-joint arm, one file for each."""
