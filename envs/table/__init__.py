"""The table world: a 7-joint arm over a table. One file a task."""
