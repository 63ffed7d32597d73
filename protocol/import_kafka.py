"""Compares `messages/` with the schemas inside Apache Kafka's jars, or takes them over.

    python -m protocol.import_kafka JARS_DIR            shows what the release changes
    python -m protocol.import_kafka JARS_DIR --apply    writes it to protocol/messages/
    python -m protocol.import_kafka --release 4.3.1     fetches the jars with Maven first

Only facts are taken: names, types, versions, nullability, defaults, tags. Versions that Kafka
marks as unstable are left out, and so are APIs that a broker's listener does not answer.
"""

import argparse
import difflib
import json
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from protocol.notation import Table, leading_comments, render
from protocol.schema import MESSAGES_DIR, PRIMITIVES, snake_case
from protocol.versions import VersionRange

ARTIFACTS: Final = ("kafka-clients", "kafka-group-coordinator", "kafka-transaction-coordinator")
DATA_FORMATS: Final = (
    "ConsumerProtocolAssignment",
    "ConsumerProtocolSubscription",
    "ControlRecordTypeSchema",
    "EndTxnMarker",
)
"""Formats that are no API and no coordinator record, but that a broker reads or writes."""

Json = dict[str, Any]


class KafkaImportError(Exception):
    """The jars do not hold what was expected; the message says what."""


def main(arguments: list[str] | None = None, directory: Path = MESSAGES_DIR) -> int:
    """Run the command; returns the exit code (1 if there is a difference that is not applied)."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("jars", nargs="?", type=Path, help="directory with Kafka's jars")
    parser.add_argument("--release", help="fetch the jars of this release with Maven")
    parser.add_argument("--apply", action="store_true", help="write the difference")
    options = parser.parse_args(arguments)
    if (options.jars is None) == (options.release is None):
        parser.error("give either a directory with jars or --release")
    try:
        with tempfile.TemporaryDirectory() as scratch:
            jars = options.jars or fetch_jars(options.release, Path(scratch))
            texts = schema_texts(read_jars(jars))
    except KafkaImportError as error:
        print(f"import_kafka: {error}", file=sys.stderr)
        return 2
    changed = apply_or_show(texts, directory, apply=options.apply)
    return 1 if changed and not options.apply else 0


def fetch_jars(release: str, scratch: Path) -> Path:
    """Download the three jars from the Maven repository that `mvn` is set up for."""
    maven = shutil.which("mvn")
    if maven is None:
        raise KafkaImportError("mvn is not installed; give a directory with Kafka's jars")
    for artifact in ARTIFACTS:
        coordinates = f"org.apache.kafka:{artifact}:{release}"
        goal = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy"
        command = [maven, "-B", "-q", goal, f"-Dartifact={coordinates}"]
        result = subprocess.run([*command, f"-DoutputDirectory={scratch}"], check=False)
        if result.returncode != 0:
            raise KafkaImportError(f"Maven could not fetch {coordinates}")
    return scratch


def read_jars(directory: Path) -> dict[str, Json]:
    """Read the schemas of all three jars: name of the message -> its JSON."""
    messages: dict[str, Json] = {}
    for artifact in ARTIFACTS:
        jars = sorted(directory.glob(f"{artifact}-[0-9]*.jar"))
        if len(jars) != 1:
            raise KafkaImportError(f"{directory} holds {len(jars)} jars of {artifact}, need one")
        with zipfile.ZipFile(jars[0]) as jar:
            for entry in jar.namelist():
                if re.fullmatch(r"common/message/\w+\.json", entry):
                    message = _without_comments(jar.read(entry).decode("utf-8"))
                    messages[message["name"]] = message
    return messages


def _without_comments(text: str) -> Json:
    facts: Json = json.loads(re.sub(r"^\s*//.*$", "", text, flags=re.MULTILINE))
    return facts


def schema_texts(messages: dict[str, Json]) -> dict[str, Table]:
    """The facts of every file of messages/: name of the file without `.toml` -> its tables."""
    return dict(sorted([*_apis(messages), *_records(messages), *_formats(messages)]))


def _apis(messages: dict[str, Json]) -> Iterator[tuple[str, Table]]:
    for request in messages.values():
        if request["type"] != "request" or "broker" not in request.get("listeners", []):
            continue
        name = request["name"].removesuffix("Request")
        response = messages[f"{name}Response"]
        versions = _stable_versions(request)
        facts: Table = {
            "name": name,
            "api_key": request["apiKey"],
            "versions": str(versions),
            "flexible": request["flexibleVersions"],
        }
        if VersionRange.parse(response["validVersions"]) & versions != versions:
            raise KafkaImportError(f"{name}: request and response differ in their versions")
        if response["flexibleVersions"] != request["flexibleVersions"]:
            facts["response_flexible"] = response["flexibleVersions"]
        facts["request"] = fields_of(request, versions)
        facts["response"] = fields_of(response, versions)
        yield f"{request['apiKey']:02}_{snake_case(name)}", facts


def _stable_versions(message: Json) -> VersionRange:
    versions = VersionRange.parse(message["validVersions"])
    unstable = message.get("latestVersionUnstable", False)
    return VersionRange(versions.first, versions.last - 1) if unstable else versions


def _records(messages: dict[str, Json]) -> Iterator[tuple[str, Table]]:
    for key in messages.values():
        if key["type"] != "coordinator-key":
            continue
        name = key["name"].removesuffix("Key")
        value = messages[f"{name}Value"]
        versions = VersionRange.parse(value["validVersions"])
        key_versions = VersionRange.parse(key["validVersions"])
        facts: Table = {
            "name": name,
            "record_type": key["apiKey"],
            "versions": str(versions),
            "flexible": value["flexibleVersions"],
            "key_versions": str(key_versions),
            "key_flexible": key["flexibleVersions"],
            "key": fields_of(key, key_versions),
            "value": fields_of(value, versions),
        }
        yield f"record_{snake_case(name)}", facts


def _formats(messages: dict[str, Json]) -> Iterator[tuple[str, Table]]:
    for name in DATA_FORMATS:
        message = messages[name]
        versions = VersionRange.parse(message["validVersions"])
        facts: Table = {
            "name": name,
            "versions": str(versions),
            "flexible": message["flexibleVersions"],
            "data": fields_of(message, versions),
        }
        yield snake_case(name), facts


def fields_of(message: Json, versions: VersionRange) -> list[Table]:
    """The fields of one message in our notation, structs spelled out at their first use."""
    return _FieldWriter(message, versions).fields(message["fields"], versions)


class _FieldWriter:
    def __init__(self, message: Json, versions: VersionRange) -> None:
        self.common = {each["name"]: each for each in message.get("commonStructs", [])}
        self.versions = versions
        self.written: set[str] = set()

    def fields(self, fields: list[Json], versions: VersionRange) -> list[Table]:
        tables = (self.field(each, versions) for each in fields)
        return [table for table in tables if table is not None]

    def field(self, facts: Json, parent: VersionRange) -> Table | None:
        """One field; None if it exists in no version of the struct around it."""
        tagged = VersionRange.parse(facts.get("taggedVersions", "none"))
        versions = VersionRange.parse(facts.get("versions") or facts["taggedVersions"])
        here = versions & parent
        if not here:
            return None
        table: Table = {"name": snake_case(facts["name"]), "type": facts["type"]}
        if here != parent:
            table["versions"] = str(versions)
        nullable = VersionRange.parse(facts.get("nullableVersions", "none"))
        if nullable & here:
            table["nullable"] = True if nullable.covers(here) else str(nullable)
        if (default := _default(facts)) is not None:
            table["default"] = default
        if tagged & here:
            table["tag"] = facts["tag"]
            if not tagged.covers(here):
                table["tagged"] = str(tagged)
        name = facts["type"].removeprefix("[]")
        if name not in PRIMITIVES and name not in self.written:
            self.written.add(name)
            nested = facts.get("fields") or self.common[name]["fields"]
            # A common struct may live longer in another field than in this one.
            lives = self.versions if name in self.common else here
            table["fields"] = self.fields(nested, lives)
        return table


def _default(facts: Json) -> bool | int | str | None:
    """The default as a TOML value; None if it is the zero of the type."""
    default = facts.get("default")
    if default is None:  # Kafka's generator takes JSON's null for "no default", too.
        return None
    if default == "null":
        return "null"
    if facts["type"] == "bool":
        return True if str(default).lower() == "true" else None
    if facts["type"] == "string":
        return default or None
    return int(str(default), 0) or None


def apply_or_show(texts: dict[str, Table], directory: Path, *, apply: bool) -> bool:
    """Print a unified diff per file, or write the files; returns whether anything differs."""
    known = {path.stem for path in directory.glob("*.toml")}
    changed = False
    for stem in sorted(known | texts.keys()):
        path = directory / f"{stem}.toml"
        old = path.read_text("utf-8") if stem in known else ""
        new = render(texts[stem], leading_comments(old)) if stem in texts else ""
        if old == new:
            continue
        changed = True
        if not apply:
            lines = difflib.unified_diff(
                old.splitlines(), new.splitlines(), stem, stem, lineterm=""
            )
            print("\n".join(lines))
        elif new:
            path.write_text(new, "utf-8")
        else:
            path.unlink()
    return changed


if __name__ == "__main__":
    sys.exit(main())
