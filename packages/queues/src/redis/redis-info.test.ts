import fc from 'fast-check';
import { expect, test } from 'vitest';
import { isAtLeast, parseRedisInfo } from './redis-info.js';

test('versions are compared number by number, not letter by letter', () => {
  expect(isAtLeast('10.0.0', '6.2.0')).toBe(true);
  expect(isAtLeast('6.10.0', '6.2.0')).toBe(true);
  expect(isAtLeast('6.0.16', '6.2.0')).toBe(false);
  expect(isAtLeast('7', '6.2.0')).toBe(true);
  const triple = fc.tuple(fc.nat(50), fc.nat(50), fc.nat(50));
  fc.assert(
    fc.property(triple, triple, (a, b) => {
      const order = a[0] - b[0] || a[1] - b[1] || a[2] - b[2];
      expect(isAtLeast(a.join('.'), b.join('.'))).toBe(order >= 0);
    }),
  );
});

test('each engine is told by its own fields, and an imitation does not pass for the real one', () => {
  expect(
    parseRedisInfo('# Server\r\nredis_version:7.0.15\r\nprocess_id:77\r\nmaxmemory_policy:noeviction\r\n'),
  ).toEqual({
    engine: 'redis',
    version: '7.0.15',
    compatibleWith: '7.0.15',
    evictionPolicy: 'noeviction',
    role: undefined,
    clusterEnabled: false,
    pid: 77,
  });
  expect(parseRedisInfo('redis_version:7.2.4\nserver_name:valkey\nvalkey_version:8.1.1\n')).toMatchObject({
    engine: 'valkey',
    version: '8.1.1',
    compatibleWith: '7.2.4',
  });
  expect(parseRedisInfo('redis_version:8.0.0\nmultiplexing_api:mock\nprocess_id:1\n')).toMatchObject({
    engine: 'js-redis-server',
    version: 'imitating 8.0.0',
    pid: undefined,
  });
});
