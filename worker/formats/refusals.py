"""How a reader says no."""


class Refused(Exception):
    """A file is not accepted. `kind` is the problem's type, `detail` says what is wrong and what to do."""

    def __init__(self, kind: str, detail: str) -> None:
        super().__init__(f"{kind}: {detail}")
        self.kind = kind
        self.detail = detail
