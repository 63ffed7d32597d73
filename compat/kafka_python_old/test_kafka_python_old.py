"""What kafka-python 2.3.0 expects of a broker, by its own integration tests."""

from compat.kafka_python_integration.checks import (  # noqa: F401
    broker_settings,
    outcomes,
    pytest_generate_tests,
    test_none_is_forgotten,
    test_passes,
)
from compat.kafka_python_integration.own_tests import OwnTests

LEFT_OUT = frozenset(
    {
        "test_admin_integration::test_create_describe_delete_acls",
        "test_admin_integration::test_describe_consumer_group_does_not_exist",
        "test_consumer_integration::test_kafka_version_infer",
        "test_consumer_integration::test_kafka_consumer_offsets_for_time_old",
    }
)
MUST_PASS = (
    "test_admin_integration::test_describe_configs_broker_resource_returns_configs",
    "test_admin_integration::test_describe_configs_topic_resource_returns_configs",
    "test_admin_integration::test_describe_configs_mixed_resources_returns_configs",
    "test_admin_integration::test_describe_configs_invalid_broker_id_raises",
    "test_admin_integration::test_describe_consumer_group_exists",
    "test_admin_integration::test_delete_consumergroups",
    "test_admin_integration::test_delete_consumergroups_with_errors",
    "test_admin_integration::test_delete_records",
    "test_admin_integration::test_delete_records_with_errors",
    "test_consumer_group::test_consumer",
    "test_consumer_group::test_consumer_topics",
    "test_consumer_group::test_group",
    "test_consumer_group::test_paused",
    "test_consumer_group::test_heartbeat_thread",
    "test_consumer_integration::test_kafka_consumer",
    "test_consumer_integration::test_kafka_consumer_unsupported_encoding",
    "test_consumer_integration::test_kafka_consumer__blocking",
    "test_consumer_integration::test_kafka_consumer__offset_commit_resume",
    "test_consumer_integration::test_kafka_consumer_max_bytes_simple",
    "test_consumer_integration::test_kafka_consumer_max_bytes_one_msg",
    "test_consumer_integration::test_kafka_consumer_offsets_for_time",
    "test_consumer_integration::test_kafka_consumer_offsets_search_many_partitions",
    "test_consumer_integration::test_kafka_consumer_offsets_for_times_errors",
    "test_consumer_integration::test_kafka_consumer_position_after_seek_to_end",
    "test_producer_integration::test_end_to_end[None]",
    "test_producer_integration::test_end_to_end[gzip]",
    "test_producer_integration::test_end_to_end[snappy]",
    "test_producer_integration::test_end_to_end[lz4]",
    "test_producer_integration::test_end_to_end[zstd]",
    "test_producer_integration::test_kafka_producer_proper_record_metadata[None]",
    "test_producer_integration::test_kafka_producer_proper_record_metadata[gzip]",
    "test_producer_integration::test_kafka_producer_proper_record_metadata[snappy]",
    "test_producer_integration::test_kafka_producer_proper_record_metadata[lz4]",
    "test_producer_integration::test_kafka_producer_proper_record_metadata[zstd]",
    "test_producer_integration::test_idempotent_producer",
    "test_producer_integration::test_transactional_producer_messages",
    "test_producer_integration::test_transactional_producer_offsets",
)
TESTS = OwnTests(
    version="2.3.0",
    speaks="4.0.0",
    ignored=("test_sasl_integration",),
    left_out=LEFT_OUT,
    must_pass=MUST_PASS,
)
