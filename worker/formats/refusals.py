"""How a reader says no."""

# The problems' types that a compute process may name; nothing else of what it says is believed.
KINDS = frozenset(
    """
    dataset-malformed dataset-mismatch dataset-too-large external-data-forbidden model-malformed model-too-large
    model-unsupported operator-not-allowed resource-exhausted unsupported-format
    """.split()
)


class Refused(Exception):
    """A file is not accepted. `kind` is the type of the problem, one of KINDS; `detail` says what to do."""

    def __init__(self, kind: str, detail: str) -> None:
        super().__init__(f"{kind}: {detail}")
        self.kind = kind
        self.detail = detail
