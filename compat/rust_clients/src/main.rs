//! Carries out operations with one Rust client and prints JSON lines.
//!
//! ```text
//! rust_clients CLIENT serve ADDRESS
//! rust_clients rdkafka member ADDRESS GROUP TOPIC
//! ```
//!
//! CLIENT is rskafka or rdkafka; the operations and their lines are those of compat/programs.py.

mod by_rdkafka;
mod by_rskafka;

use std::collections::BTreeMap;
use std::error::Error;
use std::future::Future;
use std::io::BufRead;

use serde::Deserialize;
use serde_json::{json, Value};

type Failure = Box<dyn Error>;

/// What is produced and consumed.
#[derive(Deserialize)]
struct Record {
    key: Option<String>,
    value: Option<String>,
    headers: Vec<(String, String)>,
}

/// A line of standard input.
#[derive(Deserialize)]
struct Request {
    operation: String,
    arguments: Vec<String>,
    records: Vec<Record>,
}

/// What the tests need of a Kafka client.
trait Client {
    fn create(
        &self,
        topic: &str,
        partitions: i32,
        configs: &[(&str, &str)],
    ) -> impl Future<Output = Result<(), Failure>>;

    /// The partitions and the settings; no settings where the client cannot ask for them.
    fn describe(
        &self,
        topic: &str,
    ) -> impl Future<Output = Result<(Vec<i32>, BTreeMap<String, String>), Failure>>;

    fn remove(&self, topic: &str) -> impl Future<Output = Result<(), Failure>>;

    /// The offset of each record.
    fn produce(
        &self,
        topic: &str,
        partition: i32,
        codec: &str,
        records: Vec<Record>,
    ) -> impl Future<Output = Result<Vec<i64>, Failure>>;

    /// Send in a transaction, and commit an offset for a group unless that is empty.
    fn transact(
        &self,
        place: (&str, i32),
        is_commit: bool,
        offset: (&str, i64),
        records: Vec<Record>,
    ) -> impl Future<Output = Result<(), Failure>>;

    fn consume(
        &self,
        topic: &str,
        partition: i32,
        start: i64,
        count: usize,
    ) -> impl Future<Output = Result<(), Failure>>;

    /// The earliest and the latest offset.
    fn offsets(
        &self,
        topic: &str,
        partition: i32,
    ) -> impl Future<Output = Result<(i64, i64), Failure>>;

    /// -1 where the group has not committed.
    fn committed(
        &self,
        group: &str,
        topic: &str,
        partition: i32,
    ) -> impl Future<Output = Result<i64, Failure>>;

    /// The error code that the broker has answered.
    fn code(&self, failure: &Failure) -> Option<i32>;
}

fn say(what: Value) {
    println!("{what}");
}

fn say_record(partition: i32, offset: i64, record: Record) {
    let (is_null, value) = (record.value.is_none(), record.value.unwrap_or_default());
    let place = json!([partition, offset, value]);
    say(json!({"record": place, "key": record.key, "headers": record.headers, "null": is_null}));
}

fn text_of(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["rskafka", "serve", address] => serve(by_rskafka::connect(address).await?).await,
        ["rdkafka", "serve", address] => serve(by_rdkafka::Rdkafka::new(address)).await,
        ["rdkafka", "member", address, group, topic] => {
            by_rdkafka::Rdkafka::new(address).member(group, topic).await
        }
        _ => Err("usage: rust_clients CLIENT serve|member ADDRESS ARGUMENTS...".into()),
    }
}

/// Carry out what standard input asks for, until its end.
async fn serve(client: impl Client) -> Result<(), Failure> {
    for line in std::io::stdin().lock().lines() {
        let mut done = 0;
        if let Err(failure) = run(&client, serde_json::from_str(&line?)?).await {
            done = client.code(&failure).ok_or(failure)?;
        }
        say(json!({"done": done}));
    }
    Ok(())
}

async fn run(client: &impl Client, asked: Request) -> Result<(), Failure> {
    let arguments: Vec<&str> = asked.arguments.iter().map(String::as_str).collect();
    match (asked.operation.as_str(), &arguments[..]) {
        ("create", [topic, partitions, pairs @ ..]) => {
            let configs: Vec<_> = pairs.iter().filter_map(|pair| pair.split_once('=')).collect();
            client.create(topic, partitions.parse()?, &configs).await
        }
        ("describe", [topic]) => {
            let (partitions, configs) = client.describe(topic).await?;
            say(json!({"partitions": partitions, "configs": configs}));
            Ok(())
        }
        ("delete", [topic]) => client.remove(topic).await,
        ("produce", [topic, partition, codec]) => {
            let offsets = client.produce(topic, partition.parse()?, codec, asked.records).await?;
            say(json!({"offsets": offsets}));
            Ok(())
        }
        ("transact", [topic, partition, end, group, offset]) => {
            let (place, offset) = ((*topic, partition.parse()?), (*group, offset.parse()?));
            client.transact(place, *end == "commit", offset, asked.records).await
        }
        ("consume", [topic, partition, start, count]) => {
            client.consume(topic, partition.parse()?, start.parse()?, count.parse()?).await
        }
        ("offsets", [topic, partition]) => {
            let (earliest, latest) = client.offsets(topic, partition.parse()?).await?;
            say(json!({"earliest": earliest, "latest": latest}));
            Ok(())
        }
        ("committed", [group, topic, partition]) => {
            let offset = client.committed(group, topic, partition.parse()?).await?;
            say(json!({"committed": offset}));
            Ok(())
        }
        _ => Err(format!("unknown operation {} {arguments:?}", asked.operation).into()),
    }
}
