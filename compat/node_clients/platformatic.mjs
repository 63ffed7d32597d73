// @platformatic/kafka: plain JavaScript, with the newest versions of most requests.
import {
  Admin, Consumer, ListOffsetTimestamps, MessagesStreamModes, Producer, stringDeserializers, stringSerializers
} from '@platformatic/kafka'

const SESSION_TIMEOUT_MS = 3000
const HEARTBEAT_INTERVAL_MS = 300
const MAX_WAIT_MS = 100
const TOPIC = 2
const READ_COMMITTED = 1

export function connect (address) {
  return new Client({ clientId: 'compat', bootstrapBrokers: [address] })
}

export function codeOf (error) {
  if (error.apiCode !== undefined) return error.apiCode
  for (const cause of [...(error.errors ?? []), error.cause]) {
    const code = cause && codeOf(cause)
    if (code !== undefined) return code
  }
}

class Client {
  constructor (options) {
    this.options = options
  }

  async using (client, use) {
    try {
      return await use(client)
    } finally {
      await client.close()
    }
  }

  withAdmin (use) {
    return this.using(new Admin({ ...this.options, retries: 0 }), use)
  }

  async create (topic, partitions, pairs) {
    const configs = pairs.map(([name, value]) => ({ name, value }))
    await this.withAdmin(admin => admin.createTopics({ topics: [topic], partitions, replicas: 1, configs }))
  }

  async describe (topic) {
    return this.withAdmin(async admin => {
      const metadata = await admin.metadata({ topics: [topic] })
      const resources = [{ resourceType: TOPIC, resourceName: topic }]
      const [{ configs }] = await admin.describeConfigs({ resources })
      return {
        partitions: [...metadata.topics.get(topic).partitions.keys()],
        configs: configs.map(each => [each.name, each.value])
      }
    })
  }

  async remove (topic) {
    await this.withAdmin(admin => admin.deleteTopics({ topics: [topic] }))
  }

  async produce (topic, partition, compression, records) {
    const serializers = stringSerializers
    const producer = new Producer({ ...this.options, serializers, compression, idempotent: true })
    const messages = messagesOf(records, topic, partition)
    const { offsets } = await this.using(producer, () => producer.send({ messages, acks: -1 }))
    return messages.map((_, index) => offsets[0].offset + BigInt(index))
  }

  // It commits offsets only of what its own consumers have read.
  async transact (topic, partition, isCommit, groupId, offset, records) {
    const serializers = stringSerializers
    // Each producer says that it had id 0 and epoch 0, which fences all but the first one of a name.
    const transactionalId = `platformatic-${topic}-${Date.now()}`
    const producer = new Producer({ ...this.options, serializers, idempotent: true, transactionalId })
    await this.using(producer, async () => {
      const transaction = await producer.beginTransaction()
      await transaction.send({ messages: messagesOf(records, topic, partition), acks: -1 })
      await (isCommit ? transaction.commit() : transaction.abort())
    })
  }

  consumer (groupId) {
    return new Consumer({
      isolationLevel: READ_COMMITTED,
      ...this.options,
      groupId,
      deserializers: stringDeserializers,
      sessionTimeout: SESSION_TIMEOUT_MS,
      rebalanceTimeout: 10_000,
      heartbeatInterval: HEARTBEAT_INTERVAL_MS,
      maxWaitTime: MAX_WAIT_MS
    })
  }

  async consume (topic, partition, start, count, sayRecord) {
    const consumer = this.consumer(`reader-${process.pid}-${Date.now()}`)
    const offsets = [{ topic, partition, offset: BigInt(start) }]
    const stream = await consumer.consume({ topics: [topic], mode: MessagesStreamModes.MANUAL, offsets, autocommit: false })
    for await (const message of stream) {
      if (message.partition !== partition) continue
      sayRecord(partition, message.offset, plain(message))
      count -= 1
      if (count === 0) break
    }
    await consumer.close(true)
  }

  async offsets (topic, partition) {
    return this.withAdmin(async admin => {
      const found = []
      for (const timestamp of [ListOffsetTimestamps.EARLIEST, ListOffsetTimestamps.LATEST]) {
        const partitions = [{ partitionIndex: partition, timestamp }]
        const [listed] = await admin.listOffsets({ topics: [{ name: topic, partitions }] })
        found.push(listed.partitions[0].offset)
      }
      return found
    })
  }

  async committed (groupId, topic, partition) {
    const groups = [{ groupId, topics: [{ name: topic, partitionIndexes: [partition] }] }]
    const [{ topics }] = await this.withAdmin(admin => admin.listConsumerGroupOffsets({ groups }))
    return topics[0].partitions[0].committedOffset
  }

  async member (groupId, topic, asked, sayAssigned, sayRecord) {
    const consumer = this.consumer(groupId)
    const tell = () => sayAssigned(consumer.assignments?.find(each => each.topic === topic)?.partitions ?? [])
    const stream = await consumer.consume({
      topics: [topic], mode: MessagesStreamModes.COMMITTED, fallbackMode: 'earliest', autocommit: false
    })
    // Each time that it has asked for the committed offsets of what it owns. What is produced between
    // 'consumer:group:join' and this may come twice: by the fetch under way, and from those offsets.
    stream.on('offsets', tell)
    const reading = (async () => {
      for await (const message of stream) {
        sayRecord(message.partition, message.offset, plain(message))
        await message.commit()
      }
    })()
    await Promise.race([asked, reading])
    await stream.close()
    await consumer.close(true)
  }
}

function messagesOf (records, topic, partition) {
  return records.map(({ key, value, headers }) => {
    return { topic, partition, key: key ?? undefined, value: value ?? undefined, headers: new Map(headers) }
  })
}

function plain ({ key, value, headers }) {
  return { key: key ?? null, value: value ?? null, headers: [...headers] }
}
