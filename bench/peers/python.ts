/** The Python beside this checkout's scripts: data for all, and the peers that are written in it. */
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { Contestant, Outcome, Workload } from './outcome.js';

const run = promisify(execFile);

/** The checkout's folder of scripts, from dist/bench/peers/. */
const SCRIPTS = fileURLToPath(new URL('../../../bench/peers/', import.meta.url));

/** The system's first: Debian's packages are there. */
const PYTHONS = ['/usr/bin/python3', 'python3'] as const;
const DEADLINE_MS = 300_000;

export interface Python {
  /** Which of the modules it can import. */
  readonly modules: ReadonlySet<string>;
  run(script: string, args: readonly string[]): Promise<string>;
}

/** The first Python with numpy. */
export async function findPython(): Promise<Python | undefined> {
  for (const python of PYTHONS) {
    const modules = await modulesOf(python);
    if (!modules.has('numpy')) continue;
    return {
      modules,
      run: async (script, args) => {
        const { stdout } = await run(python, [join(SCRIPTS, script), ...args], { timeout: DEADLINE_MS });
        return stdout;
      },
    };
  }
  return undefined;
}

async function modulesOf(python: string): Promise<ReadonlySet<string>> {
  const look = 'import importlib.util as u; print(*(m for m in ("numpy", "torch", "sklearn") if u.find_spec(m)))';
  const found = await run(python, ['-c', look]).catch(() => undefined); // no such Python
  return new Set(found?.stdout.trim().split(' '));
}

interface Definition {
  readonly layers: readonly [number, ...number[]];
  readonly batch: number;
  readonly optimizer: Workload['optimizer'];
  readonly learningRate: number;
  readonly warmup?: number;
  readonly steps?: number;
  readonly epochs?: number;
}

export async function definitions(): Promise<ReadonlyMap<string, Definition>> {
  const text = await readFile(join(SCRIPTS, 'workloads.json'), 'utf8');
  return new Map(Object.entries(JSON.parse(text) as Record<string, Definition>));
}

/** Writes a workload's files. */
export async function makeWorkload(python: Python, name: string, given: Definition, into: string): Promise<Workload> {
  const folder = join(into, name);
  await python.run('workloads.py', [name, folder]);
  const { layers, batch, optimizer, learningRate, warmup = 0, steps = 0, epochs } = given;
  const limit =
    epochs === undefined ? ({ kind: 'steps', warmup, steps } as const) : ({ kind: 'epochs', epochs } as const);
  return { name, layers, batch, optimizer, learningRate, limit, folder };
}

export function pythonPeers(python: Python): readonly Contestant[] {
  const outcome = async (script: string, { name, folder }: Workload, args: readonly string[]): Promise<Outcome> =>
    JSON.parse(await python.run(script, [name, folder, ...args])) as Outcome;
  const torch = (name: string, processes: number, threads: number, more: readonly string[] = []): Contestant => ({
    name,
    kind: processes === 1 ? 'one process' : 'several processes',
    run: (workload) =>
      outcome('torch_peer.py', workload, ['--processes', String(processes), '--threads', String(threads), ...more]),
  });
  return [
    ...(python.modules.has('torch')
      ? [
          torch('torch 1x1', 1, 1),
          torch('torch 1x2', 1, 2),
          torch('torch DDP 2x1', 2, 1),
          torch('torch DDP 2x1, pinned', 2, 1, ['--pin']),
        ]
      : []),
    ...(python.modules.has('sklearn')
      ? [
          {
            name: 'scikit-learn',
            kind: 'one process' as const,
            run: (workload: Workload) => outcome('sklearn_peer.py', workload, []),
          },
        ]
      : []),
  ];
}
