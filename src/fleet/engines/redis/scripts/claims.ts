import { repositoryPrelude } from './repository.js'
import { RedisScript } from './script.js'

/**
 * KEYS: 4 fill lease, 5 entry, 6 failure. A fill lease of an earlier incarnation does not count: its holder may have lost it
 * before, in writes that this server does not know of.
 */
const fillPrelude = `
local fill, entry, failure = KEYS[4], KEYS[5], KEYS[6]
local function holds(token, node)
  local held = redis.call('HMGET', fill, 'token', 'node')
  return held[1] == token and held[2] == node and isOfThisIncarnation(token)
end
`

/** ARGV: 5 state (`=` before it; empty: none), 6 node, 7 ms, 8 token to rob or empty, 9 key. */
export const claimScript = new RedisScript(
  repositoryPrelude,
  fillPrelude,
  `
local state, node, ttl, rob, key = ARGV[5], ARGV[6], ARGV[7], ARGV[8], ARGV[9]
touch()
local made = redis.call('HMGET', entry, 'state', 'token', 'node', 'entry')
if made[2] == rob then
  redis.call('DEL', entry)
  made = {}
end
local held = redis.call('HMGET', fill, 'token', 'node')
if held[1] == rob then redis.call('DEL', fill) end
local failed = redis.call('HMGET', failure, 'state', 'failure')
if failed[2] and (failed[1] == '' or failed[1] == state) then
  return { 'failed', failed[2], redis.call('PTTL', failure) }
end
if made[2] and state ~= '' and made[1] == state then
  return { 'published', made[3], made[2], made[4] }
end
if held[1] and held[1] ~= rob and held[2] ~= node and isOfThisIncarnation(held[1]) then
  return { 'held', held[2], held[1], redis.call('PTTL', fill) }
end
local token = incarnation .. '.' .. redis.call('HINCRBY', record, 'fence', 1)
redis.call('DEL', fill)
redis.call('HSET', fill, 'token', token, 'node', node)
redis.call('PEXPIRE', fill, ttl)
if held[1] or rob ~= '' then hint('key', key) end
return { 'granted', token }
`,
)

/** ARGV: 5 token, 6 node, 7 ms. */
export const renewScript = new RedisScript(
  repositoryPrelude,
  fillPrelude,
  `
touch()
if not holds(ARGV[5], ARGV[6]) then return 0 end
redis.call('PEXPIRE', fill, ARGV[7])
return 1
`,
)

/** ARGV: 5 token, 6 node, 7 key, 8 `entry`, `failure` or `nothing`, 9 state as in a claim, 10 entry or failure, 11 ms. */
export const publishScript = new RedisScript(
  repositoryPrelude,
  fillPrelude,
  `
local token, node, key, kind = ARGV[5], ARGV[6], ARGV[7], ARGV[8]
local state, value, ttl = ARGV[9], ARGV[10], ARGV[11]
touch()
if not holds(token, node) then return 0 end
redis.call('DEL', fill)
if kind == 'entry' then
  redis.call('DEL', failure, entry)
  redis.call('HSET', entry, 'state', state, 'token', token, 'node', node, 'entry', value)
  redis.call('PEXPIRE', entry, ttl)
elseif kind == 'failure' then
  redis.call('DEL', failure)
  redis.call('HSET', failure, 'state', state, 'failure', value)
  redis.call('PEXPIRE', failure, ttl)
end
hint('key', key)
return 1
`,
)
