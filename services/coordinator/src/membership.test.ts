import { describe, expect, test } from 'vitest';
import { fence, PROTOCOL_VERSION, runId, type SessionHandler, type WorkerSession, workerId } from '#training';
import { Membership, type MembershipListener } from './membership.js';

const KERNEL = 'wasm-simd128/1';

interface Connected {
  readonly handler: SessionHandler;
  /** Reasons this session was closed with. */
  readonly closed: readonly string[];
}

function connect(membership: Membership, name: string, kernelIds: readonly string[] = [KERNEL], pid = 1): Connected {
  const closed: string[] = [];
  const hello = {
    worker: workerId(name),
    pid,
    protocolVersion: PROTOCOL_VERSION,
    host: 'here',
    threads: 1,
    kernelIds,
  };
  const session: WorkerSession = {
    hello,
    caller: { peer: '127.0.0.1:1' },
    send: () => undefined,
    sendWeights: () => undefined,
    close: (reason) => void closed.push(reason),
  };
  return { handler: membership.admit(session), closed };
}

/** A membership that writes down what its listener is told. */
function watched() {
  const told: string[] = [];
  const membership = new Membership(KERNEL);
  const listener: MembershipListener = {
    joined: ({ hello }) => void told.push(`${hello.worker} joined`),
    message: ({ hello }, { kind }) => void told.push(`${hello.worker} says ${kind}`),
    gone: ({ hello }, reason, detectedInMs) => void told.push(`${hello.worker} gone: ${reason} (${detectedInMs} ms)`),
  };
  membership.listen(listener);
  return { membership, told };
}

const microtasks = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('the membership', () => {
  test('tells who joins, speaks and goes', async () => {
    const { membership, told } = watched();
    const { handler } = connect(membership, 'w0');
    await microtasks();
    handler.message({ kind: 'heartbeat', residentBytes: 1 });
    handler.closed('silent', 2000);
    expect(told).toEqual(['w0 joined', 'w0 says heartbeat', 'w0 gone: silent (2000 ms)']);
    expect(membership.members).toEqual([]);
  });

  test('refuses a worker with another kernel and names both', () => {
    const { membership } = watched();
    expect(() => connect(membership, 'w0', ['js/1', 'wasm-fma/1'])).toThrowError(
      expect.objectContaining({
        code: 'WORKER.KERNEL_MISMATCH',
        facts: { expected: KERNEL, found: 'js/1, wasm-fma/1' },
      }),
    );
    expect(membership.members).toEqual([]);
  });

  test('admits a worker that can compute with this kernel among others', () => {
    const { membership } = watched();
    connect(membership, 'w0', ['blas-openblas-0.3.21-zen/2', KERNEL, 'js/1']);
    expect(membership.members.map(({ hello }) => hello.worker)).toEqual(['w0']);
  });

  test('puts a second worker of one name in the place of the first, which is lost and heard no more', async () => {
    const { membership, told } = watched();
    const first = connect(membership, 'w0');
    await microtasks();
    const second = connect(membership, 'w0');
    await microtasks();
    expect(told).toEqual(['w0 joined', expect.stringMatching(/^w0 gone: a new worker/), 'w0 joined']);
    expect(first.closed).toHaveLength(1);
    expect(second.closed).toEqual([]);
    first.handler.message({ kind: 'heartbeat', residentBytes: 1 });
    first.handler.closed('the stream ended', 0);
    expect(told).toHaveLength(3);
    expect(membership.members).toHaveLength(1);
    second.handler.message({ kind: 'heartbeat', residentBytes: 1 });
    expect(told.at(-1)).toBe('w0 says heartbeat');
  });

  test('F17: refuses a process whose place another of its name took, but not that other one when it comes back', () => {
    const { membership } = watched();
    connect(membership, 'w0', [KERNEL], 1);
    connect(membership, 'w0', [KERNEL], 2);
    expect(() => connect(membership, 'w0', [KERNEL], 1)).toThrowError(
      expect.objectContaining({ code: 'WORKER.REPLACED', message: expect.stringContaining('process 2') }),
    );
    connect(membership, 'w0', [KERNEL], 2);
    expect(() => connect(membership, 'w0', [KERNEL], 1)).toThrowError(/process 2/);
    expect(membership.members).toHaveLength(1);
  });

  test('does not announce a worker that is gone before its handler is in hand', async () => {
    const { membership, told } = watched();
    connect(membership, 'w0').handler.closed('at once', 0);
    await microtasks();
    expect(told).toEqual(['w0 gone: at once (0 ms)']);
  });

  test('remembers which run a worker is ready for, and that it is leaving', () => {
    const { membership } = watched();
    const { handler } = connect(membership, 'w0');
    handler.message({ kind: 'run-ready', takesLeases: false, run: runId('r'), fence: fence(3) });
    handler.message({ kind: 'draining', reason: 'asked to' });
    expect(membership.members).toMatchObject([{ readyFor: { run: 'r', fence: 3 }, draining: 'asked to' }]);
  });
});
