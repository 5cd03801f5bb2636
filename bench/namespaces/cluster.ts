/** Coordinator, Redis and workers, each in its namespace; started from within the coordinator's. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { connectClient } from '#protocol';
import { type RunEvent, runId } from '#training';
import type { TestJob } from '../../test/support/cluster.js';
import { hostsOf } from './network.js';

const SERVICES = fileURLToPath(new URL('../../services/', import.meta.url));
const READY_MS = 20_000;
const RUN_DEADLINE_MS = 240_000;

export interface Measured {
  readonly events: readonly RunEvent[];
  /** Bytes on the coordinator's link while the run lasted, headers and all. */
  readonly sent: number;
  readonly received: number;
}

export interface NamespaceCluster extends AsyncDisposable {
  measure(job: TestJob, stopped: AbortSignal): Promise<Measured>;
}

/** @param extra options of the coordinator and the workers, for example `--insecure` */
export async function startNamespaceCluster(
  prefix: string,
  workerCount: number,
  extra: readonly string[],
): Promise<NamespaceCluster> {
  const { coordinator, workers } = hostsOf(prefix, workerCount);
  const directory = await mkdtemp(join(tmpdir(), 'ropeteam-namespaces-'));
  const redisUrl = `redis://${coordinator.address}:6379`;
  const children: ChildProcess[] = [];
  const close = async (): Promise<void> => {
    for (const child of children.reverse()) await end(child);
    await rm(directory, { recursive: true, force: true });
  };
  const service = async (namespace: string | undefined, name: string, args: readonly string[]) => {
    const words = [join(SERVICES, name, 'src/main.js'), ...args, '--log-level', 'warn', ...extra];
    // `ip netns exec` becomes the program it is given: the channel and the process id are the service's own.
    const child = spawn(
      namespace === undefined ? process.execPath : 'ip',
      namespace === undefined ? words : ['netns', 'exec', namespace, process.execPath, ...words],
      {
        stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
        env: { ...process.env, ROPETEAM_REDIS_URL: redisUrl },
      },
    );
    children.push(child);
    const [message] = await within(name, once(child, 'message'), child);
    return message as { readonly grpc: string }; // both ends are of one build
  };
  try {
    const redis = spawn(
      'redis-server',
      ['--bind', coordinator.address, '--port', '6379', '--protected-mode', 'no', '--save', '', '--dir', directory],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    );
    children.push(redis);
    await within('redis-server', untilItSays(redis, 'Ready to accept connections'), redis);
    const listens = ['--host', coordinator.address, '--port', '50051', '--http-port', '0'];
    // Namespaces made for this, which nobody else reaches.
    const kernel = ['--kernel', 'wasm', '--insecure'];
    const runs = join(directory, 'runs');
    const { grpc } = await service(undefined, 'coordinator', [
      ...listens,
      '--runs',
      runs,
      '--grain',
      'step',
      ...kernel,
    ]);
    for (const [index, host] of workers.entries()) {
      await service(host.name, 'worker', ['--coordinator', grpc, '--name', `w${index}`, '--threads', '1', ...kernel]);
    }
    const client = connectClient(grpc);
    let runCount = 0;
    return {
      async measure({ text, files }, stopped) {
        const run = runId(`measured-${runCount++}`);
        const before = await carried();
        const uploads = Object.entries(files).map(([path, absolutePath]) => ({ path, absolutePath }));
        await client.submit({ jobText: text, jobFile: 'job.yaml', files: uploads, runId: run });
        let last: RunEvent | undefined;
        const patience = AbortSignal.any([stopped, AbortSignal.timeout(RUN_DEADLINE_MS)]);
        for await (const event of client.watch(run, 0, patience, 'sampled')) {
          last = event;
          if (event.event === 'worker_lost') process.stderr.write(`${event.worker} was lost: ${event.reason}\n`);
        }
        if (last?.event !== 'run_finished') throw new Error(`the run ended with ${JSON.stringify(last)}`);
        const after = await carried();
        const lines = (await readFile(join(runs, run, 'events.ndjson'), 'utf8')).trimEnd().split('\n');
        return {
          events: lines.map((line) => JSON.parse(line) as RunEvent),
          sent: after.sent - before.sent,
          received: after.received - before.received,
        };
      },
      async [Symbol.asyncDispose]() {
        client.close();
        await close();
      },
    };
  } catch (error) {
    await close();
    throw error;
  }
}

/** What the one link of this namespace has carried so far. */
async function carried(): Promise<{ readonly sent: number; readonly received: number }> {
  const line = (await readFile('/proc/net/dev', 'utf8'))
    .split('\n')
    .find((text) => text.trimStart().startsWith('eth0:'));
  const fields = line?.split(':')[1]?.trim().split(/\s+/).map(Number);
  if (fields === undefined) throw new Error('this is not the namespace of a coordinator: it has no eth0');
  return { received: fields[0] ?? 0, sent: fields[8] ?? 0 };
}

async function untilItSays(child: ChildProcess, words: string): Promise<void> {
  let said = '';
  for await (const chunk of child.stdout ?? []) {
    said += String(chunk);
    if (said.includes(words)) break;
  }
  child.stdout?.resume();
}

async function within<Value>(name: string, ready: Promise<Value>, child: ChildProcess): Promise<Value> {
  const ended = once(child, 'exit').then(([code]) =>
    Promise.reject(new Error(`${name} ended with ${code} at its start`)),
  );
  const late = AbortSignal.timeout(READY_MS);
  const tooLate = once(late, 'abort').then(() => Promise.reject(new Error(`${name} was not ready in ${READY_MS} ms`)));
  tooLate.catch(() => undefined); // it comes when nobody waits any more, too
  ended.catch(() => undefined);
  return Promise.race([ready, ended, tooLate]);
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, 'exit');
  child.kill('SIGKILL');
  await gone;
}
