"""What a model of named entities costs, what it takes out of harmless text, and which names it finds.

``python bench/named_entities.py [--quick] [--model FOLDER] [--labels A,B] [--json FILE]``

Instances are de-identified by the default rules, with the rules alone and with the model in turn: with descriptions
that repeat, and with one of its own in each. Then the model reads meanings of standard codes, and sentences with names
that are words of the vocabulary, as they are and in capitals. Without ``--model`` it is a list of patterns, made here.
"""

from __future__ import annotations

import io
import random
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pydicom

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.deidentify_corpus import ct_slice
from bench.goals import Benchmark, arguments
from deidentifier.deidentify import Deidentifier
from deidentifier.mappings import MemoryMappings
from deidentifier.profiles.clean_text import default_vocabulary, explain_words
from deidentifier.profiles.named_entities import LABELS, Recogniser
from deidentifier.profiles.spelling import fold
from deidentifier.rules_file import load_rules
from deidentifier.settings import DEFAULT_RULES

NAMES = ("Bauer", "Berlin", "Black", "Bone", "Brown", "Day", "Diamond", "Field", "Foot", "Fox", "Glass", "Gray",
         "Green", "Hand", "Hart", "Head", "Horn", "Little", "Long", "Major", "Marsh", "Page", "Reading", "Sharp",
         "Shepherd", "Short", "Silver", "Small", "Stone", "Strong", "Walker", "White", "Wright")  # fmt: skip
GIVEN = ("Anna", "Henry", "Mary", "Otto", "Ruth", "Yusuf")
SENTENCES = ("CT chest for Dr. {0} {1}", "MRI brain, requested by {0} {1}", "{1}, {0} abdomen follow-up",
             "Thorax {0} {1}", "knee left Dr. {1}", "compare with mother {0} {1}", "biopsy by {1}",
             "patient {0} {1} has pain")  # fmt: skip


def main() -> int:
    """Measure, print tables and goals."""
    parser = arguments("Cost and effect of a model of named entities.")
    parser.add_argument("--model", help="a folder, or the name of an installed package (RPACS_NER_MODEL)")
    parser.add_argument("--labels", help="comma-separated (RPACS_NER_LABELS)")
    given = parser.parse_args()
    benchmark = Benchmark("named entities")
    with tempfile.TemporaryDirectory() as folder:
        start = time.process_time()
        model = Recogniser(given.model or patterns(Path(folder)), given.labels.split(",") if given.labels else LABELS)
        print(f"{model.name}, {model.library}: loaded in {time.process_time() - start:.2f} s of processor time")
        cost(benchmark, model, 100 if given.quick else 400)
        effect(benchmark, model, 300 if given.quick else 3_000)
    return benchmark.finish(given.json)


def patterns(folder: Path) -> str:
    """Write a pipeline that knows the names after a given name; return its folder."""
    import spacy

    pipeline = spacy.blank("en")
    names = [{"label": "PERSON", "pattern": f"{first} {last}"} for first in GIVEN for last in NAMES]
    pipeline.add_pipe("entity_ruler").add_patterns(names)
    pipeline.to_disk(folder)
    return str(folder)


# -------------------------------------------------------------------------------------------------------------- cost
def cost(benchmark: Benchmark, model: Recogniser, count: int) -> None:
    """Compare the processor time of an instance with that of the rules alone."""
    rules = load_rules(DEFAULT_RULES.read_bytes())
    engines = [Deidentifier(rules, MemoryMappings(), recogniser=each) for each in (None, model)]
    rows = []
    for kind, text in (
        ("repeat", lambda _: "CT Thorax long axis"),
        ("are new", lambda n: f"CT Thorax for Dr. Henry Long {n}"),
    ):
        alone, with_model = measure(engines, [described(number, text(number)) for number in range(count)])
        rows.append((f"descriptions {kind}", alone, with_model, with_model / alone))
        if kind == "repeat":
            benchmark.goal("processor time of an instance whose texts repeat, against the rules alone",
                           with_model / alone, "<=", 1.1)  # fmt: skip
    benchmark.table("ms of processor time an instance", ("", "rules alone", "with the model", "times"), rows)


def described(number: int, text: str) -> bytes:
    """Return a CT slice with a description."""
    dataset = pydicom.dcmread(io.BytesIO(ct_slice(number)))
    dataset.StudyDescription, dataset.SeriesDescription = text, "AX CHEST LUNG 1.25mm"
    dataset.save_as(written := io.BytesIO())
    return written.getvalue()


def measure(engines: Sequence[Deidentifier], files: Sequence[bytes]) -> list[float]:
    """Return the median of five rounds of each engine, in ms an instance; the first file is read beforehand."""
    rounds: list[list[float]] = [[] for _ in engines]
    for engine in engines:
        engine.deidentify(files[0])
    for part in (files[start::5] for start in range(5)):
        for engine, times in zip(engines, rounds, strict=True):
            start = time.process_time()
            for data in part:
                engine.deidentify(data)
            times.append((time.process_time() - start) / len(part) * 1000)
    return [sorted(times)[2] for times in rounds]


# ------------------------------------------------------------------------------------------------------------ effect
def effect(benchmark: Benchmark, model: Recogniser, count: int) -> None:
    """Count the harmless words that the model takes away, and the names that it leaves."""
    draw = random.Random(1)
    harmless = draw.sample(meanings(), count)
    names = [name for name in NAMES if fold(name) in default_vocabulary()]
    sentences = [
        (text.format(first, last), last) for text in SENTENCES for last in names for first in draw.sample(GIVEN, 2)
    ]
    rows, wrong = [], 0
    written: dict[str, Callable[[str], str]] = {"as they are": str, "in capitals": str.upper}
    for kind, form in written.items():
        kept = lost = left = 0
        for text in map(form, harmless):
            rules, both = explain_words(text), explain_words(text, find=model.find)
            kept += sum(each.kept for each in rules)
            lost += sum(each.kept for each in rules) - sum(each.kept for each in both)
            wrong += sum(after.kept and not before.kept for before, after in zip(rules, both, strict=True))
        for text, name in ((form(text), form(name)) for text, name in sentences):
            words = explain_words(text, find=model.find)
            left += any(each.kept and text[each.start : each.end] == name for each in words)
        rows.append(
            (kind, f"{lost} of {kept}", 100 * lost / kept, f"{left} of {len(sentences)}", 100 * left / len(sentences))
        )
    benchmark.table("words", ("texts", "harmless words lost", "%", "names left", "%"), rows)
    benchmark.goal("words that stay though the rules remove them", wrong, "==", 0)


def meanings() -> list[str]:
    """Return the meanings of the codes that pydicom knows."""
    from pydicom.sr._concepts_dict import concepts

    return sorted({code[0] for scheme in concepts.values() for codes in scheme.values() for code in codes.values()})


if __name__ == "__main__":
    sys.exit(main())
