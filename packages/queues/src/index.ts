export type {
  FindRedisOptions,
  OwnRedis,
  RedisFinding,
  RedisHandle,
  RedisSource,
  ResolveRedisOptions,
} from './redis/resolve-redis.js';
export { findRedis, resolveRedis } from './redis/resolve-redis.js';
export type { WorkQueuesOptions } from './work-queues.js';
export { openWorkQueues } from './work-queues.js';
export type { WorkSourceOptions } from './work-source.js';
export { openWorkSource } from './work-source.js';
