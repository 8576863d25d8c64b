/**
 * How each script begins that concerns a repository. It reads the server's clock, makes the repository's record if there is
 * none, ends expired mutator leases, and says under which incarnation the server remembers all this.
 *
 * An incarnation has two parts. `master_replid` is a random name that a server takes when it starts as a master or becomes
 * one, so it differs after a restart, with persistence or without, and after each fail-over: whatever writes were lost, the
 * counts that come after them have another name. `birth` is random and stored in the record: it differs after the record
 * was flushed, evicted, or forgotten for being idle. The record counts the open leases, which are another key: if one of
 * the two is lost without the other, the record is made anew.
 *
 * Every script ends with a write (`touch`), those that only read too: a server that is a replica now refuses it, and a master
 * with `min-replicas-to-write` refuses it when it has too few replicas.
 *
 * KEYS: 1 record, 2 time limits of open mutator leases, 3 their bodies.
 * ARGV: 1 a birth, should one be needed; 2 milliseconds for which an idle record is kept; 3 the channel of hints; 4 the repository.
 */
export const repositoryPrelude = `
local record, leases, bodies = KEYS[1], KEYS[2], KEYS[3]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local master = string.match(redis.call('INFO', 'replication'), 'master_replid:(%x+)')
if not master then
  return redis.error_reply('ERR the server does not tell its master_replid in INFO replication')
end

local function hint(kind, key)
  redis.call('PUBLISH', ARGV[3], kind .. ' ' .. ARGV[4] .. ' ' .. (key or ''))
end

local known = redis.call('HMGET', record, 'birth', 'open')
local open = redis.call('ZCARD', leases)
local birth = known[1]
if not birth or tonumber(known[2]) ~= open then
  birth = ARGV[1]
  redis.call('DEL', record)
  redis.call('HSET', record, 'birth', birth, 'open', open)
end
local incarnation = string.sub(master, 1, 20) .. '-' .. birth

local function changed(count)
  redis.call('HINCRBY', record, 'changes', count)
  hint('epoch')
end

local function forget(id)
  open = open - redis.call('ZREM', leases, id)
  redis.call('HDEL', bodies, id)
  redis.call('HSET', record, 'open', open)
end

if open > 0 then
  local ended = redis.call('ZRANGEBYSCORE', leases, '-inf', now)
  for _, id in ipairs(ended) do forget(id) end
  if #ended > 0 then changed(#ended) end
end

local function touch()
  local keep = tonumber(ARGV[2])
  -- Whatever clients ask for has a record; what no lease and no change is known of is soon forgotten.
  local counts = redis.call('HMGET', record, 'openings', 'changes')
  if not counts[1] and not counts[2] then keep = math.min(keep, 3600000) end
  if open > 0 then
    local last = redis.call('ZRANGE', leases, -1, -1, 'WITHSCORES')
    keep = keep + math.max(0, last[2] - now)
  end
  redis.call('PEXPIRE', record, keep)
  redis.call('PEXPIRE', leases, keep)
  redis.call('PEXPIRE', bodies, keep)
end

local function isOfThisIncarnation(token)
  return string.sub(token, 1, #incarnation + 1) == incarnation .. '.'
end
`
