/** `ropeteam bench`: a benchmark of the project in a process of its own, where nothing else of the command runs. */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { constants } from 'node:os';
import { fileURLToPath } from 'node:url';
import { RopeteamError } from '#training';
import type { Context } from '../context.js';

export type BenchmarkName = 'kernel' | 'step';

export interface BenchOptions {
  readonly json: boolean;
  /** Of `kernel`. */
  readonly quick: boolean;
  /** Of `step`. */
  readonly repeats?: number;
}

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

/** @throws RopeteamError for an option of the other benchmark */
function argumentsOf(name: BenchmarkName, { json, quick, repeats }: BenchOptions): readonly string[] {
  const misplaced =
    name === 'kernel' ? (repeats === undefined ? undefined : '--repeats') : quick ? '--quick' : undefined;
  if (misplaced !== undefined) {
    const other = name === 'kernel' ? 'step' : 'kernel';
    throw new RopeteamError('USAGE.ARGUMENT', { argument: misplaced }, `${misplaced} is an option of bench ${other}`, {
      hint: `ropeteam bench ${other} ${misplaced}${misplaced === '--repeats' ? ' 3' : ''}`,
    });
  }
  return [
    ...(json ? ['--json'] : []),
    ...(quick ? ['--quick'] : []),
    ...(repeats === undefined ? [] : ['--repeats', String(repeats)]),
  ];
}

/** The compiled benchmark. A path, not an import: nothing imports benchmarks. */
function scriptOf(name: BenchmarkName): string {
  const urls = {
    kernel: new URL('../../../bench/kernel.js', import.meta.url),
    step: new URL('../../../bench/step-overhead.js', import.meta.url),
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
