// Tests of kafkajs programs under faults: KAFKA and CONTROL say where the broker is.
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { afterEach, beforeEach, test } from 'node:test'
import kafkajs from 'kafkajs'
import { addRule, advance, changeBroker, clearRules, getRule, moveCoordinator } from './control.mjs'

const { Kafka, logLevel } = kafkajs

// A wait in vain ends with its test.
const LIMIT = { timeout: 30_000 }

const kafka = new Kafka({
  clientId: 'shop',
  brokers: [process.env.KAFKA],
  logLevel: logLevel.NOTHING,
  retry: { initialRetryTime: 50, retries: 10 }
})
let topic
let toDisconnect

beforeEach(async () => {
  toDisconnect = []
  topic = `orders-${randomUUID()}`
  const admin = await connected(kafka.admin())
  await admin.createTopics({ topics: [{ topic, numPartitions: 1 }], waitForLeaders: false })
})

afterEach(async () => {
  await clearRules()
  await changeBroker({ available: true, disk_full: false })
  for (const client of toDisconnect) await client.disconnect()
})

async function connected (client) {
  toDisconnect.unshift(client)
  await client.connect()
  return client
}

function place (producer, ...orders) {
  return producer.send({ topic, acks: -1, messages: orders.map(value => ({ value })) })
}

// Reads in a group of its own, or in that of the settings; `orders` grows.
async function reader (settings = {}) {
  const orders = []
  const waiting = []
  let joins = 0
  let commits = 0
  const consumer = kafka.consumer({ groupId: `reader-${topic}`, heartbeatInterval: 100, maxWaitTimeInMs: 100, ...settings })
  const changed = () => waiting.forEach(look => look())
  consumer.on(consumer.events.GROUP_JOIN, () => { joins += 1; changed() })
  consumer.on(consumer.events.COMMIT_OFFSETS, () => { commits += 1; changed() })
  await connected(consumer)
  await consumer.subscribe({ topics: [topic], fromBeginning: true })
  await consumer.run({
    eachMessage: async ({ message }) => { orders.push(message.value.toString()); changed() }
  })
  const until = isReached => new Promise(resolve => {
    const look = () => isReached() && resolve()
    waiting.push(look)
    look()
  })
  return {
    orders,
    hasOrders: count => until(() => orders.length >= count),
    hasJoined: times => until(() => joins >= times),
    hasCommitted: times => until(() => commits >= times)
  }
}

test('an error that passes is tried again', LIMIT, async () => {
  const rule = await addRule({ api: ['Produce'], topic, error: 'NOT_LEADER_OR_FOLLOWER', times: 2 })
  const producer = await connected(kafka.producer())
  await place(producer, 'a book')
  assert.equal((await getRule(rule)).applied, 2)

  const { orders, hasOrders } = await reader()
  await hasOrders(1)
  assert.deepEqual(orders, ['a book'])
})

test('a refusal for good is not tried again', LIMIT, async () => {
  const rule = await addRule({ api: ['Produce'], topic, error: 'TOPIC_AUTHORIZATION_FAILED' })
  const producer = await connected(kafka.producer())
  await assert.rejects(place(producer, 'a book'), { type: 'TOPIC_AUTHORIZATION_FAILED' })
  assert.equal((await getRule(rule)).applied, 1)
})

for (const [idempotent, wanted] of [[true, ['a book', 'a pen']], [false, ['a book', 'a book', 'a pen']]]) {
  test(`an answer lost after the append, idempotent ${idempotent}`, LIMIT, async () => {
    const rule = await addRule({ api: ['Produce'], topic, close: 'after', times: 1 })
    const producer = await connected(kafka.producer({ idempotent, maxInFlightRequests: 1 }))
    await place(producer, 'a book')
    await place(producer, 'a pen')
    const { matched, applied } = await getRule(rule)
    assert.deepEqual([matched, applied], [3, 1])

    const { orders, hasOrders } = await reader()
    await hasOrders(wanted.length)
    assert.deepEqual(orders, wanted)
  })
}

test('a broker that is away for a while', LIMIT, async () => {
  const producer = await connected(kafka.producer())
  await place(producer, 'a book')
  await changeBroker({ available: false })
  const placed = place(producer, 'a pen')
  assert.equal(await Promise.race([placed, changeBroker({})]).then(state => state.available), false)
  await changeBroker({ available: true })
  await placed

  const { orders, hasOrders } = await reader()
  await hasOrders(2)
  assert.deepEqual(orders, ['a book', 'a pen'])
})

test('a full disk takes records again when there is room', LIMIT, async () => {
  const producer = await connected(kafka.producer({ retry: { retries: 0 } }))
  await changeBroker({ disk_full: true })
  await assert.rejects(place(producer, 'a book'), error => error.cause.type === 'KAFKA_STORAGE_ERROR')
  await changeBroker({ disk_full: false })
  await place(producer, 'a pen')

  const { orders, hasOrders } = await reader()
  await hasOrders(1)
  assert.deepEqual(orders, ['a pen'])
})

test('a member that was cut off until its session has expired joins again', LIMIT, async () => {
  const producer = await connected(kafka.producer())
  const groupId = `workers-${topic}`
  const { orders, hasOrders, hasJoined } = await reader({ groupId, sessionTimeout: 30_000 })
  await hasJoined(1)
  await addRule({ api: ['Heartbeat'], group: groupId, close: 'before' })
  await advance(31)
  await clearRules()
  await hasJoined(2)
  await place(producer, 'a book')
  await hasOrders(1)
  assert.deepEqual(orders, ['a book'])
})

test('a coordinator that moves keeps what was committed', LIMIT, async () => {
  const producer = await connected(kafka.producer())
  const groupId = `workers-${topic}`
  const { orders, hasOrders, hasCommitted } = await reader({ groupId })
  await place(producer, 'a book')
  await hasCommitted(1)
  await moveCoordinator({ group: groupId, for_s: 0.3 })
  await place(producer, 'a pen')
  await hasOrders(2)
  assert.deepEqual(orders, ['a book', 'a pen'])
})

test('a transaction that has timed out is gone', LIMIT, async () => {
  const producer = await connected(kafka.producer({
    transactionalId: `till-${topic}`, idempotent: true, maxInFlightRequests: 1, transactionTimeout: 60_000
  }))
  const late = await producer.transaction()
  await late.send({ topic, messages: [{ value: 'a book' }] })
  await advance(120)
  await assert.rejects(late.commit())

  const plain = await connected(kafka.producer())
  await place(plain, 'a pen')
  const { orders, hasOrders } = await reader()
  await hasOrders(1)
  assert.deepEqual(orders, ['a pen'])
})
