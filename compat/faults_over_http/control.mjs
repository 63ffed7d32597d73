// What a test in JavaScript needs of the broker's control interface.
const base = process.env.CONTROL

async function ask (method, path, body) {
  const answer = await fetch(`${base}${path}`, {
    method,
    headers: { 'Content-Type': 'application/json' },
    body: body && JSON.stringify(body)
  })
  const text = await answer.text()
  if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text}`)
  return text && JSON.parse(text)
}

export const addRule = rule => ask('POST', '/rules', rule)
export const getRule = ({ id }) => ask('GET', `/rules/${id}`)
export const clearRules = () => ask('DELETE', '/rules')
export const advance = seconds => ask('POST', '/clock/advance', { seconds })
export const changeBroker = change => ask('PATCH', '/broker', change)
export const moveCoordinator = move => ask('POST', '/moves/coordinator', move)
