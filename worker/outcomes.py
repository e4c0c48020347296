"""What a child said, or how it died, as a problem that callers understand."""

from service import problems
from worker.formats.refusals import Refused
from worker.sandbox.parent import Crashed, TimedOut


def as_problem(error: Crashed | TimedOut | Refused) -> problems.Problem:
    """The problem to raise or to store."""
    match error:
        case Refused():
            return problems.BY_TYPE[error.kind](error.detail)
        case TimedOut():
            return problems.DeadlineExceeded(f"The file or the model took too long: {error}.")
        case _:
            return problems.ModelCrashed(f"The process that read or ran it died: {error}.")
