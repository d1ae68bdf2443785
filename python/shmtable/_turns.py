"""Where the interpreter runs signal handlers and other threads during a long call."""


def between_turns() -> None:
    """Does nothing: the interpreter hands over to other threads as it enters a function."""
