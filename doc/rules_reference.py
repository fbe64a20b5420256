"""Write ``reference/rules.md`` and ``reference/rules.schema.json`` from the rules' declarations: ``make docs``."""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from common.yaml_records import Field

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "doc" / "reference" / "rules.md"
SCHEMA = ROOT / "doc" / "reference" / "rules.schema.json"
sys.path.insert(0, str(ROOT))

HEAD = """\
# Rules: reference

A rules file is YAML. It says what the de-identifier does with each incoming DICOM instance. How to write and test one:
[Write and test rules](../how-to/write-and-test-rules.md). Editors that know JSON Schema can use
[rules.schema.json](rules.schema.json); with the YAML language server, begin the file with

```yaml
# yaml-language-server: $schema=rules.schema.json
```

Every problem of a file is reported at once, as `file:line:column: message`, by `python -m deidentifier check`. Unknown
keys are errors: a typing slip never weakens de-identification in silence. A running service reads the file again
when it changes; a file with errors never takes effect, the last good rules stay in force.

This page is made from the declarations by `make docs`, and a test holds it to them.
"""

SCOPES = """\
Every instance carries the label `ALL`, and each label whose query its original matches. An instance is in scope when
at least one of its labels is included, directly or through a category, and none is excluded; an exclusion always wins,
and a scope that includes nothing matches nothing.
"""

TRANSFORMATIONS_HEAD = """\
Transformations are applied in the order of this page, whatever their order in the file, and each receives what the
earlier ones left: DeleteTags sees what AddTags added. Within a type, the lists of all entries whose scope an instance
is in are joined in the order of the file; of several Transcode, the last wins. Labels and the scopes of
`ReuseMapping` read the original values.

File meta information never leaks: the preamble is zeroed and group 0002 written afresh. Group length elements and
bytes after the data set are dropped. Where a profile is in force, so are comments, application data, thumbnails and
what follows the end inside compressed frames (JPEG, JPEG-LS, JPEG 2000) or stands between the segments of RLE: they are
overwritten with zeros, and the frame keeps its length. Frames that are damaged, and video, are quarantined then, unless
`KeepTags` names `PixelData`. ICC profiles lose texts and dates, and keep their colours.
"""

PATTERNS = """\
## Tag patterns

`TagPatterns` and `ExceptTagPatterns` name sets of elements: a pattern, or a list of patterns. A pattern is one or more
parts joined by dots, outermost sequence first.

| part | matches |
|---|---|
| `PatientName`, `*Date`, `Patient*` | the keyword, case-sensitive; `*` is any run of characters |
| `00100010`, `0023XXXX`, `XXX@XXXX` | the tag; `X` is any digit, `@` any odd one: `XXX@XXXX` is every private element |
| `0029{SIEMENS CSA HEADER}XX` | private elements of that creator's block; the last two digits count inside the block |
| `{PN}` | every element of that VR |

Without a prefix, a path starts at the top level. `*/` means anywhere, the top level included; `+/` anywhere below it.

## Tag paths

`Tag` of AddTags names one place: keywords or tags joined by dots; `Seq[0].Tag` is in the first item, `Seq[%].Tag` and
`Seq.Tag` in every item.

## ReuseMapping

`Always`, `SamePatient`, `SameStudy`, `SameSeries` or `SameInstance`: an original value gets the same new value within
that scope, across all workers and restarts. Absent, the new value differs for every instance, element and value, but
processing an instance again gives the same result. Where the scope's own value is empty (many files have no Patient
ID), the next narrower scope holds, and that is reported: strangers are never merged.
"""


def render() -> str:
    """Return the page."""
    from deidentifier.rules_file import CATEGORY, LABEL, SCOPE, entry_kind, file_kind
    from deidentifier.transformations import TRANSFORMATIONS

    frame = [each for each in entry_kind().fields if each.name not in {cls.NAME for cls in TRANSFORMATIONS}]
    parts = [HEAD, "## The file\n", *_table(file_kind().fields)]
    for title, record in (("Labels", LABEL), ("Categories", CATEGORY), ("Scopes", SCOPE)):
        parts += [f"## {title}\n", f"{record.help}\n", *_table(record.fields)]
        parts += [SCOPES] if title == "Scopes" else []
    parts += ["## Transformations\n", TRANSFORMATIONS_HEAD, *_table(frame)]
    for cls in TRANSFORMATIONS:
        parts += [f"### {cls.NAME}\n", f"{inspect.getdoc(cls)}\n".replace("``", "`"), *_table(cls.fields())]
    return "\n".join([*parts, PATTERNS])


def render_schema() -> str:
    """Return the JSON Schema."""
    from deidentifier.rules_file import json_schema

    return json.dumps(json_schema(), indent=2) + "\n"


def _table(fields: Iterable[Field]) -> Iterator[str]:
    lines = ["| key | value | |", "|---|---|---|"]
    for each in fields:
        name = f"**`{each.name}`**" if each.mandatory else f"`{each.name}`"
        lines.append(f"| {name} | {each.kind.expected} | {_sentence(each)} |")
    yield "\n".join(lines) + "\n"


def _sentence(field: Field) -> str:
    words = [field.help]
    if field.mandatory:
        words.append("Mandatory.")
    elif isinstance(field.default, bool | str):
        words.append(f"Default: `{str(field.default).lower() if field.default in (True, False) else field.default}`.")
    if field.spellings:
        words.append(f"Older spelling: {', '.join(f'`{name}`' for name in field.spellings)}.")
    if field.unavailable:
        words.append(f"*{field.unavailable.capitalize()}.*")
    return " ".join(word for word in words if word)


def main() -> None:
    """Write both files."""
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(render())
    SCHEMA.write_text(render_schema())


if __name__ == "__main__":
    main()
