/** The options that several commands share, and how their values are read. */
import { type Command, InvalidArgumentError, Option } from 'commander';
import type { KernelChoice } from '#engine';
import { GRAIN_CHOICES, type RunId, runId } from '#training';
import { DEFAULT_PORT } from '../default-ports.js';

/** Hears the exit code of the command that ran. */
export type OnExit = (exitCode: number) => void;

export const LOCAL = 'Train on this machine:';
export const MODEL = 'Use a trained model:';
export const REMOTE = 'Work with a running coordinator:';
export const HELP = 'Get ready, find out:';
export const SERVICE = 'Run one service (what containers do):';

export interface CommandWords {
  readonly group: string;
  readonly description: string;
  /** What follows `ropeteam` in the help's example. */
  readonly example: string;
}

/** Commander keeps examples as text to print; whoever describes a command elsewhere needs them as they are. */
const examples = new WeakMap<Command, string>();

/** Adds a command with its description and example. */
export function addCommand(program: Command, name: string, { group, description, example }: CommandWords): Command {
  const command = program
    .command(name)
    .helpGroup(group)
    .description(description)
    .addHelpText('after', `\nExample:\n  ropeteam ${example}`);
  examples.set(command, example);
  return command;
}

/** What follows `ropeteam` in the example of a command's help. */
export const exampleOf = (command: Command): string | undefined => examples.get(command);

/** `--set`, `--seed` and `--init-from`. */
export function addJobChanges(to: Command): Command {
  return to
    .addOption(setOption())
    .option('--seed <n>', 'the same as --set train.seed=<n>', wholeNumber(0, Number.MAX_SAFE_INTEGER))
    .option('--init-from <file>', 'start from the weights of a safetensors file');
}

export function setOption(): Option {
  const gather = (text: string, before: readonly string[]): readonly string[] => [...before, text];
  return new Option('--set <key=value>', 'change a setting of the job; may be repeated').argParser(gather).default([]);
}

/** Not the seed of the job. */
export function faultSeedOption(): Option {
  const description = 'which faults, when, and to whom: the same again with the same';
  return new Option('--seed <n>', description).argParser(wholeNumber(0, Number.MAX_SAFE_INTEGER)).default(1);
}

/** The same as a setting of the job, under the name users of other tools look for. */
export function saveEveryOption(): Option {
  const description = 'also a checkpoint every so many steps, and keep it';
  return new Option('--save-every <steps>', description).argParser(wholeNumber(1, 1_000_000_000));
}

/** A switch, `false` unless it is given. */
export function flag(flags: string, description: string): Option {
  return new Option(flags, description).default(false);
}

export function jsonFlag(description: string): Option {
  return flag('--json', description);
}

export function everyStepFlag(): Option {
  return flag('--every-step', 'with --json: every step, not ten a second');
}

export function workersOption(): Option {
  return new Option('--workers <n>', 'worker processes').argParser(wholeNumber(1, 256)).default(1);
}

export function threadsOption(): Option {
  const description = 'kernel threads per worker (default: the cores shared out)';
  return new Option('--threads <n>', description).argParser(wholeNumber(1, 1024));
}

/** Written out, so that `--help` need not load the engine; the type keeps it complete. */
export const kernelChoices = Object.keys({
  wasm: true,
  js: true,
  'wasm-fma': true,
  blas: true,
  auto: true,
} satisfies Record<KernelChoice, true>);

export function kernelOption(): Option {
  const description = 'what computes: wasm and js have the same bits, wasm-fma, blas and auto are faster';
  return new Option('--kernel <name>', description).choices(kernelChoices).default('wasm');
}

export function grainOption(): Option {
  const description = 'blocks of each step for all workers, or runs of whole steps for one';
  return new Option('--grain <choice>', description).choices([...GRAIN_CHOICES]).default('auto');
}

/** As the services read it: `500MB`, `2GiB`. */
function sizeOption(flags: string, description: string): Option {
  return new Option(flags, description).argParser((text: string) => {
    if (/^\d+(\.\d+)? ?([KMG]i?B|)$/.test(text)) return text;
    throw new InvalidArgumentError('It must be a size such as 500MB, 2GiB or 1048576.');
  });
}

export function dataMemoryOption(): Option {
  return sizeOption(
    '--data-memory <size>',
    'rows each worker holds at the most (default: 192 MiB, or 1/8 of the memory)',
  );
}

export function dataCacheSizeOption(): Option {
  return sizeOption('--data-cache-size <size>', 'prepared data kept for later runs (default: 20GB; 0: none)');
}

export function outOption(): Option {
  return new Option('--out <dir>', 'folder of the runs').default('runs');
}

export function portOption(flags: string, description: string, defaultPort: number): Option {
  return new Option(flags, `${description}, 0 for any free one`).argParser(wholeNumber(0, 65_535)).default(defaultPort);
}

export function redisOption(): Option {
  return new Option('--redis-url <url>', 'the Redis to use; ROPETEAM_REDIS_URL keeps its password out of `ps`');
}

export function recomputeOption(): Option {
  const description = 'compute so many steps again and compare the bits';
  return new Option('--recompute <steps>', description).argParser(wholeNumber(1, 1_000_000_000));
}

export function repeatsOption(): Option {
  return new Option('--repeats <n>', 'of step and peers: turns of each (default: 3, and 5)').argParser(
    wholeNumber(1, 100),
  );
}

export function coordinatorOption(): Option {
  const otherwise = `default: ROPETEAM_COORDINATOR, else 127.0.0.1:${DEFAULT_PORT}`;
  return new Option('--coordinator <host:port>', `whom to talk to (${otherwise})`);
}

export function tlsOption(): Option {
  return new Option('--tls <dir>', 'folder of `certs init` to sign in with (default: ROPETEAM_TLS)');
}

export function insecureOption(): Option {
  return flag('--insecure', 'talk in plaintext to another machine, in a network you trust');
}

export function runIdOption(): Option {
  return new Option('--run-id <id>', 'name of the run (default: from the name of the job)').argParser(parseRunId);
}

export function parseRunId(text: string): RunId {
  try {
    return runId(text);
  } catch (error) {
    throw new InvalidArgumentError(error instanceof Error ? error.message : String(error));
  }
}

export function wholeNumber(least: number, most: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (/^\d+$/.test(text) && value >= least && value <= most) return value;
    throw new InvalidArgumentError(`It must be a whole number from ${least} to ${most}.`);
  };
}
