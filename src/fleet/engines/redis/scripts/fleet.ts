import { RedisScript } from './script.js'

/** KEYS: 1 a sorted set of names and their time limits. ARGV: 1 ms for which it is kept when idle. */
const setPrelude = `
local set = KEYS[1]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZREMRANGEBYSCORE', set, '-inf', now)

local function touch()
  local last = redis.call('ZRANGE', set, -1, -1, 'WITHSCORES')
  redis.call('PEXPIRE', set, math.max(tonumber(ARGV[1]), (last[2] or now) - now))
end
`

/** ARGV: 2 name, 3 ms, 4 most names. Returns 1, or 0: there are too many. */
export const addScript = new RedisScript(
  setPrelude,
  `
if redis.call('ZCARD', set) >= tonumber(ARGV[4]) and not redis.call('ZSCORE', set, ARGV[2]) then return 0 end
redis.call('ZADD', set, now + ARGV[3], ARGV[2])
touch()
return 1
`,
)

/** ARGV: 2 name. */
export const removeScript = new RedisScript(setPrelude, `redis.call('ZREM', set, ARGV[2])`, 'return 1')

/** ARGV: 2 most names. Returns names whose time limit has not passed, those that are to expire first. */
export const namesScript = new RedisScript(
  setPrelude,
  `
touch()
return redis.call('ZRANGE', set, 0, tonumber(ARGV[2]) - 1)
`,
)

/** Most names of members that are returned. */
const membersMax = 1000

/** ARGV: 2 name, 3 ms. Adds a name, and returns all. */
export const beatScript = new RedisScript(
  setPrelude,
  `
redis.call('ZADD', set, now + ARGV[3], ARGV[2])
touch()
return redis.call('ZRANGE', set, 0, ${membersMax - 1})
`,
)
