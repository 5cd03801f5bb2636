/** What `doctor` looks at. A check reports what it found, also where what it looks for is broken or missing. */
import { access, constants, mkdtemp, open, rm, statfs } from 'node:fs/promises';
import { createServer } from 'node:net';
import { availableParallelism } from 'node:os';
import { dirname, join } from 'node:path';
import { type KernelName, KernelUnavailableError, kernelSelfTest } from '#engine';
import { limitReached, type ProcessLimits, readProcessLimits } from '#limits';
import { findRedis, type RedisFinding } from '#queues';
import { RopeteamError } from '#training';
import type { Environment } from './environment.js';
import { formatBytes, formatMilliseconds, plural } from './plain-numbers.js';

export interface Finding {
  readonly subject: string;
  readonly status: 'ok' | 'warning' | 'problem';
  /** What is there, in words. */
  readonly found: string;
  /** What to do about a warning or a problem. */
  readonly fix?: string;
}

/** Versions 20 and 21 are past the end of their maintenance (April 2026, June 2024). */
const LEAST_NODE_WITH_FIXES = 22;
const MB = 1e6;
const GB = 1e9;
/** An fsync of a healthy disk takes a few milliseconds; every checkpoint and many ledger records wait for one. */
const SLOW_FSYNC_MS = 50;
const FSYNC_TRIES = 3;

export function checkNode(version: string): Finding {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  if (major >= LEAST_NODE_WITH_FIXES) return ok('Node', version);
  if (major > 20 || (major === 20 && minor >= 19)) {
    const found = `${version}, which gets no security fixes any more`;
    return { subject: 'Node', status: 'warning', found, fix: 'install Node 22 or 24 from https://nodejs.org' };
  }
  return {
    subject: 'Node',
    status: 'problem',
    found: version,
    fix: 'install Node 20.19 or newer from https://nodejs.org',
  };
}

export function checkCores(): Finding {
  return ok('cores', plural(availableParallelism(), 'core'));
}

/** @param available bytes this process may still take, container limits included */
export function checkMemory(available = process.availableMemory()): Finding {
  const found = `${formatBytes(available)} available`;
  if (available >= GB) return ok('memory', found);
  const fix = 'end other programs or raise the container limit; `ropeteam validate JOB` says what a job needs';
  return { subject: 'memory', status: available < 256 * MB ? 'problem' : 'warning', found, fix };
}

/** Below this a few dozen workers come to the limit. */
const ROOMY_OPEN_FILES = 1024;
/** A process with an engine reserves some 10 GiB for it, and Node itself the rest. */
const LEAST_ADDRESS_SPACE = 24 * 2 ** 30;

/** What a shell, a unit or a container grants a process; on Linux. */
export function checkLimits({ openFiles, addressSpace }: ProcessLimits = readProcessLimits()): Finding {
  const subject = 'limits';
  const files = openFiles === undefined ? 'any number of' : String(openFiles);
  const space = addressSpace === undefined ? 'any' : `${(addressSpace / 2 ** 30).toFixed(1)} GiB of`;
  const found = `${files} open files, ${space} address space`;
  if (addressSpace !== undefined && addressSpace < LEAST_ADDRESS_SPACE) {
    return { subject, status: 'problem', found, fix: 'lift it: `ulimit -v unlimited`; each engine reserves 10 GiB' };
  }
  if (openFiles !== undefined && openFiles < ROOMY_OPEN_FILES) {
    return { subject, status: 'warning', found, fix: 'raise it before a run of many workers: `ulimit -n 1024`' };
  }
  return ok(subject, found);
}

/** Room and honesty of the disk that runs are kept on. Nothing stays there, not even the folder. */
export async function checkDisk(runsDirectory: string): Promise<Finding> {
  const subject = 'disk';
  const folder = await nearestExisting(runsDirectory);
  try {
    const { bavail, bsize } = await statfs(folder);
    const free = bavail * bsize;
    const fsyncMs = await measureFsync(folder);
    const found = `${formatBytes(free)} free in ${folder}, fsync ${formatMilliseconds(fsyncMs)} ms`;
    if (free < 100 * MB)
      return { subject, status: 'problem', found, fix: 'make room, or name another place with --out DIR' };
    if (free < GB) return { subject, status: 'warning', found, fix: 'make room before a long run, or use --out DIR' };
    if (fsyncMs <= SLOW_FSYNC_MS) return ok(subject, found);
    return {
      subject,
      status: 'warning',
      found,
      fix: 'keep runs on a faster disk with --out DIR: saving a checkpoint waits for this one',
    };
  } catch (error) {
    const fix = 'choose a folder this user may write to with --out DIR';
    return { subject, status: 'problem', found: `${folder} cannot be written: ${messageOf(error)}`, fix };
  }
}

/** Any port of the loopback address, and the two that `up` takes. */
export async function checkPorts(wanted: readonly number[]): Promise<Finding> {
  const subject = 'ports';
  const free = await bindError(0);
  if (free !== undefined) {
    const fix = 'allow this user to listen on 127.0.0.1 (firewall, sandbox)';
    return { subject, status: 'problem', found: `127.0.0.1 refuses to listen: ${free}`, fix };
  }
  const errors = await Promise.all(wanted.map(bindError));
  const taken = wanted.filter((_port, index) => errors[index] !== undefined);
  if (taken.length === 0) return ok(subject, `127.0.0.1 can be bound, ${wanted.join(' and ')} are free`);
  const fix = '`train` is not affected; give `up` others with --port and --http-port';
  return { subject, status: 'warning', found: `${taken.join(' and ')} in use on 127.0.0.1`, fix };
}

export interface RedisCheck {
  readonly environment: Environment;
  readonly redisUrl?: string;
  readonly signal: AbortSignal;
}

/** The Redis that `train` would use. Nothing is started or fetched for this. */
export async function checkRedis({ environment, redisUrl, signal }: RedisCheck): Promise<Finding> {
  const { allowFetch, cacheDirectory } = environment;
  try {
    const named = redisUrl === undefined ? {} : { url: redisUrl };
    return describeRedis(await findRedis({ ...named, allowFetch, cacheDirectory, signal }));
  } catch (error) {
    const hint = error instanceof RopeteamError ? error.hint : undefined;
    return {
      subject: 'Redis',
      status: 'problem',
      found: messageOf(error),
      fix: hint ?? 'name another with --redis-url',
    };
  }
}

export function describeRedis(finding: RedisFinding): Finding {
  const subject = 'Redis';
  switch (finding.kind) {
    case 'url':
      return ok(subject, `${finding.engine} ${finding.version} at ${finding.displayUrl}, nothing is evicted`);
    case 'program':
      return ok(subject, `${finding.engine} ${finding.version} (${finding.path}), started privately for each run`);
    case 'fetch':
      return ok(subject, `none installed; ${finding.distribution}'s redis-server (1.4 MB) is fetched on first use`);
    case 'javascript':
      return {
        subject,
        status: 'warning',
        found: 'none; the embedded JavaScript one is 5 to 20 times slower',
        fix: finding.hint,
      };
    default:
      return finding satisfies never;
  }
}

/** Slower than plain loops on a ten year old machine: something is in the way. */
const SLOW_GFLOPS = 1;

/** What each kernel is for, so that the list explains itself. */
const kernelNotes: Readonly<Record<KernelName, string>> = {
  wasm: 'default, bits as on every machine',
  js: 'the readable twin, bits as on every machine',
  'wasm-fma': 'bits as on every machine that has it',
  blas: 'bits as with this library on this type of processor',
};

/** Every kernel: is it there, does it compute what it must, how fast. Only `wasm` and `js` have to be there. */
export async function checkKernels(blasLibrary?: string): Promise<readonly Finding[]> {
  const findings: Finding[] = [];
  // One after the other: their speed is only worth saying when nothing else runs.
  for (const name of ['wasm', 'js', 'wasm-fma', 'blas'] as const) findings.push(await checkKernel(name, blasLibrary));
  return findings;
}

/** Right bits, and how fast: the kernel computes a gradient that is known. */
export async function checkKernel(name: KernelName, blasLibrary?: string): Promise<Finding> {
  const subject = `kernel ${name}`;
  try {
    const { id, ok: isRight, gflops } = await kernelSelfTest(name, blasLibrary);
    const found = `${id}, ${gflops.toFixed(1)} GFLOP/s a thread`;
    if (!isRight) {
      const fix = 'update Node; do not compare weights from this kernel here with others, and please report it';
      return { subject, status: 'problem', found: `${found}, but with other results than it must have`, fix };
    }
    if (gflops >= SLOW_GFLOPS || name === 'js') return ok(subject, `${found}, ${kernelNotes[name]}`);
    const fix = 'end other programs, or check that this machine is not throttled';
    return { subject, status: 'warning', found, fix };
  } catch (error) {
    const limit = limitReached(error);
    if (limit !== undefined)
      return { subject, status: 'problem', found: limit.message, ...(limit.hint && { fix: limit.hint }) };
    if (!(error instanceof KernelUnavailableError)) throw error;
    const status = name === 'wasm' || name === 'js' ? 'problem' : 'warning';
    return { subject, status, found: error.what, fix: error.fix };
  }
}

/** A clock behind the program's own build is wrong; run folders and events would be dated before it. */
export function checkClock(nowMs: number, builtMs: number): Finding {
  const found = new Date(nowMs).toISOString().slice(0, 19).replace('T', ' ');
  // Minutes of grace: file systems and containers disagree by a little.
  if (nowMs >= builtMs - 5 * 60_000) return ok('clock', `${found} UTC`);
  const fix = 'set the clock (timedatectl set-ntp true)';
  return { subject: 'clock', status: 'warning', found: `${found} UTC is before this program was built`, fix };
}

function ok(subject: string, found: string): Finding {
  return { subject, status: 'ok', found };
}

async function nearestExisting(folder: string): Promise<string> {
  try {
    await access(folder, constants.F_OK);
    return folder;
  } catch (error) {
    if (dirname(folder) === folder) throw error;
    return nearestExisting(dirname(folder));
  }
}

/** Median milliseconds of writing 4 kB so that they survive a power cut. */
async function measureFsync(folder: string): Promise<number> {
  const scratch = await mkdtemp(join(folder, '.ropeteam-doctor-'));
  try {
    const file = await open(join(scratch, 'probe'), 'w');
    const times: number[] = [];
    for (let attempt = 0; attempt < FSYNC_TRIES; attempt++) {
      const startedAt = performance.now();
      await file.write(Buffer.alloc(4096, attempt));
      await file.sync();
      times.push(performance.now() - startedAt);
    }
    await file.close();
    return times.sort((a, b) => a - b)[Math.floor(FSYNC_TRIES / 2)] ?? 0;
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

/** Why the port can't be bound on 127.0.0.1; undefined when it can. */
function bindError(port: number): Promise<string | undefined> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once('error', (error) => resolve(error.message));
    probe.listen({ port, host: '127.0.0.1', exclusive: true }, () => probe.close(() => resolve(undefined)));
  });
}

/** The message of the innermost cause: the outer ones only say on whose behalf. */
function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause instanceof Error ? messageOf(error.cause) : error.message;
}
