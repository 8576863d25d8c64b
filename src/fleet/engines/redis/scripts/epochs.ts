import { repositoryPrelude } from './repository.js'
import { RedisScript } from './script.js'

export const epochScript = new RedisScript(
  repositoryPrelude,
  `
touch()
local counts = redis.call('HMGET', record, 'openings', 'changes')
return { incarnation, open, tonumber(counts[1] or 0), tonumber(counts[2] or 0) }
`,
)

export const changeScript = new RedisScript(
  repositoryPrelude,
  `
changed(1)
touch()
return 1
`,
)

/** Bodies are the lease's present duration in ms, a line break, and JSON. */
const leasePrelude = `
local function leaseOf(id)
  local limit, body = redis.call('ZSCORE', leases, id), redis.call('HGET', bodies, id)
  if not limit then return nil end
  if body then return limit - now, string.match(body, '^(%d+)\\n(.*)$') end
  -- Its body was evicted. It cannot be shown nor renewed, so it ends as if it had expired.
  forget(id)
  changed(1)
  return nil
end
`

/** ARGV: 5 id, 6 ms, 7 JSON, 8 ms until it expires. */
export const openLeaseScript = new RedisScript(
  repositoryPrelude,
  `
local id, ttl, json, left = ARGV[5], ARGV[6], ARGV[7], ARGV[8]
redis.call('ZADD', leases, now + left, id)
redis.call('HSET', bodies, id, ttl .. '\\n' .. json)
redis.call('HINCRBY', record, 'openings', 1)
open = redis.call('ZCARD', leases)
redis.call('HSET', record, 'open', open)
hint('epoch')
touch()
return 1
`,
)

/** ARGV: 5 id, 6 ms or empty. */
export const renewLeaseScript = new RedisScript(
  repositoryPrelude,
  leasePrelude,
  `
local id = ARGV[5]
local left, ttl, json = leaseOf(id)
if left then
  if ARGV[6] ~= '' then ttl = ARGV[6] end
  redis.call('ZADD', leases, now + ttl, id)
  redis.call('HSET', bodies, id, ttl .. '\\n' .. json)
end
touch()
if not left then return false end
return { tonumber(ttl), tonumber(ttl), json }
`,
)

/** ARGV: 5 id, 6 `changed` or `unchanged`. */
export const endLeaseScript = new RedisScript(
  repositoryPrelude,
  leasePrelude,
  `
local id = ARGV[5]
local left, ttl, json = leaseOf(id)
if left then
  forget(id)
  if ARGV[6] == 'changed' then changed(1) else hint('epoch') end
end
touch()
if not left then return false end
return { left, tonumber(ttl), json }
`,
)

/** ARGV: 5 most leases. Returns for each open lease its id, ms left, duration and JSON. */
export const listLeasesScript = new RedisScript(
  repositoryPrelude,
  leasePrelude,
  `
local list = {}
for _, id in ipairs(redis.call('ZRANGE', leases, 0, tonumber(ARGV[5]) - 1)) do
  local left, ttl, json = leaseOf(id)
  if left then list[#list + 1] = { id, left, tonumber(ttl), json } end
end
touch()
return list
`,
)
