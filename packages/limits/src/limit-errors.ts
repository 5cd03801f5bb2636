/**
 * A limit of the system as an error that says so: which one, how much it grants, what to set. Plain data, because it is also
 * needed where too few files can be opened to load anything else.
 */
import type { ErrorEnvelope } from '#training';
import { LEAST_OPEN_FILES, type ProcessLimits, readProcessLimits } from './process-limits.js';

const CODE = 'ENVIRONMENT.LIMIT';
const GIB = 2 ** 30;
/** Causes of causes that are looked at; more is a circle. */
const MOST_CAUSES = 16;

const RAISE_FILES =
  'raise it where the process is started: `ulimit -n 1024`, LimitNOFILE= of a systemd unit, --ulimit nofile= of a container';

/** The limit that is too low to start at all. */
export function lackingLimit({ openFiles }: ProcessLimits): ErrorEnvelope | undefined {
  if (openFiles === undefined || openFiles >= LEAST_OPEN_FILES) return undefined;
  return {
    code: CODE,
    message: `a process may have ${openFiles} files open here, and ropeteam needs ${LEAST_OPEN_FILES} to start`,
    hint: RAISE_FILES,
    facts: { limit: 'open files', granted: openFiles, needed: LEAST_OPEN_FILES },
  };
}

/**
 * The limit behind an error, whoever wrapped it; undefined where there is none, or it has its name already.
 * @param limits of this process
 */
export function limitReached(error: unknown, limits = readProcessLimits()): ErrorEnvelope | undefined {
  const causes = causesOf(error);
  if (causes.some(({ code }) => code === CODE)) return undefined;
  for (const cause of causes) {
    const limit = limitOf(cause);
    if (limit !== undefined) return describe(limit, firstLine(causes[0] ?? cause), limits);
  }
  return undefined;
}

type Limit = 'open files' | 'open files of the machine' | 'processes' | 'memory' | 'address space';

/** Of an error what says which limit it met. */
interface Cause {
  readonly code: unknown;
  readonly syscall: unknown;
  readonly message: string;
}

function limitOf({ code, syscall, message }: Cause): Limit | undefined {
  const text = `${String(code)} ${message}`;
  if (/\bEMFILE\b/.test(text)) return 'open files';
  if (/\bENFILE\b/.test(text)) return 'open files of the machine';
  const starts = `${String(syscall)} ${text}`;
  const isStart = /\bspawn\b|ERR_WORKER_INIT_FAILED/.test(starts);
  if (isStart && /\bEAGAIN\b/.test(text)) return 'processes';
  if (isStart && /\bENOMEM\b/.test(text)) return 'memory';
  return /WebAssembly\.\w+\(\): .*(?:allocate|out of memory)/i.test(message) ? 'address space' : undefined;
}

function describe(limit: Limit, said: string, limits: ProcessLimits): ErrorEnvelope {
  switch (limit) {
    case 'open files': {
      const message = `a process may have ${counted(limits.openFiles)} files open here, and that is not enough: ${said}`;
      return { code: CODE, message, hint: RAISE_FILES, facts: factsOf(limit, limits.openFiles) };
    }
    case 'open files of the machine':
      return {
        code: CODE,
        message: `the machine has no room for another open file: ${said}`,
        hint: 'end what holds them, or raise it for the whole machine: `sysctl fs.file-max`',
        facts: factsOf(limit),
      };
    case 'processes': {
      const message = `a user may have ${counted(limits.processes)} processes and threads here, and that is not enough: ${said}`;
      const hint = 'raise it: `ulimit -u`, TasksMax= of a systemd unit, --pids-limit of a container';
      return { code: CODE, message, hint, facts: factsOf(limit, limits.processes) };
    }
    case 'memory':
      return {
        code: CODE,
        message: `the machine has no memory for another process: ${said}`,
        hint: 'end other programs, or use fewer --workers',
        facts: factsOf(limit),
      };
    case 'address space': {
      const granted = limits.addressSpace;
      const have = granted === undefined ? 'is not limited' : `is limited to ${(granted / GIB).toFixed(1)} GiB`;
      const message =
        `address space ${have} here, and some 10 GiB of it are reserved, though not used, for each engine of a ` +
        `process: ${said}`;
      const hint =
        granted === undefined
          ? 'the machine promises no more memory than it has: `sysctl vm.overcommit_memory=0`, or free some'
          : 'lift it where the process is started: `ulimit -v unlimited`; a container or cgroup limits what is used instead';
      return { code: CODE, message, hint, facts: factsOf(limit, granted) };
    }
    default:
      return limit satisfies never;
  }
}

const counted = (granted: number | undefined): string => (granted === undefined ? 'only so many' : String(granted));

const factsOf = (limit: Limit, granted?: number) => ({ limit, ...(granted === undefined ? {} : { granted }) });

/** An error and what is behind it: causes, the several of an AggregateError, what a failed disposal suppressed. */
function causesOf(error: unknown): readonly Cause[] {
  const found: Cause[] = [];
  const rest: unknown[] = [error];
  while (rest.length > 0 && found.length < MOST_CAUSES) {
    const one = rest.shift();
    if (!(one instanceof Error)) continue;
    found.push({
      code: 'code' in one ? one.code : undefined,
      syscall: 'syscall' in one ? one.syscall : undefined,
      message: one.message,
    });
    if ('suppressed' in one) rest.push(one.suppressed, 'error' in one ? one.error : undefined);
    if (one instanceof AggregateError) rest.push(...one.errors);
    rest.push(one.cause);
  }
  return found;
}

const firstLine = ({ message }: Cause): string => message.split('\n', 1)[0] ?? '';
