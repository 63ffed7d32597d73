"""Taking facts over from the schema files in Kafka's jars."""

import json
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest

from protocol import import_kafka
from protocol.import_kafka import KafkaImportError, main, schema_texts

REQUEST = """
// A licence.
{
  "apiKey": 7, "type": "request", "listeners": ["broker", "controller"], "name": "WeighRequest",
  // Version 1 has things. "latestVersionUnstable": true,
  "latestVersionUnstable": true, "validVersions": "1-4", "flexibleVersions": "2+",
  "fields": [
    { "name": "MaxWaitMs", "type": "int32", "versions": "0+", "default": "0x7fffffff",
      "ignorable": true, "about": "Prose." },
    { "name": "Old", "type": "string", "versions": "0" },
    { "name": "New", "type": "string", "versions": "4+" },
    { "name": "Things", "type": "[]Thing", "versions": "2+", "nullableVersions": "3+" },
    { "name": "Best", "type": "Thing", "versions": "1+", "nullableVersions": "1+",
      "default": "null" },
    { "name": "Flag", "type": "bool", "versions": "0+", "default": "true" },
    { "name": "Off", "type": "bool", "versions": "0+", "default": "false" },
    { "name": "Name", "type": "string", "versions": "0+", "default": "" },
    { "name": "Tagged", "type": "int16", "versions": "1+", "taggedVersions": "3+", "tag": 0,
      "default": -1 },
    { "name": "OnlyTagged", "type": "[]int32", "taggedVersions": "2+", "tag": 1,
      "nullableVersions": "2+", "default": null }
  ],
  "commonStructs": [
    { "name": "Thing", "versions": "0+", "fields": [
      { "name": "ID", "type": "uuid", "versions": "0+", "mapKey": true },
      { "name": "Kind", "type": "int8", "versions": "2+" }
    ]}
  ]
}
"""
EXPECTED = """name = "Weigh"
api_key = 7
versions = "1-3"
flexible = "2+"
request = [
  { name = "max_wait_ms", type = "int32", default = 2147483647 },
  { name = "things", type = "[]Thing", versions = "2+", nullable = "3+", fields = [
    { name = "id", type = "uuid" },
    { name = "kind", type = "int8", versions = "2+" },
  ] },
  { name = "best", type = "Thing", nullable = true, default = "null" },
  { name = "flag", type = "bool", default = true },
  { name = "off", type = "bool" },
  { name = "name", type = "string" },
  { name = "tagged", type = "int16", default = -1, tag = 0, tagged = "3+" },
  { name = "only_tagged", type = "[]int32", versions = "2+", nullable = true, tag = 1 },
]
response = []
"""


def message(kind: str, name: str, **facts: Any) -> dict[str, Any]:
    base = {"validVersions": "0", "flexibleVersions": "none", "fields": []}
    return {"type": kind, "name": name} | base | facts


def jars(directory: Path, *extra: dict[str, Any], request: str = REQUEST) -> Path:
    """A directory with the three jars, as small as they can be."""
    response = message("response", "WeighResponse", validVersions="1-4", flexibleVersions="2+")
    clients = [response, *(message("data", name) for name in import_kafka.DATA_FORMATS), *extra]
    contents = {
        "kafka-clients": [request, *map(json.dumps, clients)],
        "kafka-group-coordinator": [
            json.dumps(message("coordinator-key", "NoteKey", apiKey=3)),
            json.dumps(
                message(
                    "coordinator-value",
                    "NoteValue",
                    validVersions="0-2",
                    flexibleVersions="2+",
                    fields=[{"name": "offset", "type": "int64", "versions": "0+"}],
                )
            ),
        ],
        "kafka-transaction-coordinator": [],
    }
    for artifact, texts in contents.items():
        with zipfile.ZipFile(directory / f"{artifact}-9.9.jar", "w") as jar:
            jar.writestr("org/Some.class", b"")
            for number, text in enumerate(texts):
                jar.writestr(f"common/message/M{number}.json", text)
    (directory / "kafka-clients-extra-9.9.jar").write_bytes(b"another artifact")
    return directory


def test_the_difference_is_shown_and_then_applied(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, target = jars(tmp_path), tmp_path / "messages"
    target.mkdir()
    (target / "07_weigh.toml").write_text(f"# ours\n{EXPECTED.replace('2147483647', '5')}")
    (target / "99_gone.toml").write_text('name = "Gone"\n')

    assert main([str(source)], target) == 1
    shown = capsys.readouterr().out
    assert '-  { name = "max_wait_ms", type = "int32", default = 5 },' in shown
    assert '-name = "Gone"' in shown
    assert "+record_type = 3" in shown
    assert len(list(target.iterdir())) == 2

    assert main([str(source), "--apply"], target) == 0
    assert (target / "07_weigh.toml").read_text() == f"# ours\n{EXPECTED}"
    assert not (target / "99_gone.toml").exists()
    note = tomllib.loads((target / "record_note.toml").read_text())
    assert (note["versions"], note["key_versions"], note["flexible"]) == ("0-2", "0", "2+")
    assert main([str(source)], target) == 0


def test_apis_of_other_listeners_are_left_out(tmp_path: Path) -> None:
    vote = message("request", "VoteRequest", apiKey=52, listeners=["controller"])
    removed = message("request", "StopReplicaRequest", apiKey=5, validVersions="none")
    texts = schema_texts(import_kafka.read_jars(jars(tmp_path, vote, removed)))
    assert [stem for stem in texts if stem[0].isdigit()] == ["07_weigh"]


def test_a_request_and_its_response_must_agree(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = jars(tmp_path, request=REQUEST.replace('"1-4"', '"0-4"'))
    assert main([str(source)], tmp_path) == 2
    assert "request and response differ" in capsys.readouterr().err


def test_a_response_may_become_flexible_at_another_version(tmp_path: Path) -> None:
    source = jars(
        tmp_path, request=REQUEST.replace('"flexibleVersions": "2+"', '"flexibleVersions": "3+"')
    )
    facts = schema_texts(import_kafka.read_jars(source))["07_weigh"]
    assert (facts["flexible"], facts["response_flexible"]) == ("3+", "2+")


def test_missing_jars_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path)], tmp_path) == 2
    assert "0 jars of kafka-clients" in capsys.readouterr().err


def test_the_command_wants_one_source() -> None:
    for arguments in ([], ["somewhere", "--release", "9.9"]):
        with pytest.raises(SystemExit):
            main(arguments)


def test_without_maven_the_jars_must_be_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(KafkaImportError, match="mvn is not installed"):
        import_kafka.fetch_jars("9.9", tmp_path)


def test_maven_is_asked_for_each_jar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    maven = tmp_path / "mvn"
    maven.write_text(
        f'#!/bin/sh\necho "$@" >> {tmp_path}/asked\ncase "$*" in *group*) exit 1;; esac\n'
    )
    maven.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(KafkaImportError, match=r"could not fetch .*group-coordinator:9\.9"):
        import_kafka.fetch_jars("9.9", tmp_path)
    assert "-Dartifact=org.apache.kafka:kafka-clients:9.9" in (tmp_path / "asked").read_text()
