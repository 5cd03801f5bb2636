import { strict as assert } from 'node:assert';
import { expect, test } from 'vitest';
import { RopeteamError } from '#training';
import { createLogger, type LoggerOptions } from './logger.js';

function logged(options: Partial<LoggerOptions> = {}) {
  const lines: string[] = [];
  const log = createLogger({ service: 'worker', destination: { write: (line) => lines.push(line) }, ...options });
  return { log, lines, parsed: () => lines.map((line): Record<string, unknown> => JSON.parse(line)) };
}

test('a line is one JSON object with level by name, ISO time, service, then the event before its fields', () => {
  const { log, lines, parsed } = logged();
  log.with({ run: 'digits-7f3a', worker: 'w1' }).info('step_committed', { step: 4, loss: 0.5 });
  expect(lines).toHaveLength(1);
  expect(lines[0]?.endsWith('\n')).toBe(true);
  const [line] = parsed();
  assert.ok(line);
  expect(Object.keys(line)).toEqual(['level', 'time', 'service', 'run', 'worker', 'event', 'step', 'loss']);
  expect(line).toMatchObject({
    level: 'info',
    service: 'worker',
    run: 'digits-7f3a',
    event: 'step_committed',
    step: 4,
  });
  expect(new Date(String(line.time)).toISOString()).toBe(line.time);
});

test('lines below the level are not written', () => {
  const { log, parsed } = logged({ level: 'warn' });
  log.debug('shard_fetched');
  log.info('step_committed');
  log.warn('worker_lost');
  log.error('run_failed');
  expect(parsed().map(({ event }) => event)).toEqual(['worker_lost', 'run_failed']);
});

test('secrets do not reach the log, whether by name, nested, in a URL, in an error or in a bound field', () => {
  const { log, lines } = logged();
  const secret = 'hunter2';
  const cause = new Error(`connect redis://user:${secret}@host:6379 failed`);
  const error = new RopeteamError('REDIS.UNREACHABLE', { url: `redis://:${secret}@host` }, 'no Redis', { cause });
  const bound = log.with({ apiKey: secret, redis: { password: secret } });
  bound.warn('redis_lost', {
    url: `redis://:${secret}@host`,
    nested: { deep: [{ token: secret }] },
    authorization: secret,
  });
  bound.error('redis_lost', { error });
  expect(lines.join('')).not.toContain(secret);
  expect(lines.join('')).toContain('redis://***@host');
});

test('an error is logged with its code, hint and facts, another one with its stack', () => {
  const { log, parsed } = logged();
  log.error('run_failed', {
    error: new RopeteamError('RUN.UNKNOWN', { run: 'x' }, 'no run x', { hint: 'List them.' }),
  });
  log.error('run_failed', { error: new TypeError('broken') });
  const [own, other] = parsed().map(({ error }) => error);
  expect(own).toEqual({ code: 'RUN.UNKNOWN', message: 'no run x', hint: 'List them.', facts: { run: 'x' } });
  expect(other).toMatchObject({
    name: 'TypeError',
    message: 'broken',
    stack: expect.stringContaining('logger.test'),
  });
});

test('tensors, huge texts and loops stay short, and one event stays one line', () => {
  const { log, lines } = logged();
  const loop: Record<string, unknown> = {};
  loop.self = loop;
  log.info('odd_things_logged', {
    gradient: new Float32Array(1 << 20),
    text: 'x\n\u001b[31m'.repeat(1 << 16),
    loop,
    big: 2n ** 70n,
  });
  expect(lines).toHaveLength(1);
  expect(lines[0]?.length).toBeLessThan(60_000);
  expect(lines[0]?.trimEnd()).not.toMatch(/\p{Cc}/u);
  expect(lines[0]).toContain('Float32Array(4194304 bytes)');
});

test('the readable form is one line with the event, and without colour when it is no terminal', () => {
  const { log, lines } = logged({ pretty: true });
  log.info('worker_joined', { worker: 'w1' });
  expect(lines).toHaveLength(1);
  expect(lines[0]).toMatch(/INFO.*worker_joined.*"worker":"w1"/);
  expect(lines[0]).not.toContain('\u001b');
});
