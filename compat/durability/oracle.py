"""What must be true of everything that a broker holds, after any number of kills.

Each function returns what is wrong, nothing if all is well.
"""

from collections.abc import Iterable, Iterator, Mapping

from compat.durability.load import Place, Sender, Sent


def lost(
    confirmed: Mapping[Place, Sent],
    found: Mapping[Place, Sent],
    starts: Mapping[tuple[str, int], int],
) -> Iterator[str]:
    """Acknowledged or seen records that are not at their place, above where the log starts."""
    for place, sent in confirmed.items():
        there = found.get(place)
        if there != sent and place.offset >= starts[place.topic, place.partition]:
            yield f"{place} was {sent}, and is {there}"


def changed(confirmed: Mapping[Place, Sent], found: Mapping[Place, Sent]) -> Iterator[str]:
    """Places that hold another record than before; those that hold none are not meant."""
    for place, sent in confirmed.items():
        if found.get(place, sent) != sent:
            yield f"{place} was {sent}, and is {found[place]}"


def gaps(
    found: Iterable[Place], ranges: Mapping[tuple[str, int], tuple[int, int]]
) -> Iterator[str]:
    """Partitions whose offsets are not dense from the first to the end."""
    offsets: dict[tuple[str, int], list[int]] = {}
    for place in found:
        offsets.setdefault((place.topic, place.partition), []).append(place.offset)
    for partition, (start, end) in ranges.items():
        there = sorted(offsets.get(partition, ()))
        if there != list(range(start, end)):
            yield f"{partition} has {len(there)} of the offsets {start} to {end}"


def disorder(found: Mapping[Place, Sent], sender: Sender) -> Iterator[str]:
    """Records of a sender that come behind later ones, or twice if it is idempotent.

    A retry of a plain producer may write records again; their first copies are in order.
    """
    seen: dict[int, set[int]] = {}
    newest: dict[int, int] = {}
    for place in sorted(found):
        sent = found[place]
        if place.topic != sender.topic or sent.sender != sender.name:
            continue
        numbers = seen.setdefault(place.partition, set())
        if sent.number in numbers:
            if sender.idempotent:
                yield f"{place} is {sent} once more"
        elif sent.number < newest.get(place.partition, -1):
            yield f"{place} is {sent}, behind number {newest[place.partition]}"
        numbers.add(sent.number)
        newest[place.partition] = max(newest.get(place.partition, -1), sent.number)


def missing(found: Mapping[Place, Sent], sender: Sender) -> Iterator[str]:
    """Records that were acknowledged and are nowhere; for a sender that has all its answers."""
    there = {sent.number for sent in found.values() if sent.sender == sender.name}
    absent = sorted(set(range(sender.sent)) - there)
    if absent:
        yield f"{len(absent)} records of {sender.name} are nowhere, the first is {absent[0]}"


def stale_keys(found: Mapping[Place, Sent], sender: Sender) -> Iterator[str]:
    """Keys of a compacted topic whose last record is not the last one that was sent."""
    assert sender.keys is not None
    newest: dict[int, int] = {}
    for sent in found.values():
        key = sent.number % sender.keys
        newest[key] = max(newest.get(key, -1), sent.number)
    for number in range(max(0, sender.sent - sender.keys), sender.sent):
        if newest.get(number % sender.keys) != number:
            yield f"key {number % sender.keys} has {newest.get(number % sender.keys)}, not {number}"
