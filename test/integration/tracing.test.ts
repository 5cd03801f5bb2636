/** Spans of coordinator and workers, as an SDK that the user loads gets them. */
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { SPAN_NAMES } from '#telemetry';
import { type FinishedEvent, startTestCluster } from '../support/cluster.js';
import { digitsJob } from '../support/jobs.js';
import type { TracedSpan } from '../support/trace-to-file.js';

const SDK = fileURLToPath(new URL('../support/trace-to-file.js', import.meta.url));
const JOB = digitsJob({ epochs: 2, microBatches: 4 }, '[{ dense: 16 }, relu]');

let folder: string;
let finished: FinishedEvent;
let untraced: FinishedEvent;
let spans: readonly TracedSpan[];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ropeteam-traces-'));
  {
    const variables = { NODE_OPTIONS: `--import=${SDK}`, TEST_TRACE_FOLDER: folder };
    await using cluster = await startTestCluster({ workers: 2, variables });
    finished = await cluster.finish(JOB);
  }
  {
    await using cluster = await startTestCluster({ workers: 1 });
    untraced = await cluster.finish(JOB);
  }
  const files = await readdir(folder);
  const texts = await Promise.all(files.map((file) => readFile(join(folder, file), 'utf8')));
  const lines = texts.join('').trim().split('\n');
  spans = lines.map((line): TracedSpan => JSON.parse(line));
}, 90_000);
afterAll(() => rm(folder, { recursive: true, force: true }));

const named = (name: (typeof SPAN_NAMES)[number]): readonly TracedSpan[] => spans.filter((span) => span.name === name);
const parentOf = ({ parent }: TracedSpan): TracedSpan | undefined => spans.find(({ id }) => id === parent);

test('tracing changes no bit', () => {
  expect(finished.weightsSha256).toBe(untraced.weightsSha256);
  expect(finished.optimizerSha256).toBe(untraced.optimizerSha256);
});

test('a run is one trace: every step once, its blocks computed in the workers’ processes, one average', () => {
  const [run, ...more] = named('run');
  expect(more).toEqual([]);
  expect(run?.facts).toMatchObject({ run: finished.run });
  const steps = named('step');
  expect(steps.map(({ facts }) => Number(facts.step)).sort((one, other) => one - other)).toEqual(
    Array.from({ length: finished.steps }, (_, step) => step),
  );
  for (const step of steps) expect(step).toMatchObject({ trace: run?.trace, parent: run?.id, failed: false });
  const blocks = named('compute').filter(({ facts }) => facts.kind === 'gradient');
  for (const span of [...blocks, ...named('upload'), ...named('average')]) {
    expect(span.trace).toBe(run?.trace);
    expect(parentOf(span)).toMatchObject({ name: 'step', facts: { step: span.facts.step } });
  }
  expect(named('average')).toHaveLength(finished.steps);
  expect(blocks.length).toBeGreaterThanOrEqual(finished.steps);
  expect(new Set(blocks.map(({ pid }) => pid))).not.toContain(run?.pid);
  expect(named('checkpoint').at(-1)).toMatchObject({ parent: run?.id, facts: { step: finished.steps } });
});

test('a worker’s joining is one trace over both processes', () => {
  const admitted = named('admit');
  expect(admitted.map(({ facts }) => facts.worker).sort()).toEqual(['w0', 'w1']);
  for (const span of admitted) {
    const join = parentOf(span);
    expect(join).toMatchObject({ name: 'join', trace: span.trace, facts: { worker: span.facts.worker } });
    expect(join?.pid).not.toBe(span.pid);
  }
});

test('no span has a name that nobody knows', () => {
  expect(spans.map(({ name }) => name).filter((name) => !SPAN_NAMES.some((known) => known === name))).toEqual([]);
});
