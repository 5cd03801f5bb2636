/**
 * Machines of their own, as near as one machine has them: a coordinator and three workers in network namespaces with
 * addresses of their own, TLS between them, and a wire that is pulled out and put back. Needs root, and to be asked for.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import type { RunEvent } from '#training';
import { makeCertificates } from '../support/certificates.js';
import { hasRedisServer } from '../support/redis-server.js';

const MAIN = fileURLToPath(new URL('../../cli/src/main.js', import.meta.url));
const JOB = fileURLToPath(new URL('../../../examples/digits/job.yaml', import.meta.url));
const DEADLINE_MS = 180_000;
const STEPS = ['--set', 'train.epochs=150', '--set', 'train.microBatches=4'];
const PASSWORD = 'of-the-test';

/** On demand, because it takes half a minute on a machine of its own; and are there namespaces to make? */
function mayMakeNamespaces(): boolean {
  if (process.env.ROPETEAM_TEST_NAMESPACES !== '1') return false;
  const name = `ropeteam-probe-${process.pid}`;
  try {
    execFileSync('ip', ['netns', 'add', name], { stdio: 'ignore' });
    execFileSync('ip', ['netns', 'del', name], { stdio: 'ignore' });
    return true;
  } catch {
    return false; // no root, or no `ip`
  }
}

const ip = (...words: readonly string[]): void => void execFileSync('ip', words, { stdio: 'pipe' });

interface Network extends Disposable {
  /** Starts a program on one of the machines. */
  start(machine: number, command: readonly string[], environment?: Readonly<Record<string, string>>): ChildProcess;
  /** Pulls a machine's wire out, or puts it back. */
  wire(machine: number, state: 'up' | 'down'): void;
}

/** Machines `10.77.0.1` and so on, on one switch that is in a namespace too. */
function openNetwork(machines: number): Network {
  const name = (machine: number | 'switch') => `ropeteam-${process.pid}-${machine}`;
  const made: string[] = [];
  const add = (machine: number | 'switch') => {
    ip('netns', 'add', name(machine));
    made.push(name(machine));
    ip('-n', name(machine), 'link', 'set', 'lo', 'up');
  };
  const close = () => {
    for (const namespace of made.splice(0)) ip('netns', 'del', namespace);
  };
  try {
    add('switch');
    ip('-n', name('switch'), 'link', 'add', 'bridge', 'type', 'bridge');
    ip('-n', name('switch'), 'link', 'set', 'bridge', 'up');
    for (let machine = 1; machine <= machines; machine++) {
      add(machine);
      ip(
        '-n',
        name(machine),
        'link',
        'add',
        'wire',
        'type',
        'veth',
        'peer',
        'name',
        `m${machine}`,
        'netns',
        name('switch'),
      );
      ip('-n', name(machine), 'addr', 'add', `10.77.0.${machine}/24`, 'dev', 'wire');
      ip('-n', name(machine), 'link', 'set', 'wire', 'up');
      ip('-n', name('switch'), 'link', 'set', `m${machine}`, 'master', 'bridge', 'up');
    }
  } catch (error) {
    close();
    throw error;
  }
  return {
    start: (machine, command, environment = {}) =>
      spawn('ip', ['netns', 'exec', name(machine), ...command], {
        env: { PATH: process.env.PATH, ...environment },
        stdio: ['ignore', 'pipe', 'pipe'],
      }),
    wire: (machine, state) => ip('-n', name('switch'), 'link', 'set', `m${machine}`, state),
    [Symbol.dispose]: close,
  };
}

/** Resolves when a line of either output has the text; rejects when the program ends before. */
function line(child: ChildProcess, text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const seen: string[] = [];
    for (const stream of [child.stdout, child.stderr]) {
      if (stream === null) continue;
      createInterface({ input: stream }).on('line', (words) => {
        seen.push(words);
        if (words.includes(text)) resolve();
      });
    }
    child.once('exit', (code) => reject(new Error(`ended with ${code} before "${text}":\n${seen.join('\n')}`)));
  });
}

test.skipIf(!mayMakeNamespaces() || !hasRedisServer)(
  'three workers on machines of their own, one cut off and healed: the weights of a calm run (needs ROPETEAM_TEST_NAMESPACES=1, root and ip)',
  { timeout: DEADLINE_MS, retry: 0 },
  async () => {
    const folder = await mkdtemp(join(tmpdir(), 'ropeteam-machines-'));
    const { folder: certs } = makeCertificates(join(folder, 'certs'), '10.77.0.1');
    using network = openNetwork(4);
    const children: ChildProcess[] = [];
    const start: Network['start'] = (...words) => {
      const child = network.start(...words);
      children.push(child);
      return child;
    };
    try {
      const redis = ['redis-server', '--bind', '10.77.0.1', '--port', '6379', '--requirepass', PASSWORD, '--save', ''];
      await line(start(1, [...redis, '--dir', folder]), 'Ready to accept connections');
      const environment = { ROPETEAM_REDIS_URL: `redis://:${PASSWORD}@10.77.0.1:6379` };
      const node = [process.execPath, MAIN];
      const grpc = '10.77.0.1:50051';
      const coordinator = ['--host', '10.77.0.1', '--tls', join(certs, 'coordinator'), '--runs', join(folder, 'runs')];
      await line(
        start(1, [...node, 'coordinator', '--grain', 'step', ...coordinator], environment),
        'coordinator_ready',
      );
      for (const machine of [2, 3, 4]) {
        const worker = ['--coordinator', grpc, '--name', `w${machine}`, '--tls', join(certs, 'worker')];
        await line(start(machine, [...node, 'worker', ...worker], environment), 'coordinator_joined');
      }
      const submit = ['submit', JOB, ...STEPS, '--watch', '--json', '--every-step'];
      const client = start(1, [...node, ...submit, '--coordinator', grpc, '--tls', join(certs, 'submitter')]);
      const told: string[] = [];
      let hash: string | undefined;
      if (client.stdout === null) throw new Error('its output is a pipe');
      for await (const text of createInterface({ input: client.stdout })) {
        const event = JSON.parse(text) as RunEvent;
        if (event.event === 'step_committed' && event.step === 50) network.wire(3, 'down');
        if (event.event === 'worker_lost' && event.worker === 'w3') network.wire(3, 'up');
        if (event.event === 'worker_lost' || event.event === 'worker_joined')
          told.push(`${event.event} ${event.worker}`);
        if (event.event === 'run_finished') hash = event.weightsSha256;
      }
      const healed = told.indexOf('worker_lost w3');
      expect(healed).toBeGreaterThanOrEqual(0);
      expect(told.slice(healed), 'it came back').toContain('worker_joined w3');
      const calm = execFileSync(
        process.execPath,
        [MAIN, 'train', JOB, ...STEPS, '--json', '--out', join(folder, 'calm')],
        {
          encoding: 'utf8',
          stdio: ['ignore', 'pipe', 'ignore'],
        },
      );
      const last = JSON.parse(calm.trimEnd().split('\n').at(-1) ?? '') as RunEvent;
      expect(last.event === 'run_finished' ? last.weightsSha256 : last).toBe(hash);
    } finally {
      for (const child of children.reverse()) {
        if (child.exitCode !== null || child.signalCode !== null) continue;
        const exit = once(child, 'exit');
        child.kill('SIGTERM');
        await exit;
      }
      await rm(folder, { recursive: true, force: true });
    }
  },
);
