/**
 * What BullMQ has no call for, as small Lua scripts on its waiting list (right end: taken next) and job hashes.
 *
 * They move and remove ids; taking, locking, finishing and giving back are always BullMQ's own. The layout they rely on
 * is pinned by the exact version in package.json and by the tests beside this file.
 */
import { randomUUID } from 'node:crypto';
import type { Redis } from 'ioredis';
import type { Fence, RunId } from '#training';
import { fenceKey, type QueueName, queueKey } from './queue-names.js';

/** A window of 2-4 steps is at most some thousands of ids; a list beyond this is looked at only at its front. */
const MOST_IDS = 20_000;
const MOST_FAILED = 100;

/**
 * Brings the waiting ids of each run and fence into the order of their steps, each run within the places it holds.
 *
 * Whatever is given back goes to the very front, the latest first: after two give-backs step 8 could stand before step
 * 7, and a lone worker would take 8 and wait for ever for the weights that 7 makes.
 */
const RESTORE_ORDER = `
local ids = redis.call('LRANGE', KEYS[1], -tonumber(ARGV[1]), -1)
local groups = {}
for place = 1, #ids do
  local id = ids[#ids - place + 1]
  local group, step = string.match(id, '^([^.]+%.%d+)%.(%d+)%.')
  if group then
    groups[group] = groups[group] or {}
    table.insert(groups[group], { id = id, step = tonumber(step), place = place })
  end
end
local moved = 0
for _, members in pairs(groups) do
  local places = {}
  for index, member in ipairs(members) do places[index] = member.place end
  table.sort(members, function(a, b)
    if a.step ~= b.step then return a.step < b.step end
    return a.place < b.place
  end)
  for index, member in ipairs(members) do
    if member.place ~= places[index] then
      redis.call('LSET', KEYS[1], -places[index], member.id)
      moved = moved + 1
    end
  end
end
return moved`;

export async function restoreOrder(client: Redis, namespace: string, queue: QueueName): Promise<void> {
  await client.eval(RESTORE_ORDER, 1, queueKey(namespace, queue, 'wait'), MOST_IDS);
}

/**
 * The taken ids of a run and fence that BullMQ gave to a consumer of that name (`pb`: processed by), each followed by the
 * token of its lock. A lock that ran out is taken by the caller: only with a lock can the job be given back.
 */
const TAKEN_BY = `
local found = {}
for _, id in ipairs(redis.call('LRANGE', KEYS[1], 0, -1)) do
  local key = ARGV[1] .. id
  if string.sub(id, 1, #ARGV[2]) == ARGV[2] and redis.call('HGET', key, 'pb') == ARGV[3] then
    redis.call('SET', key .. ':lock', ARGV[4], 'PX', ARGV[5], 'NX')
    table.insert(found, id)
    table.insert(found, redis.call('GET', key .. ':lock'))
  end
end
return found`;

/** Long enough for the call that follows. */
const OWN_LOCK_MS = 1000;

export interface TakenJob {
  readonly id: string;
  readonly token: string;
}

export async function takenBy(
  client: Redis,
  namespace: string,
  queue: QueueName,
  { worker, prefix }: { readonly worker: string; readonly prefix: string },
): Promise<readonly TakenJob[]> {
  const [active, base] = [queueKey(namespace, queue, 'active'), queueKey(namespace, queue, '')];
  const found = await client.eval(TAKEN_BY, 1, active, base, prefix, worker, randomUUID(), OWN_LOCK_MS);
  const words = Array.isArray(found) ? found.map(String) : [];
  return words.flatMap((id, at) => (at % 2 === 0 ? [{ id, token: words[at + 1] ?? '' }] : []));
}

/** Removes the waiting ids that start with a prefix, and their jobs, in one pass over the list. */
const WITHDRAW = `
local kept, removed = {}, 0
for _, id in ipairs(redis.call('LRANGE', KEYS[1], 0, -1)) do
  if string.sub(id, 1, #ARGV[1]) == ARGV[1] then
    redis.call('DEL', ARGV[2] .. id)
    removed = removed + 1
  else
    table.insert(kept, id)
  end
end
if removed > 0 then
  redis.call('DEL', KEYS[1])
  for begin = 1, #kept, 1000 do
    redis.call('RPUSH', KEYS[1], unpack(kept, begin, math.min(begin + 999, #kept)))
  end
end
return removed`;

export async function withdrawWaiting(
  client: Redis,
  namespace: string,
  queue: QueueName,
  run: RunId,
  fence: Fence,
): Promise<void> {
  const wait = queueKey(namespace, queue, 'wait');
  await client.eval(WITHDRAW, 1, wait, `${run}.${fence}.`, queueKey(namespace, queue, ''));
}

/**
 * Makes a fence the highest of its run and removes what waits under a lower one; returns the highest there is.
 *
 * ARGV: fence, seconds to keep it, the run with its dot; then for each waiting list its queue's prefix.
 */
const CLAIM_FENCE = `
local current = tonumber(redis.call('GET', KEYS[1]) or '-1')
if current > tonumber(ARGV[1]) then return current end
redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
for list = 2, #KEYS do
  for _, id in ipairs(redis.call('LRANGE', KEYS[list], 0, -1)) do
    if string.sub(id, 1, #ARGV[3]) == ARGV[3] then
      local fence = tonumber(string.match(string.sub(id, #ARGV[3] + 1), '^%d+'))
      if fence and fence < tonumber(ARGV[1]) then
        redis.call('LREM', KEYS[list], 1, id)
        redis.call('DEL', ARGV[list + 2] .. id)
      end
    end
  end
end
return tonumber(ARGV[1])`;

/** @returns the run's highest fence: this one, or that of whoever took over */
export async function claimHighest(client: Redis, namespace: string, run: RunId, fence: Fence, seconds: number) {
  const queues: readonly QueueName[] = ['gradients', 'averages'];
  const keys = [fenceKey(namespace, run), ...queues.map((queue) => queueKey(namespace, queue, 'wait'))];
  const bases = queues.map((queue) => queueKey(namespace, queue, ''));
  return Number(await client.eval(CLAIM_FENCE, keys.length, ...keys, fence, seconds, `${run}.`, ...bases));
}

/** Frees the ids that a failed job holds, so that the item can be announced anew. */
const FORGET_FAILED = `
for index = 2, #ARGV do
  if redis.call('ZREM', KEYS[1], ARGV[index]) == 1 then redis.call('DEL', ARGV[1] .. ARGV[index]) end
end`;

export async function forgetFailed(
  client: Redis,
  namespace: string,
  queue: QueueName,
  ids: readonly string[],
): Promise<void> {
  await client.eval(FORGET_FAILED, 1, queueKey(namespace, queue, 'failed'), queueKey(namespace, queue, ''), ...ids);
}

/**
 * Fails every taken job whose data or options are no JSON.
 *
 * BullMQ's worker throws before it knows which job it has; the job would stall, be taken and throw again for ever.
 */
const FAIL_UNREADABLE = `
local unreadable = {}
for _, id in ipairs(redis.call('LRANGE', KEYS[1], 0, -1)) do
  local key = ARGV[1] .. id
  local fields = redis.call('HMGET', key, 'data', 'opts')
  if not (pcall(cjson.decode, fields[1] or '{}') and pcall(cjson.decode, fields[2] or '{}')) then
    redis.call('LREM', KEYS[1], 1, id)
    redis.call('SREM', KEYS[3], id)
    redis.call('DEL', key .. ':lock')
    redis.call('HSET', key, 'data', '{}', 'opts', '{}', 'failedReason', ARGV[3], 'finishedOn', ARGV[2])
    redis.call('ZADD', KEYS[2], ARGV[2], id)
    table.insert(unreadable, id)
  end
end
for _, id in ipairs(redis.call('ZRANGE', KEYS[2], 0, -(tonumber(ARGV[4]) + 1))) do
  redis.call('ZREM', KEYS[2], id)
  redis.call('DEL', ARGV[1] .. id)
end
return unreadable`;

/** Returns the ids of the jobs it failed. */
export async function failUnreadable(client: Redis, namespace: string, queue: QueueName): Promise<readonly string[]> {
  const keys = ['active', 'failed', 'stalled'].map((name) => queueKey(namespace, queue, name));
  const reason = 'the job is not readable: its data or options are no JSON';
  const base = queueKey(namespace, queue, '');
  const ids = await client.eval(FAIL_UNREADABLE, keys.length, ...keys, base, Date.now(), reason, MOST_FAILED);
  return Array.isArray(ids) ? ids.map(String) : [];
}
