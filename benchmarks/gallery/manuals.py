"""Real text: Debian's manual pages in six languages. Which language is it? By the characters of a line, or by words."""

import gzip
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.gallery import files

LANGUAGES = ("de", "es", "fr", "it", "nl", "pl")
MACRO = re.compile(r"^[.']")  # the formatter's commands
ESCAPE = re.compile(r"\\f(\[[^]]*\]|.)|\\[&/,|^]|\\s[+-]?\d")
CHARACTERS = 128  # that are told apart
LEAST_WORDS = 8  # of two lines
Ints = NDArray[np.int64]
Two = tuple[list[str], list[str]]


@dataclass(frozen=True)
class Texts:
    """Examples for training and for testing, of different pages: inputs by name, int64[N, ...], and labels int64[N].

    known: how many characters or words have a number.
    """

    train: dict[str, Ints]
    train_labels: Ints
    test: dict[str, Ints]
    test_labels: Ints
    known: int


def characters(folder: Path, length: int, each: int) -> Texts:
    """Lines by their first characters: `chars`, int64[N, length]. `each` for training, of each language.

    Characters are numbered by how often they occur; 0 is any rarer one.
    """

    def cut(lines: list[str]) -> list[str]:
        return sorted({line[:length] for line in lines if len(line) >= length})

    parts = {testing: _picked(folder, cut, each, testing) for testing in (False, True)}
    known = _numbered(Counter("".join(line for line, _ in parts[False])), CHARACTERS)
    train, test = (
        {"chars": np.array([[known.get(char, 0) for char in line] for line, _ in parts[testing]])}
        for testing in (False, True)
    )
    labels = [np.array([label for _, label in parts[testing]]) for testing in (False, True)]
    return Texts(train, labels[0], test, labels[1], len(known) + 1)


def words(folder: Path, length: int, most: int, each: int) -> Texts:
    """Two lines in a row by their words: `ids`, `mask`, `types`, each int64[N, length]. `each` for training, as above.

    Words are numbered by how often they occur; 0 pads, 1 is any rarer one. Types: 0 in the first line, 1 in the second.
    """

    def paired(lines: list[str]) -> list[Two]:
        split = [re.findall(r"\w+|[^\w\s]", line.lower()) for line in lines]
        return [two for two in zip(split[::2], split[1::2], strict=False) if len(two[0]) + len(two[1]) >= LEAST_WORDS]

    parts = {testing: _picked(folder, paired, each, testing) for testing in (False, True)}
    counted = Counter(word for (first, second), _ in parts[False] for word in first + second)
    known = {word: number + 1 for word, number in _numbered(counted, most - 2).items()}
    train, test = (_encoded([two for two, _ in parts[testing]], known, length) for testing in (False, True))
    labels = [np.array([label for _, label in parts[testing]]) for testing in (False, True)]
    return Texts(train, labels[0], test, labels[1], most)


def shuffled(texts: Texts) -> Iterator[tuple[str, Ints]]:
    """The arrays of a dataset for testing, its examples in an order of chance, labels as `labels`."""
    order = np.random.default_rng(0).permutation(len(texts.test_labels))
    for name, values in texts.test.items():
        yield name, values[order]
    yield "labels", texts.test_labels[order]


def _picked(folder: Path, cut: Callable[[list[str]], list[Any]], each: int, testing: bool) -> list[tuple[Any, int]]:
    """Examples of all languages with their labels, at most so many a language; a quarter of that for testing."""
    picked = []
    for label, language in enumerate(LANGUAGES):
        found = _pages(language, folder)
        examples = [example for page in sorted(found) if _for_test(page) == testing for example in cut(found[page])]
        order = np.random.default_rng(label).permutation(len(examples))
        picked += [(examples[place], label) for place in order[: each // 4 if testing else each]]
    return picked


def _pages(language: str, folder: Path) -> dict[str, list[str]]:
    """The text lines of each page, without the formatter's commands; pages that only name another are left out."""
    where = files.debian(f"manpages-{language}", folder) / "usr/share/man" / language
    found = {}
    for path in sorted(where.glob("man*/*.gz")):
        if not path.is_symlink():
            text = gzip.decompress(path.read_bytes()).decode(errors="replace")
            plain = [ESCAPE.sub("", line).replace("\\-", "-") for line in text.splitlines() if not MACRO.match(line)]
            found[path.name] = [line for line in plain if line.strip() and "\\" not in line]
    return found


def _for_test(page: str) -> bool:
    """Is a page one of the fifth that is kept for testing? By its name, so that it is in all languages."""
    return sum(page.encode()) % 5 == 0


def _encoded(twos: Sequence[Two], known: dict[str, int], length: int) -> dict[str, Ints]:
    inputs = {name: np.zeros((len(twos), length), np.int64) for name in ("ids", "mask", "types")}
    for place, (first, second) in enumerate(twos):
        numbers = [known.get(word, 1) for word in [*first, *second]][:length]
        inputs["ids"][place, : len(numbers)] = numbers
        inputs["mask"][place, : len(numbers)] = 1
        inputs["types"][place, len(first) : len(numbers)] = 1
    return inputs


def _numbered(counted: Counter[str], most: int) -> dict[str, int]:
    """The most frequent, from 1 on; ties in the order of the alphabet."""
    ordered = sorted(counted, key=lambda each: (-counted[each], each))
    return {each: number + 1 for number, each in enumerate(ordered[:most])}
