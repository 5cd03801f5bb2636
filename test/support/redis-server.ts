/** A Redis of a test's own on a fixed port: killed, started again with or without what it had, copied, frozen. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { Redis } from 'ioredis';
import { freePort } from './free-port.js';

/** Is there a program to start? One that was fetched by the product comes without a way to say what it keeps. */
export const hasRedisServer = spawnSync('redis-server', ['--version']).status === 0;

export interface RedisServer extends AsyncDisposable {
  readonly url: string;
  /** `host:port` */
  readonly address: string;
  /** One connection for one errand. */
  ask<Answer>(errand: (client: Redis) => Promise<Answer>): Promise<Answer>;
  /** SIGKILL; resolves when it is gone. */
  kill(): Promise<void>;
  /** Starts it again, with what is on its disk. */
  start(): Promise<void>;
  signal(signal: 'SIGSTOP' | 'SIGCONT'): void;
  /** Another server, on another port, with what this one holds now: a replica that hears of nothing later. */
  copy(): Promise<RedisServer>;
}

/** @param settings lines of redis.conf as arguments: `['--appendonly', 'yes']` */
export async function startRedisServer(settings: readonly string[], from?: string): Promise<RedisServer> {
  const directory = await mkdtemp(join(tmpdir(), 'ropeteam-redis-'));
  if (from !== undefined) await cp(from, directory, { recursive: true });
  const port = await freePort();
  let process: ChildProcess | undefined;
  const url = `redis://127.0.0.1:${port}`;

  const start = async (): Promise<void> => {
    const args = ['--port', `${port}`, '--bind', '127.0.0.1', '--dir', directory, '--save', '', ...settings];
    const child = spawn('redis-server', args, { stdio: ['ignore', 'pipe', 'inherit'] });
    process = child;
    const ready = new Promise<void>((resolve) => {
      createInterface({ input: child.stdout }).on('line', (line) => {
        if (line.includes('Ready to accept connections')) resolve();
      });
    });
    const ended = once(child, 'exit').then(([code]) => Promise.reject(new Error(`redis-server ended with ${code}`)));
    ended.catch(() => undefined); // its end later on is what the test wants
    await Promise.race([ready, ended]);
  };
  const kill = async (): Promise<void> => {
    if (process === undefined || process.exitCode !== null || process.signalCode !== null) return;
    const exit = once(process, 'exit');
    process.kill('SIGKILL');
    await exit;
  };
  const ask = async <Answer>(errand: (client: Redis) => Promise<Answer>): Promise<Answer> => {
    const client = new Redis(url);
    try {
      return await errand(client);
    } finally {
      client.disconnect();
    }
  };
  await start();
  return {
    url,
    address: `127.0.0.1:${port}`,
    ask,
    kill,
    start,
    signal: (signal) => void process?.kill(signal),
    copy: async () => {
      const copies = join(directory, 'copy');
      await mkdir(copies);
      await ask((client) => client.save());
      await cp(join(directory, 'dump.rdb'), join(copies, 'dump.rdb'));
      return startRedisServer([], copies);
    },
    [Symbol.asyncDispose]: async () => {
      await kill();
      await rm(directory, { recursive: true, force: true });
    },
  };
}
