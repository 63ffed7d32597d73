// Carries out operations with one JavaScript client and prints JSON lines.
//
//   node main.mjs CLIENT serve ADDRESS
//   node main.mjs CLIENT member ADDRESS GROUP TOPIC
//
// CLIENT is the stem of a module beside this one; the operations and their lines are those of
// compat/programs.py.
import { createInterface } from 'node:readline'

function say (what) {
  console.log(JSON.stringify(what, (_, value) => typeof value === 'bigint' ? Number(value) : value))
}

function sayRecord (partition, offset, { key, value, headers }) {
  const isNull = value === null
  say({ record: [partition, Number(offset), isNull ? '' : value], key, headers, null: isNull })
}

function sayAssigned (partitions) {
  say({ assigned: [...partitions].sort() })
}

async function run (client, { operation, arguments: args, records }) {
  const [first, second, third, fourth] = args
  switch (operation) {
    case 'create': {
      const configs = args.slice(2).map(pair => pair.split('='))
      return client.create(first, Number(second), configs)
    }
    case 'describe': {
      const { partitions, configs } = await client.describe(first)
      return say({ partitions: partitions.sort(), configs: Object.fromEntries(configs) })
    }
    case 'delete':
      return client.remove(first)
    case 'produce':
      return say({ offsets: await client.produce(first, Number(second), third, records) })
    case 'transact':
      return client.transact(first, Number(second), third === 'commit', fourth, Number(args[4]), records)
    case 'consume':
      return client.consume(first, Number(second), Number(third), Number(fourth), sayRecord)
    case 'offsets': {
      const [earliest, latest] = await client.offsets(first, Number(second))
      return say({ earliest, latest })
    }
    case 'committed':
      return say({ committed: await client.committed(first, second, Number(third)) })
    default:
      throw new Error(`unknown operation ${operation}`)
  }
}

async function serve (client, codeOf) {
  for await (const line of createInterface({ input: process.stdin })) {
    let done = 0
    try {
      await run(client, JSON.parse(line))
    } catch (error) {
      done = codeOf(error)
      if (done === undefined) throw error
    }
    say({ done })
  }
}

const [name, mode, address, group, topic] = process.argv.slice(2)
const { connect, codeOf } = await import(`./${name}.mjs`)
const client = connect(address)
if (mode === 'member') {
  const asked = new Promise(resolve => process.once('SIGTERM', resolve))
  await client.member(group, topic, asked, sayAssigned, sayRecord)
} else {
  await serve(client, codeOf)
}
process.exit(0)
