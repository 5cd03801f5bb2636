/** Debian's Prometheus for tests: unpacked into the user's cache without root, started on a free port, asked over HTTP. */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rename, rm } from 'node:fs/promises';
import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';
import { canFetchDebianPackage, unpackDebianPackages } from '../../packages/queues/src/redis/debian-package.js';
import { freePort } from './free-port.js';

const run = promisify(execFile);

export interface PrometheusPrograms {
  readonly prometheus: string;
  readonly promtool: string;
}

/** The installed programs, the cached ones, or ones fetched now; undefined, with a loud reason, where none can be had. */
export async function findPrometheus(): Promise<PrometheusPrograms | undefined> {
  const searchPath = process.env.PATH ?? '';
  const cache = join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'ropeteam');
  const copy = join(cache, 'prometheus-v1');
  const folders = [...searchPath.split(delimiter), join(copy, 'usr/bin')];
  const find = (): PrometheusPrograms | undefined => {
    const folder = folders.find((one) => ['prometheus', 'promtool'].every((name) => existsSync(join(one, name))));
    return folder === undefined
      ? undefined
      : { prometheus: join(folder, 'prometheus'), promtool: join(folder, 'promtool') };
  };
  if (find() === undefined && !process.env.ROPETEAM_NO_FETCH && (await canFetchDebianPackage(searchPath))) {
    await mkdir(cache, { recursive: true });
    const work = await mkdtemp(join(cache, '.fetching-prometheus-'));
    try {
      await unpackDebianPackages(work, ['prometheus'], { searchPath });
      if (!existsSync(copy)) await rename(work, copy);
    } catch (error) {
      process.stderr.write(`! Prometheus could not be fetched: ${String(error)}\n`);
    } finally {
      await rm(work, { recursive: true, force: true });
    }
  }
  const programs = find();
  if (programs === undefined) {
    process.stderr.write('! no Prometheus: rules and queries are NOT tested. fix: apt-get install prometheus\n');
  }
  return programs;
}

/** What promtool says, and whether it is content. */
export async function promtool(
  { promtool: program }: PrometheusPrograms,
  args: readonly string[],
  input?: string,
): Promise<{ readonly passed: boolean; readonly output: string }> {
  const running = run(program, [...args]);
  running.child.stdin?.end(input ?? '');
  try {
    const { stdout, stderr } = await running;
    return { passed: true, output: stdout + stderr };
  } catch (error) {
    const said = error instanceof Error && 'stdout' in error && 'stderr' in error ? error : undefined;
    if (said === undefined) throw error;
    return { passed: false, output: `${said.stdout}${said.stderr}` };
  }
}

export interface Sample {
  readonly metric: Readonly<Record<string, string>>;
  readonly value: number;
}

export interface RunningPrometheus extends AsyncDisposable {
  query(expression: string): Promise<readonly Sample[]>;
}

/** @param folder with `prometheus.yml`; its data goes there too */
export async function startPrometheus(programs: PrometheusPrograms, folder: string): Promise<RunningPrometheus> {
  const address = `127.0.0.1:${await freePort()}`;
  const child: ChildProcess = spawn(
    programs.prometheus,
    [
      `--config.file=${join(folder, 'prometheus.yml')}`,
      `--storage.tsdb.path=${join(folder, 'data')}`,
      `--web.listen-address=${address}`,
      '--log.level=error',
    ],
    { stdio: ['ignore', 'ignore', 'inherit'] },
  );
  return {
    async query(expression) {
      const url = `http://${address}/api/v1/query?query=${encodeURIComponent(expression)}`;
      const response = await fetch(url).catch(() => undefined); // not up yet: the caller asks again
      if (response === undefined || response.status === 503) return [];
      const { status, error, data }: Answer = JSON.parse(await response.text());
      if (status !== 'success') throw new Error(`${expression}: ${error}`);
      return (data?.result ?? []).map(({ metric, value }) => ({ metric, value: Number(value[1]) }));
    },
    async [Symbol.asyncDispose]() {
      if (child.exitCode !== null) return;
      const exit = once(child, 'exit');
      child.kill('SIGTERM');
      await exit;
    },
  };
}

interface Answer {
  readonly status: string;
  readonly error?: string;
  readonly data?: {
    readonly result: readonly { readonly metric: Sample['metric']; readonly value: readonly [number, string] }[];
  };
}
