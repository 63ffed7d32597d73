// kafkajs: plain JavaScript, with the oldest versions of most requests.
import { randomUUID } from 'node:crypto'
import kafkajs from 'kafkajs'
import snappy from 'kafkajs-snappy'
import { compressFrame, decompressFrame } from 'lz4-napi'
import { ZstdCodec } from 'zstd-codec'

const { CompressionCodecs, CompressionTypes, ConfigResourceTypes, Kafka, logLevel } = kafkajs

const SESSION_TIMEOUT_MS = 3000
const HEARTBEAT_INTERVAL_MS = 300
const MAX_WAIT_MS = 100
const TOPIC_ALREADY_EXISTS = 36

const CODECS = {
  none: CompressionTypes.None,
  gzip: CompressionTypes.GZIP,
  snappy: CompressionTypes.Snappy,
  lz4: CompressionTypes.LZ4,
  zstd: CompressionTypes.ZSTD
}

// kafkajs brings gzip alone.
const zstd = await new Promise(resolve => ZstdCodec.run(codec => resolve(new codec.Simple())))
CompressionCodecs[CompressionTypes.Snappy] = snappy
CompressionCodecs[CompressionTypes.LZ4] = () => ({
  compress: encoder => compressFrame(encoder.buffer),
  decompress: buffer => decompressFrame(buffer)
})
CompressionCodecs[CompressionTypes.ZSTD] = () => ({
  compress: async encoder => Buffer.from(zstd.compress(encoder.buffer)),
  decompress: async buffer => Buffer.from(zstd.decompress(buffer))
})

export function connect (address) {
  return new Client(new Kafka({ brokers: [address], logLevel: logLevel.NOTHING }))
}

export function codeOf (error) {
  return error.code ?? error.cause?.code ?? error.errors?.[0]?.code
}

class Client {
  constructor (kafka) {
    this.kafka = kafka
  }

  async withAdmin (use) {
    const admin = this.kafka.admin()
    await admin.connect()
    try {
      return await use(admin)
    } finally {
      await admin.disconnect()
    }
  }

  async create (topic, numPartitions, configs) {
    const configEntries = configs.map(([name, value]) => ({ name, value }))
    const wanted = { topic, numPartitions, configEntries }
    const made = await this.withAdmin(admin => admin.createTopics({ topics: [wanted], waitForLeaders: false }))
    // Its way to say that the topic exists; whatever else the broker answers it throws.
    if (!made) throw Object.assign(new Error('exists'), { code: TOPIC_ALREADY_EXISTS })
  }

  async describe (topic) {
    return this.withAdmin(async admin => {
      const { topics } = await admin.fetchTopicMetadata({ topics: [topic] })
      const wanted = { type: ConfigResourceTypes.TOPIC, name: topic }
      const { resources } = await admin.describeConfigs({ resources: [wanted], includeSynonyms: false })
      return {
        partitions: topics[0].partitions.map(each => each.partitionId),
        configs: resources[0].configEntries.map(each => [each.configName, each.configValue])
      }
    })
  }

  async remove (topic) {
    await this.withAdmin(admin => admin.deleteTopics({ topics: [topic] }))
  }

  async produce (topic, partition, codec, records) {
    const producer = this.kafka.producer({ idempotent: true })
    await producer.connect()
    const messages = messagesOf(records, partition)
    const [answer] = await producer.send({ topic, acks: -1, compression: CODECS[codec], messages })
    await producer.disconnect()
    return messages.map((_, index) => Number(answer.baseOffset) + index)
  }

  async transact (topic, partition, isCommit, groupId, offset, records) {
    const producer = this.kafka.producer({ transactionalId: `kafkajs-${topic}`, maxInFlightRequests: 1, idempotent: true })
    await producer.connect()
    const transaction = await producer.transaction()
    await transaction.send({ topic, messages: messagesOf(records, partition) })
    if (groupId !== '') {
      const topics = [{ topic, partitions: [{ partition, offset: String(offset) }] }]
      await transaction.sendOffsets({ consumerGroupId: groupId, topics })
    }
    await (isCommit ? transaction.commit() : transaction.abort())
    await producer.disconnect()
  }

  // It reads in groups only, and only what was committed.
  consumer (groupId) {
    return this.kafka.consumer({
      groupId,
      sessionTimeout: SESSION_TIMEOUT_MS,
      rebalanceTimeout: 10_000,
      heartbeatInterval: HEARTBEAT_INTERVAL_MS,
      maxWaitTimeInMs: MAX_WAIT_MS
    })
  }

  async consume (topic, partition, start, count, sayRecord) {
    const consumer = this.consumer(`reader-${randomUUID()}`)
    await consumer.connect()
    await consumer.subscribe({ topics: [topic], fromBeginning: true })
    await new Promise((resolve, reject) => {
      consumer.on(consumer.events.CRASH, ({ payload }) => reject(payload.error))
      const eachMessage = async ({ partition: from, message }) => {
        if (from !== partition || count === 0 || Number(message.offset) < start) return
        sayRecord(from, message.offset, plain(message))
        count -= 1
        if (count === 0) resolve()
      }
      consumer.run({ autoCommit: false, eachMessage })
      consumer.seek({ topic, partition, offset: String(start) })
    })
    await consumer.disconnect()
  }

  async offsets (topic, partition) {
    const found = await this.withAdmin(admin => admin.fetchTopicOffsets(topic))
    const { low, high } = found.find(each => each.partition === partition)
    return [Number(low), Number(high)]
  }

  async committed (groupId, topic, partition) {
    const found = await this.withAdmin(admin => admin.fetchOffsets({ groupId, topics: [topic] }))
    return Number(found[0].partitions.find(each => each.partition === partition).offset)
  }

  async member (groupId, topic, asked, sayAssigned, sayRecord) {
    const consumer = this.consumer(groupId)
    consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => sayAssigned(payload.memberAssignment[topic] ?? []))
    await consumer.connect()
    await consumer.subscribe({ topics: [topic], fromBeginning: true })
    const eachMessage = async ({ partition, message }) => {
      sayRecord(partition, message.offset, plain(message))
      const offset = String(BigInt(message.offset) + 1n)
      await consumer.commitOffsets([{ topic, partition, offset }])
    }
    await consumer.run({ autoCommit: false, eachMessage })
    await asked
    await consumer.disconnect()
  }
}

function messagesOf (records, partition) {
  return records.map(({ key, value, headers }) => {
    const grouped = {}
    for (const [name, each] of headers) (grouped[name] ??= []).push(each)
    return { key, value, headers: grouped, partition }
  })
}

function plain ({ key, value, headers }) {
  const pairs = Object.entries(headers).flatMap(([name, values]) => {
    return [values].flat().map(each => [name, each.toString()])
  })
  return { key: key?.toString() ?? null, value: value?.toString() ?? null, headers: pairs }
}
