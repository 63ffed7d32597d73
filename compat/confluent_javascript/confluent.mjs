// @confluentinc/kafka-javascript: librdkafka for JavaScript, by its interface like that of kafkajs.
import confluent from '@confluentinc/kafka-javascript'

const { ErrorCodes, Kafka, logLevel } = confluent.KafkaJS

const TIMEOUT_MS = 20_000
const OWN_SETTINGS = { 'session.timeout.ms': 1500, 'heartbeat.interval.ms': 300, 'fetch.wait.max.ms': 50 }

export function connect (address) {
  return new Client(new Kafka({ kafkaJS: { brokers: [address], logLevel: logLevel.NOTHING } }))
}

export function codeOf (failure) {
  const error = failure.errors?.[0] ?? failure
  // Negative ones are librdkafka's own; those two are what it makes of metadata without the topic.
  if ([ErrorCodes.ERR__UNKNOWN_TOPIC, ErrorCodes.ERR__UNKNOWN_PARTITION].includes(error.code)) {
    return ErrorCodes.ERR_UNKNOWN_TOPIC_OR_PART
  }
  return error.code > 0 ? error.code : undefined
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
    const made = await this.withAdmin(admin => admin.createTopics({ topics: [wanted] }))
    // Its way to say that the topic exists, as kafkajs has it.
    if (!made) throw Object.assign(new Error('exists'), { code: ErrorCodes.ERR_TOPIC_ALREADY_EXISTS })
  }

  async describe (topic) {
    const [found] = await this.withAdmin(admin => admin.fetchTopicMetadata({ topics: [topic] }))
    // It cannot ask for the settings of a topic.
    return { partitions: found.partitions.map(each => each.partitionId), configs: [] }
  }

  async remove (topic) {
    await this.withAdmin(admin => admin.deleteTopics({ topics: [topic] }))
  }

  async produce (topic, partition, compression, records) {
    const producer = this.kafka.producer({ kafkaJS: { idempotent: true, acks: -1, compression } })
    await producer.connect()
    const messages = records.map(({ key, value, headers }) => {
      const grouped = {}
      for (const [name, each] of headers) (grouped[name] ??= []).push(each)
      return { key, value, headers: grouped, partition }
    })
    const answers = await producer.send({ topic, messages })
    await producer.disconnect()
    return messages.map((_, index) => Number(answers[0].baseOffset) + index)
  }

  consumer (groupId, settings = {}) {
    const kafkaJS = { groupId, fromBeginning: true, autoCommit: false }
    return this.kafka.consumer({ kafkaJS, ...OWN_SETTINGS, ...settings })
  }

  async consume (topic, partition, start, count, sayRecord) {
    const consumer = this.consumer(`reader-${process.pid}-${Date.now()}`)
    await consumer.connect()
    await consumer.subscribe({ topics: [topic] })
    await new Promise(resolve => {
      consumer.run({
        eachMessage: async ({ partition: from, message }) => {
          if (from !== partition || count === 0 || Number(message.offset) < start) return
          sayRecord(from, message.offset, plain(message))
          count -= 1
          if (count === 0) resolve()
        }
      })
    })
    await consumer.disconnect()
  }

  async offsets (topic, partition) {
    const found = await this.withAdmin(admin => admin.fetchTopicOffsets(topic, { timeout: TIMEOUT_MS }))
    const { low, high } = found.find(each => each.partition === partition)
    return [Number(low), Number(high)]
  }

  async committed (groupId, topic, partition) {
    const topics = [{ topic, partitions: [partition] }]
    const found = await this.withAdmin(admin => admin.fetchOffsets({ groupId, topics }))
    const offset = Number(found[0].partitions.find(each => each.partition === partition).offset)
    return offset < 0 || Number.isNaN(offset) ? -1 : offset
  }

  async member (groupId, topic, asked, sayAssigned, sayRecord) {
    const tell = (error, assignment) => {
      const assigned = error.code === ErrorCodes.ERR__ASSIGN_PARTITIONS
      sayAssigned(assigned ? assignment.map(each => each.partition) : [])
    }
    const consumer = this.consumer(groupId, { rebalance_cb: tell })
    await consumer.connect()
    await consumer.subscribe({ topics: [topic] })
    await consumer.run({
      eachMessage: async ({ partition, message }) => {
        sayRecord(partition, message.offset, plain(message))
        await consumer.commitOffsets([{ topic, partition, offset: String(Number(message.offset) + 1) }])
      }
    })
    await asked
    await consumer.disconnect()
  }
}

function plain ({ key, value, headers }) {
  const pairs = Object.entries(headers ?? {}).flatMap(([name, values]) => {
    return [values].flat().map(each => [name, each.toString()])
  })
  return { key: key?.toString() ?? null, value: value?.toString() ?? null, headers: pairs }
}
