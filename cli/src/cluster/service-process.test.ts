import { fileURLToPath } from 'node:url';
import { afterEach, expect, test } from 'vitest';
import { RopeteamError } from '#training';
import { type ServiceProcess, startService } from './service-process.js';

const script = fileURLToPath(new URL('./imaginary-service.fixture.js', import.meta.url));
const never = new AbortController().signal;
const running: ServiceProcess[] = [];

afterEach(() => {
  for (const service of running.splice(0)) service.kill();
});

async function start(
  manner: string,
  options: { readonly signal?: AbortSignal; readonly readyTimeoutMs?: number } = {},
) {
  const { signal = never, ...rest } = options;
  const log: string[] = [];
  const environment = { PATH: process.env.PATH ?? '' };
  const service = await startService(
    { kind: 'worker', name: 'w0', args: [manner], script, environment, onLog: (line) => log.push(line), ...rest },
    signal,
  );
  running.push(service);
  return { service, log };
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    expect((error as NodeJS.ErrnoException).code).toBe('ESRCH');
    return false;
  }
}

test('a service is there once it says so, with its addresses, and gone once it is stopped', async () => {
  const { service } = await start('serves');
  expect(service.ready).toMatchObject({ grpc: '127.0.0.1:4', http: 'http://127.0.0.1:5' });
  expect(isAlive(service.pid)).toBe(true);
  expect(await service.stop(10_000)).toEqual({ code: 0, signal: null });
  expect(isAlive(service.pid)).toBe(false);
});

test('a service that will not stop is killed when its time is up', async () => {
  const { service, log } = await start('ignores-sigterm');
  expect(await service.stop(300)).toEqual({ code: null, signal: 'SIGKILL' });
  expect(log).toEqual(['heard']);
});

test('a service that dies before it is ready is an error with its last words, readable', async () => {
  const error: unknown = await start('dies').catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(RopeteamError);
  expect(error).toMatchObject({ code: 'ENVIRONMENT.PROCESS', facts: { process: 'w0' } });
  expect(String(error)).toContain('w0 ended with exit code 3 before it was ready');
  expect(String(error)).toContain('error redis_lost: no route port=6379');
});

test('F8: a service that exhausts its heap is said to have run out of memory, with what to do', async () => {
  const options = { kind: 'worker', name: 'w0', args: ['exhausts-memory'], script } as const;
  const environment = { PATH: process.env.PATH ?? '', NODE_OPTIONS: '--max-old-space-size=24' };
  const error: unknown = await startService({ ...options, environment }, never).catch((reason: unknown) => reason);
  expect(error).toMatchObject({ code: 'ENVIRONMENT.PROCESS', hint: expect.stringContaining('--max-old-space-size') });
  expect(String(error)).toContain('w0 ran out of memory before it was ready');
});

test('what a service reports itself is the error', async () => {
  await expect(start('reports')).rejects.toMatchObject({ code: 'REDIS.VERSION', message: 'too old' });
});

test('a service that never becomes ready is killed and its words are shown', async () => {
  const error: unknown = await start('says-nothing', { readyTimeoutMs: 1500 }).catch((reason: unknown) => reason);
  expect(String(error)).toContain('after 1.5 s without becoming ready');
  expect(String(error)).toContain('thinking');
});

test('an abort during the start is thrown as it is, and nothing stays', async () => {
  const controller = new AbortController();
  const starting = start('says-nothing', { signal: controller.signal });
  controller.abort(new Error('never mind'));
  await expect(starting).rejects.toThrow('never mind');
});

test('a script that is not there is said to be missing, with what to do', async () => {
  const missing = startService({ kind: 'worker', name: 'w0', args: [], environment: {}, script: '/no/such.js' }, never);
  await expect(missing).rejects.toMatchObject({
    code: 'ENVIRONMENT.PROCESS',
    hint: 'build the project: npm run build',
  });
});
