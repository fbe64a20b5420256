"""Pipelines of spaCy for tests: by patterns, and trained in a second on a few sentences. Nothing is downloaded."""

import random

PATTERNS = (
    ("PERSON", "Henry Long"),
    ("PERSON", "Foot"),
    ("GPE", "Berlin"),
    ("ORG", "White Field"),
    ("DATE", [{"LOWER": "3"}, {"LOWER": "may"}, {"LOWER": "12"}]),
)
_FIRST = ("Henry", "Anna", "Mary", "Paul")
_LAST = ("Long", "Young", "White", "Stone")
_WITH = ("CT chest for Dr. {} left", "knee MRI {} right", "{} abdomen", "long axis heart {}")
_WITHOUT = ("long axis heart", "white matter brain", "young adult chest", "CT chest left", "stone protocol abdomen")


def ruled(folder, patterns=PATTERNS, version="1.2.3"):
    """Write a pipeline that goes by patterns."""
    import spacy

    pipeline = spacy.blank("en")
    pipeline.add_pipe("entity_ruler").add_patterns([{"label": label, "pattern": words} for label, words in patterns])
    pipeline.meta["name"], pipeline.meta["version"] = "ruled", version
    pipeline.to_disk(folder)
    return folder


def trained(folder):
    """Write a pipeline that has learned what a name looks like, with a component that says nothing about names."""
    import spacy
    from spacy.training import Example
    from spacy.util import fix_random_seed

    fix_random_seed(0)
    pipeline = spacy.blank("en")
    pipeline.add_pipe("senter")
    pipeline.add_pipe("ner")
    texts = [(text, []) for text in _WITHOUT * 6]
    for name in (f"{first} {last}" for first in _FIRST for last in _LAST):
        for text in _WITH:
            start = text.index("{}")
            texts.append((text.format(name), [(start, start + len(name), "PERSON")]))
    examples = [
        Example.from_dict(doc, {"entities": entities, "sent_starts": [1] + [0] * (len(doc) - 1)})
        for doc, entities in ((pipeline.make_doc(text), entities) for text, entities in texts)
    ]
    pipeline.initialize(lambda: examples)
    for turn in range(8):
        random.Random(turn).shuffle(examples)
        for start in range(0, len(examples), 16):
            pipeline.update(examples[start : start + 16], drop=0.1)
    pipeline.meta["name"], pipeline.meta["version"] = "trained", "0.1"
    pipeline.to_disk(folder)
    return folder
