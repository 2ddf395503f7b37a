"""The error that says what a user did wrong."""


class UserError(ValueError):
    """A user's mistake: an unknown name, a value out of bounds, a missing or damaged file, a task that does not fit.

    Its message is one line that says what is wrong and what would be right. The command line prints that line and
    exits with status 2; any other exception is a fault of the program and keeps its traceback.
    """
