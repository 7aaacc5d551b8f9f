"""No bytes from outside raise what is not named: those found before, and some new ones at each run."""

from __future__ import annotations

from pathlib import Path

import pytest

from fuzz.parsers import TARGETS
from fuzz.search import search
from fuzz.target import CORPUS, Target, TooSlow, place_of, smallest

EXAMPLES = 150
KEPT = [(name, path.name) for name, target in TARGETS.items() for path in target.kept()]


@pytest.mark.parametrize(("name", "file"), KEPT)
def test_what_was_found_once_is_borne(name: str, file: str) -> None:
    if error := TARGETS[name].trouble((CORPUS / name / file).read_bytes()):
        raise error


@pytest.mark.parametrize("target", TARGETS.values(), ids=lambda target: target.name)
def test_no_input_raises_what_is_not_named(target: Target, tmp_path: Path) -> None:
    for sample in target.samples:
        if error := target.trouble(sample):
            raise error
    if finding := search(target, EXAMPLES):
        (tmp_path / "input").write_bytes(smallest(target, finding.data))
        finding.error.add_note(f"the input is {tmp_path / 'input'}: copy it to {CORPUS / target.name} to replay it")
        raise finding.error


@pytest.mark.parametrize("target", TARGETS.values(), ids=lambda target: target.name)
def test_a_sample_is_not_refused(target: Target) -> None:
    """Changing what is refused anyway would try the first check only."""
    accepted = 0
    for sample in target.samples:
        try:
            target.run(sample)
            accepted += 1
        except target.refusals:
            pass
    assert accepted


def test_a_fault_is_found_made_small_and_told_by_its_place() -> None:
    """Otherwise all of the above could pass by finding nothing ever."""

    def run(data: bytes) -> None:
        if b"9" * 400 in data:
            raise OverflowError
        raise ValueError

    broken = Target("broken", run, (ValueError,), (b'{"a": 12, "b": [true]}',), ())
    finding = search(broken, 500, seed=1)
    assert finding is not None
    error = broken.trouble(smallest(broken, finding.data))
    assert error is not None
    assert place_of(error) == finding.place
    assert finding.place.startswith("OverflowError at test_fuzz.py:")
    assert smallest(broken, finding.data) == b"9" * 400
    assert broken.trouble(b"{}") is None


def test_what_takes_too_long_is_a_finding() -> None:
    def run(data: bytes) -> None:
        sum(range(len(data) * 1_000_000))

    slow = Target("slow", run, (), (b"",), ())
    assert slow.trouble(b"") is None
    assert isinstance(slow.trouble(b"x" * 40), TooSlow)


def test_every_folder_of_the_corpus_belongs_to_a_target() -> None:
    assert {path.name for path in CORPUS.iterdir()} <= set(TARGETS)
