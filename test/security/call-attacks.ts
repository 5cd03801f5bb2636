/** A certificate of ours in the wrong hands: calls that its role may not make, and messages made to do harm. */
import { crc32, gzipSync } from 'node:zlib';
import { PROTOCOL_VERSION, type Role } from '#training';
import { framed, message, type OddCall, oddCall } from './calls.js';
import type { Attack, Target } from './target.js';

type Bytes = readonly Uint8Array[];

const HELLO = {
  worker_id: 'mallory',
  pid: 666,
  protocol_version: PROTOCOL_VERSION,
  host: 'elsewhere',
  threads: 1,
  kernel_ids: ['wasm-simd128/1'],
};
const session = (value: object) => framed(message('SessionRequest', value));
const hello = (changes: object = {}) => session({ hello: { ...HELLO, ...changes } });

const as =
  (role: Role, method: string, body: Bytes, more: Partial<OddCall> = {}) =>
  (target: Target) =>
    oddCall(target, { method, identity: target.identities[role], body, ...more });

const joins = (...body: Bytes) => as('worker', 'TrainingService/Session', body);
const submits = (...body: Bytes) => as('submitter', 'RunService/SubmitRun', body);

const EVIL = Buffer.from('evil');
const DENIED = 'PERMISSION_DENIED AUTH.ROLE';
const INVALID = 'INVALID_ARGUMENT USAGE.ARGUMENT';
const CORRUPT = 'DATA_LOSS WIRE.CORRUPT';
const MISMATCH = 'FAILED_PRECONDITION WORKER.PROTOCOL_MISMATCH';

const forbidden: readonly (readonly [Role, string, string, object])[] = [
  ['worker', 'SubmitRun', 'SubmitRunRequest', { header: { job_text: 'x', job_file: 'job.yaml' } }],
  ['worker', 'ListRuns', 'ListRunsRequest', {}],
  ['worker', 'WatchRun', 'WatchRunRequest', { run_id: 'digits' }],
  ['worker', 'StopRun', 'StopRunRequest', { run_id: 'digits' }],
  ['worker', 'ResumeRun', 'ResumeRunRequest', { run_id: 'digits' }],
  ['viewer', 'StopRun', 'StopRunRequest', { run_id: 'digits' }],
  ['viewer', 'SubmitRun', 'SubmitRunRequest', { header: { job_text: 'x', job_file: 'job.yaml' } }],
  ['metrics', 'ListRuns', 'ListRunsRequest', {}],
];

const odd: readonly Attack[] = [
  { name: 'S6 a viewer joins as a worker', result: DENIED, run: as('viewer', 'TrainingService/Session', [hello()]) },
  {
    name: 'S19 a submitter fetches rows',
    result: DENIED,
    run: as('submitter', 'TrainingService/FetchShard', [framed(message('FetchShardRequest', { run_id: 'digits' }))]),
  },
  {
    name: 'B55 a method that is not there',
    result: 'UNIMPLEMENTED',
    run: as('admin', 'RunService/DeleteEverything', [framed(Buffer.of())]),
  },
  {
    name: 'S3 a worker’s certificate under another name',
    result: 'PERMISSION_DENIED AUTH.NAME',
    run: (target) =>
      oddCall(target, {
        method: 'TrainingService/Session',
        identity: target.named,
        body: [hello({ worker_id: 'w0' })],
      }),
  },
  { name: 'B55 a first message that is no hello', result: MISMATCH, run: joins(session({ heartbeat: {} })) },
  { name: 'B55 a second hello', result: MISMATCH, run: joins(hello(), hello()) },
  { name: 'B55 another protocol version', result: MISMATCH, run: joins(hello({ protocol_version: 99 })) },
  {
    name: 'S10 a session that says nothing',
    result: 'cut',
    run: as('worker', 'TrainingService/Session', [], { unended: true }),
  },
  { name: 'B53 no message in the message', result: INVALID, run: joins(hello(), session({})) },
  {
    name: 'B58 a worker called by an escape sequence',
    result: INVALID,
    run: joins(hello({ worker_id: '\u001b[31mw' })),
  },
  { name: 'B58 a worker called by markup', result: INVALID, run: joins(hello({ worker_id: '<img src=x>' })) },
  {
    name: 'B58 a worker with a name of a megabyte',
    result: INVALID,
    run: joins(hello({ worker_id: 'w'.repeat(1 << 20) })),
  },
  {
    name: 'S19 a run that is a path',
    result: INVALID,
    run: as('worker', 'TrainingService/FetchShard', [
      framed(message('FetchShardRequest', { run_id: '../../../etc/passwd' })),
    ]),
  },
  {
    name: 'B51 a message of five megabytes',
    result: 'RESOURCE_EXHAUSTED',
    run: joins(framed(Buffer.alloc(5 << 20))),
  },
  {
    name: 'B51 a message that says it has 3.9 gigabytes',
    result: 'RESOURCE_EXHAUSTED',
    run: joins(framed(Buffer.alloc(100), { claimed: 3_900_000_000 })),
  },
  {
    name: 'B51 a compressed message that grows a thousandfold',
    result: 'RESOURCE_EXHAUSTED',
    run: as('worker', 'TrainingService/Session', [framed(gzipSync(Buffer.alloc(256 << 20)), { compressed: true })], {
      headers: { 'grpc-encoding': 'gzip' },
    }),
  },
  {
    name: 'B54 fields nested a hundred thousand deep',
    result: CORRUPT,
    run: joins(hello(), framed(Buffer.alloc(100_000, 0x0b))),
  },
  { name: 'B53 bytes that are no message', result: CORRUPT, run: joins(hello(), framed(Buffer.alloc(1_000, 0xff))) },
  {
    name: 'B53 a number beyond 2^53',
    result: INVALID,
    run: joins(hello(), session({ heartbeat: { resident_bytes: '18446744073709551615' } })),
  },
  {
    name: 'B57 a submission of a file outside',
    // Its path is but a name; what is wrong with it is the job.
    result: 'INVALID_ARGUMENT CONFIG.SEVERAL',
    run: submits(
      framed(message('SubmitRunRequest', { header: { job_text: 'name: x', job_file: '../../job.yaml', files: 1 } })),
      framed(message('SubmitRunRequest', { file_begin: { path: '../../../etc/passwd', bytes: '4' } })),
      framed(message('SubmitRunRequest', { file_chunk: { payload: EVIL, crc32: crc32(EVIL) } })),
    ),
  },
  { name: 'B57 a submission of nothing', result: INVALID, run: submits() },
];

const roles = forbidden.map(([role, method, type, value]): Attack => {
  const run = as(role, `RunService/${method}`, [framed(message(type, value))]);
  return { name: `S6 ${role} calls ${method}`, result: DENIED, run };
});

export const callAttacks: readonly Attack[] = [
  ...roles,
  ...odd,
  {
    name: 'S9 twenty submissions that never end',
    // Eight have a place, and lose it to whoever comes after they have rested for a second.
    result: '12 refused, a later one not',
    run: async (target) => {
      const body = [framed(message('SubmitRunRequest', { header: { job_text: 'x', job_file: 'job.yaml' } }))];
      const call = { method: 'RunService/SubmitRun', identity: target.identities.submitter, body };
      const ends: string[] = [];
      let enough: () => void = () => undefined;
      const refused = new Promise<void>((resolve) => {
        enough = resolve;
      });
      const attempts = Array.from({ length: 20 }, async () => {
        const end = await oddCall(target, { ...call, unended: true, patienceMs: 3_000 });
        ends.push(end);
        if (ends.length === 12) enough();
      });
      await refused;
      const early = ends.filter((end) => end === FULL).length;
      let later = FULL;
      while (later === FULL) later = await oddCall(target, call);
      await Promise.all(attempts);
      return `${early} refused, a later one ${later.startsWith('INVALID_ARGUMENT CONFIG.') ? 'not' : later}`;
    },
  },
];

const FULL = 'RESOURCE_EXHAUSTED DATA.LIMIT';
