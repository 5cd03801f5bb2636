/** `ropeteam bench`: a benchmark of the project in a process of its own, where nothing else of the command runs. */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { constants } from 'node:os';
import { fileURLToPath } from 'node:url';
import { RopeteamError } from '#training';
import type { Context } from '../context.js';

export type BenchmarkName = 'kernel' | 'step' | 'peers';

export interface BenchOptions {
  readonly json: boolean;
  readonly quick: boolean;
  readonly markdown: boolean;
  readonly repeats?: number;
  readonly only?: string;
}

/** What each benchmark understands besides `--json`. */
const UNDERSTOOD: Readonly<Record<BenchmarkName, readonly (keyof BenchOptions)[]>> = {
  kernel: ['quick', 'only'],
  step: ['repeats'],
  peers: ['quick', 'only', 'repeats', 'markdown'],
};

/** Runs the benchmark with our own terminal and returns its exit code. A goal that is missed is said, not failed. */
export async function bench(name: BenchmarkName, options: BenchOptions, context: Context): Promise<number> {
  const args = argumentsOf(name, options);
  const script = scriptOf(name);
  if (!existsSync(script)) {
    throw new RopeteamError('ENVIRONMENT.PROCESS', { process: `bench ${name}` }, `${script} is not there`, {
      hint: 'benchmarks are part of a checkout: clone the project and build it with `npm run build`',
    });
  }
  const { interrupts, environment, terminal } = context;
  interrupts.orderly.throwIfAborted();
  const child = spawn(process.execPath, ['--enable-source-maps', script, ...args], {
    env: { ...environment.forServices },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true, // out of the terminal's group: a signal then comes once, from here
  });
  child.stdout.setEncoding('utf8').on('data', lineByLine(terminal.result));
  child.stderr.setEncoding('utf8').on('data', lineByLine(terminal.say));
  const stop = (): void => void child.kill('SIGTERM');
  const kill = (): void => void child.kill('SIGKILL');
  interrupts.orderly.addEventListener('abort', stop, { once: true });
  interrupts.immediate.addEventListener('abort', kill, { once: true });
  process.once('exit', kill);
  try {
    const exitCode = await new Promise<number>((resolve, reject) => {
      child.once('close', (code, signal) => resolve(signal === null ? (code ?? 1) : 128 + constants.signals[signal]));
      child.once('error', (cause) => {
        const facts = { process: `bench ${name}` };
        const hint = 'check that this user may start processes (ulimit -u)';
        const message = `bench ${name} could not be started: ${cause.message}`;
        reject(new RopeteamError('ENVIRONMENT.PROCESS', facts, message, { hint, cause }));
      });
    });
    interrupts.orderly.throwIfAborted();
    return exitCode;
  } finally {
    interrupts.orderly.removeEventListener('abort', stop);
    interrupts.immediate.removeEventListener('abort', kill);
    process.off('exit', kill);
  }
}

/** @throws RopeteamError for an option of another benchmark */
function argumentsOf(name: BenchmarkName, { json, ...options }: BenchOptions): readonly string[] {
  const given = Object.entries(options).filter(([, value]) => value !== undefined && value !== false);
  for (const [option] of given) {
    if (UNDERSTOOD[name].some((understood) => understood === option)) continue;
    const others = Object.entries(UNDERSTOOD).filter(([, understood]) => understood.some((one) => one === option));
    const message = `--${option} is no option of bench ${name}`;
    throw new RopeteamError('USAGE.ARGUMENT', { argument: `--${option}` }, message, {
      hint: `it is one of bench ${others.map(([other]) => other).join(' and bench ')}`,
    });
  }
  const words = given.flatMap(([option, value]) => (value === true ? [`--${option}`] : [`--${option}`, String(value)]));
  return [...(json ? ['--json'] : []), ...words];
}

/** The compiled benchmark. A path, not an import: nothing imports benchmarks. */
function scriptOf(name: BenchmarkName): string {
  const urls = {
    kernel: new URL('../../../bench/kernel.js', import.meta.url),
    step: new URL('../../../bench/step-overhead.js', import.meta.url),
    peers: new URL('../../../bench/peers.js', import.meta.url),
  } as const;
  return fileURLToPath(urls[name]);
}

/** Hands on whole lines, since a terminal takes those, and what is left when the stream ends with a newline is nothing. */
function lineByLine(write: (text: string) => void): (chunk: string) => void {
  let rest = '';
  return (chunk) => {
    const lines = (rest + chunk).split('\n');
    rest = lines.pop() ?? '';
    if (lines.length > 0) write(lines.join('\n'));
  };
}
