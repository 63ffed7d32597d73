//! rskafka: protocol code of its own, without groups and without settings of topics.

use std::collections::BTreeMap;

use rskafka::client::error::{Error, ProtocolError};
use rskafka::client::partition::{Compression, OffsetAt, PartitionClient, UnknownTopicHandling};
use rskafka::client::ClientBuilder;

use crate::{say_record, text_of, Client, Failure, Record};

const TIMEOUT_MS: i32 = 30_000;
const MAX_WAIT_MS: i32 = 100;
const MAX_BYTES: i32 = 1 << 20;

pub struct Rskafka(rskafka::client::Client);

pub async fn connect(address: &str) -> Result<Rskafka, Failure> {
    Ok(Rskafka(ClientBuilder::new(vec![address.to_owned()]).build().await?))
}

impl Rskafka {
    async fn partition(&self, topic: &str, partition: i32) -> Result<PartitionClient, Failure> {
        let handling = UnknownTopicHandling::Error;
        Ok(self.0.partition_client(topic, partition, handling).await?)
    }
}

impl Client for Rskafka {
    async fn create(
        &self,
        topic: &str,
        partitions: i32,
        configs: &[(&str, &str)],
    ) -> Result<(), Failure> {
        assert!(configs.is_empty(), "rskafka sets nothing on a topic");
        let controller = self.0.controller_client()?;
        Ok(controller.create_topic(topic, partitions, 1, TIMEOUT_MS).await?)
    }

    async fn describe(&self, topic: &str) -> Result<(Vec<i32>, BTreeMap<String, String>), Failure> {
        let topics = self.0.list_topics().await?;
        let found = topics.into_iter().find(|each| each.name == topic);
        let partitions = found.ok_or("no such topic")?.partitions;
        Ok((partitions.into_iter().collect(), BTreeMap::new()))
    }

    async fn remove(&self, topic: &str) -> Result<(), Failure> {
        Ok(self.0.controller_client()?.delete_topic(topic, TIMEOUT_MS).await?)
    }

    async fn produce(
        &self,
        topic: &str,
        partition: i32,
        codec: &str,
        records: Vec<Record>,
    ) -> Result<Vec<i64>, Failure> {
        let compression = match codec {
            "none" => Compression::NoCompression,
            "gzip" => Compression::Gzip,
            "snappy" => Compression::Snappy,
            "lz4" => Compression::Lz4,
            "zstd" => Compression::Zstd,
            _ => return Err(format!("unknown codec {codec}").into()),
        };
        let sent = records.into_iter().map(|each| rskafka::record::Record {
            key: each.key.map(String::into_bytes),
            value: each.value.map(String::into_bytes),
            headers: each.headers.into_iter().map(|(name, value)| (name, value.into())).collect(),
            timestamp: chrono::Utc::now(),
        });
        let client = self.partition(topic, partition).await?;
        Ok(client.produce(sent.collect(), compression).await?)
    }

    async fn consume(
        &self,
        topic: &str,
        partition: i32,
        start: i64,
        count: usize,
    ) -> Result<(), Failure> {
        let client = self.partition(topic, partition).await?;
        let (mut next, end) = (start, start + count as i64);
        while next < end {
            let (found, _) = client.fetch_records(next, 1..MAX_BYTES, MAX_WAIT_MS).await?;
            for each in found {
                if (next..end).contains(&each.offset) {
                    next = each.offset + 1;
                    say_record(partition, each.offset, plain(each.record));
                }
            }
        }
        Ok(())
    }

    async fn offsets(&self, topic: &str, partition: i32) -> Result<(i64, i64), Failure> {
        let client = self.partition(topic, partition).await?;
        let earliest = client.get_offset(OffsetAt::Earliest).await?;
        Ok((earliest, client.get_offset(OffsetAt::Latest).await?))
    }

    async fn transact(
        &self,
        _: (&str, i32),
        _: bool,
        _: (&str, i64),
        _: Vec<Record>,
    ) -> Result<(), Failure> {
        Err("rskafka knows no transactions".into())
    }

    async fn committed(&self, _: &str, _: &str, _: i32) -> Result<i64, Failure> {
        Err("rskafka knows no groups".into())
    }

    fn code(&self, failure: &Failure) -> Option<i32> {
        match failure.downcast_ref::<Error>() {
            // It does not tell a known error's number, only what a number means.
            Some(Error::ServerError { protocol_error, .. }) => (1..i16::MAX)
                .find(|&code| ProtocolError::new(code).as_ref() == Some(protocol_error))
                .map(i32::from),
            _ => None,
        }
    }
}

fn plain(record: rskafka::record::Record) -> Record {
    let headers = record.headers.into_iter();
    Record {
        key: record.key.map(|bytes| text_of(&bytes)),
        value: record.value.map(|bytes| text_of(&bytes)),
        headers: headers.map(|(name, value)| (name, text_of(&value))).collect(),
    }
}
