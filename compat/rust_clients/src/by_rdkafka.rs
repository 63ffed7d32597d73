//! rdkafka: librdkafka for Rust.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{
    BaseConsumer, CommitMode, Consumer, ConsumerContext, Rebalance, StreamConsumer,
};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Header, Headers, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord, Producer};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{ClientContext, Message, Offset, TopicPartitionList};
use serde_json::json;
use tokio::signal::unix::{signal, SignalKind};

use crate::{say, say_record, text_of, Client, Failure, Record};

const TIMEOUT: Duration = Duration::from_secs(30);

pub struct Rdkafka {
    config: ClientConfig,
}

impl Rdkafka {
    pub fn new(address: &str) -> Self {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", address);
        config.set("auto.offset.reset", "earliest");
        config.set("enable.auto.commit", "false");
        // Soon noticed: the end of a member, the end of a partition.
        config.set("session.timeout.ms", "3000").set("heartbeat.interval.ms", "300");
        config.set("fetch.wait.max.ms", "50");
        Self { config }
    }

    fn admin(&self) -> Result<AdminClient<DefaultClientContext>, KafkaError> {
        self.config.create()
    }

    fn consumer(&self, group: &str) -> Result<BaseConsumer, KafkaError> {
        self.config.clone().set("group.id", group).create()
    }

    /// Read and commit until SIGTERM, then leave the group.
    pub async fn member(&self, group: &str, topic: &str) -> Result<(), Failure> {
        let mut config = self.config.clone();
        config.set("group.id", group);
        let consumer: StreamConsumer<Assignments> = config.create_with_context(Assignments)?;
        consumer.subscribe(&[topic])?;
        let mut asked = signal(SignalKind::terminate())?;
        loop {
            tokio::select! {
                _ = asked.recv() => return Ok(()),
                received = consumer.recv() => {
                    let message = received?;
                    say_record(message.partition(), message.offset(), plain(&message));
                    consumer.commit_message(&message, CommitMode::Sync)?;
                }
            }
        }
    }
}

/// Tells what a member is assigned.
struct Assignments;

impl ClientContext for Assignments {}

impl ConsumerContext for Assignments {
    fn post_rebalance(&self, _: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        let mut partitions = vec![];
        if let Rebalance::Assign(assigned) = rebalance {
            partitions.extend(assigned.elements().iter().map(|each| each.partition()));
        }
        say(json!({"assigned": partitions}));
    }
}

impl Client for Rdkafka {
    async fn create(
        &self,
        topic: &str,
        partitions: i32,
        configs: &[(&str, &str)],
    ) -> Result<(), Failure> {
        let mut wanted = NewTopic::new(topic, partitions, TopicReplication::Fixed(1));
        for (key, value) in configs {
            wanted = wanted.set(key, value);
        }
        let answers = self.admin()?.create_topics([&wanted], &AdminOptions::new()).await?;
        first(answers).map_err(|(_, code)| refused(code)).map(drop)
    }

    async fn describe(&self, topic: &str) -> Result<(Vec<i32>, BTreeMap<String, String>), Failure> {
        let admin = self.admin()?;
        let metadata = admin.inner().fetch_metadata(Some(topic), TIMEOUT)?;
        let mut partitions: Vec<i32> =
            metadata.topics()[0].partitions().iter().map(|each| each.id()).collect();
        partitions.sort_unstable();
        let wanted = [ResourceSpecifier::Topic(topic)];
        let described = first(admin.describe_configs(&wanted, &AdminOptions::new()).await?);
        let entries = described.map_err(refused)?.entries;
        let pairs = entries.into_iter().map(|each| (each.name, each.value.unwrap_or_default()));
        Ok((partitions, pairs.collect()))
    }

    async fn remove(&self, topic: &str) -> Result<(), Failure> {
        let answers = self.admin()?.delete_topics(&[topic], &AdminOptions::new()).await?;
        first(answers).map_err(|(_, code)| refused(code)).map(drop)
    }

    async fn produce(
        &self,
        topic: &str,
        partition: i32,
        codec: &str,
        records: Vec<Record>,
    ) -> Result<Vec<i64>, Failure> {
        let mut config = self.config.clone();
        config.set("enable.idempotence", "true").set("compression.type", codec);
        // All records are sent while the first ones wait, so that batches form.
        config.set("linger.ms", "20");
        let producer: FutureProducer = config.create()?;
        send_all(&producer, topic, partition, &records).await
    }

    async fn transact(
        &self,
        (topic, partition): (&str, i32),
        is_commit: bool,
        (group, offset): (&str, i64),
        records: Vec<Record>,
    ) -> Result<(), Failure> {
        let mut config = self.config.clone();
        config.set("transactional.id", format!("rdkafka-{topic}"));
        let producer: FutureProducer = config.create()?;
        producer.init_transactions(TIMEOUT)?;
        producer.begin_transaction()?;
        send_all(&producer, topic, partition, &records).await?;
        if !group.is_empty() {
            let consumer = self.consumer(group)?;
            let whose = consumer.group_metadata().ok_or("no group")?;
            let mut wanted = TopicPartitionList::new();
            wanted.add_partition_offset(topic, partition, Offset::Offset(offset))?;
            producer.send_offsets_to_transaction(&wanted, &whose, TIMEOUT)?;
        }
        if is_commit {
            producer.commit_transaction(TIMEOUT)?;
        } else {
            producer.abort_transaction(TIMEOUT)?;
        }
        Ok(())
    }

    async fn consume(
        &self,
        topic: &str,
        partition: i32,
        start: i64,
        count: usize,
    ) -> Result<(), Failure> {
        let consumer = self.consumer("nobody")?;
        let mut wanted = TopicPartitionList::new();
        wanted.add_partition_offset(topic, partition, Offset::Offset(start))?;
        consumer.assign(&wanted)?;
        for _ in 0..count {
            let message = consumer.poll(TIMEOUT).ok_or("no record in time")??;
            say_record(message.partition(), message.offset(), plain(&message));
        }
        Ok(())
    }

    async fn offsets(&self, topic: &str, partition: i32) -> Result<(i64, i64), Failure> {
        Ok(self.admin()?.inner().fetch_watermarks(topic, partition, TIMEOUT)?)
    }

    async fn committed(&self, group: &str, topic: &str, partition: i32) -> Result<i64, Failure> {
        let mut wanted = TopicPartitionList::new();
        wanted.add_partition(topic, partition);
        let found = self.consumer(group)?.committed_offsets(wanted, TIMEOUT)?;
        match found.elements()[0].offset() {
            Offset::Offset(offset) => Ok(offset),
            _ => Ok(-1),
        }
    }

    fn code(&self, failure: &Failure) -> Option<i32> {
        let code = match failure.downcast_ref::<KafkaError>()? {
            KafkaError::AdminOp(code) => *code,
            other => other.rdkafka_error_code()?,
        };
        match code {
            // What it makes of metadata that know nothing of the topic yet.
            RDKafkaErrorCode::UnknownPartition | RDKafkaErrorCode::UnknownTopic => {
                Some(RDKafkaErrorCode::UnknownTopicOrPartition as i32)
            }
            // Negative ones are its own.
            other => Some(other as i32).filter(|&code| code > 0),
        }
    }
}

fn first<T>(answers: Vec<T>) -> T {
    answers.into_iter().next().expect("an answer for each question")
}

fn refused(code: RDKafkaErrorCode) -> Failure {
    KafkaError::AdminOp(code).into()
}

/// Give all records to the producer, and the offset of each that was confirmed.
async fn send_all(
    producer: &FutureProducer,
    topic: &str,
    partition: i32,
    records: &[Record],
) -> Result<Vec<i64>, Failure> {
    let mut sent = vec![];
    for each in records {
        let mut headers = OwnedHeaders::new();
        for (key, value) in &each.headers {
            headers = headers.insert(Header { key, value: Some(value) });
        }
        let mut record = FutureRecord::<str, str>::to(topic).partition(partition);
        record = record.headers(headers);
        record.key = each.key.as_deref();
        record.payload = each.value.as_deref();
        sent.push(producer.send_result(record).map_err(|(error, _)| error)?);
    }
    let mut offsets = vec![];
    for delivered in sent {
        offsets.push(delivered.await?.map_err(|(error, _)| error)?.offset);
    }
    Ok(offsets)
}

fn plain(message: &BorrowedMessage) -> Record {
    let mut headers = vec![];
    for header in message.headers().into_iter().flat_map(|found| found.iter()) {
        headers.push((header.key.to_owned(), header.value.map(text_of).unwrap_or_default()));
    }
    Record { key: message.key().map(text_of), value: message.payload().map(text_of), headers }
}
