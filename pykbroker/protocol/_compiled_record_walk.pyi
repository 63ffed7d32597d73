from pykbroker.protocol.record_walk import walk as walk

SOURCE_HASH: bytes
