/**
 * The image and `overlays/dev`, really run: podman stands in for the kubelet, this file for the controllers and the
 * probes. On demand, with `npm run test:containers`, which prepares the namespaces it runs in.
 */
import { rmSync } from 'node:fs';
import { copyFile, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { stringify } from 'yaml';
import { connectClient } from '#protocol';
import { type RunEvent, runId } from '#training';
import type { FinishedEvent, TestJob } from '../support/cluster.js';
import { CHECKOUT, runCommand } from '../support/command.js';
import { makeDocumentedSecrets } from '../support/documented-secrets.js';
import { digitsJob } from '../support/jobs.js';
import { type Kubectl, type Manifest, unpackKubectl } from '../support/kubectl.js';
import { renderWith } from '../support/manifests.js';
import { openPodEngine, type PodEngine, type RunningPod } from '../support/pod-engine.js';
import { podOf } from '../support/workload-pods.js';
import { openWorkspace, type Workspace } from '../support/workspace.js';

/** Where scripts/test-containers.mjs built the images. */
const FOLDER = process.env.ROPETEAM_TEST_CONTAINERS;
const IMAGE = 'localhost/ropeteam:0.1.0';
const MAX_IMAGE_BYTES = 350e6;
const DEADLINE_MS = 300_000;
/** Steps enough for pods to come and go meanwhile, however busy the machine: both slow down together. */
const LONG_JOB = digitsJob({ steps: 3000, batch: 256, microBatches: 8 }, '[{ dense: 256 }, relu]');

if (FOLDER === undefined) console.error('! image and manifests are not run here: that is npm run test:containers');

let engine: PodEngine;
let workspace: Workspace;
let objects: readonly Manifest[] = [];
let closedObjects: readonly Manifest[] = [];
let coordinator: RunningPod;
const workers = new Map<number, RunningPod>();

beforeAll(async () => {
  if (FOLDER === undefined) return;
  workspace = await openWorkspace();
  using kubectl = unpackKubectl((folder) => rmSync(folder, { recursive: true, force: true }));
  if (kubectl === undefined) throw new Error('kubectl cannot be unpacked');
  objects = render(kubectl);
  closedObjects = renderWithCertificates(kubectl);
  using secrets = makeDocumentedSecrets(kubectl);
  engine = await openPodEngine(FOLDER, { coordinator: 'coordinator', redis: 'redis-0' });
  await engine.provide([...objects, ...secrets.objects]);
}, DEADLINE_MS);
afterAll(async () => {
  await engine?.[Symbol.asyncDispose]();
  await workspace?.[Symbol.asyncDispose]();
}, DEADLINE_MS);

describe.skipIf(FOLDER === undefined)('the image', { retry: 0 }, () => {
  test('is small, names its user by number, and says what it is', async () => {
    const { Size, Config } = await engine.image(IMAGE);
    console.error(`image: ${(Size / 1e6).toFixed(0)} MB`);
    expect(Size).toBeLessThanOrEqual(MAX_IMAGE_BYTES);
    expect(Config.User).toBe('10001:10001');
    expect(Config.Labels).toMatchObject({
      'org.opencontainers.image.title': 'ropeteam',
      'org.opencontainers.image.licenses': 'Apache-2.0',
      'org.opencontainers.image.version': '0.1.0',
    });
  });

  test(
    'trains alone: no network, no privilege, nothing writable but /tmp, OpenBLAS at hand',
    async () => {
      const words = ['train', '/app/examples/digits/job.yaml', '--kernel', 'blas', '--out', '/tmp/runs', '--json'];
      const { stdout } = await engine.once(IMAGE, [...words, '--set', 'train.epochs=1']);
      const events = stdout
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line) as RunEvent);
      expect(events.find(({ event }) => event === 'run_started')).toMatchObject({ kernel: /^blas/ });
      expect(events.at(-1)).toMatchObject({ event: 'run_finished' });
    },
    DEADLINE_MS,
  );
});

describe.skipIf(FOLDER === undefined)('overlays/dev', { retry: 0 }, () => {
  test(
    'starts: Redis, coordinator and three workers are ready by their own probes',
    async () => {
      await engine.ready(await engine.start(podOf(named('StatefulSet', 'redis'))));
      coordinator = await engine.start(podOf(named('Deployment', 'coordinator')));
      await scale(3);
      await engine.ready(coordinator);
      for (const pod of [coordinator, ...workers.values()]) {
        for (const container of pod.containers) {
          expect(await engine.probe(pod, container, container.livenessProbe ?? {}), pod.name).toBe(true);
        }
      }
    },
    DEADLINE_MS,
  );

  test(
    'trains what a Job submits from inside, to the weights of a local run',
    async () => {
      const { code, log } = await engine.ended(await engine.start(podOf(named('Job', 'submit-digits'))));
      expect(code, log).toBe(0);
      const local = await train(join(CHECKOUT, 'examples/digits/job.yaml'));
      expect(log).toContain(local.weightsSha256);
    },
    DEADLINE_MS,
  );

  test(
    'keeps its promise while workers go from 3 to 5 to 2, one is killed and three are drained',
    async () => {
      const local = await train(await jobFile(LONG_JOB));
      const { finished, events } = await submitAnd(LONG_JOB, async () => {
        await scale(5);
        const killed = workers.get(1);
        if (killed === undefined) throw new Error('no worker-1');
        await engine.kill(killed);
        workers.delete(1);
        await scale(5); // its StatefulSet makes it again
        for (const { code, log } of await scale(2)) expect(code, log).toBe(0);
      });
      expect(finished.weightsSha256).toBe(local.weightsSha256);
      expect(finished.optimizerSha256).toBe(local.optimizerSha256);
      expect(finished.workersLost).toBe(1);
      const names = (wanted: string) => events.filter(({ event }) => event === wanted).length;
      expect(names('worker_left')).toBe(3);
      expect(names('worker_joined')).toBeGreaterThanOrEqual(3);

      const run = join(await engine.volume('runs'), 'runs', finished.run);
      const { code, stdout } = await runCommand(['verify', run], workspace.variables);
      expect(code, stdout).toBe(0);
    },
    DEADLINE_MS,
  );

  test(
    'ends in order: every pod leaves within its grace with exit code 0',
    async () => {
      for (const { code, log } of await scale(0)) expect(code, log).toBe(0);
      expect((await stop(coordinator, 'Deployment', 'coordinator')).code).toBe(0);
    },
    DEADLINE_MS,
  );
});

describe.skipIf(FOLDER === undefined)('components/tls', { retry: 0 }, () => {
  test(
    'trains what a Job submits from inside to the same weights, and nobody without a certificate gets in',
    async () => {
      objects = closedObjects;
      await engine.provide(objects.filter(({ kind }) => kind === 'ConfigMap'));
      coordinator = await engine.start(podOf(named('Deployment', 'coordinator')));
      await scale(3);
      await engine.ready(coordinator);
      const { code, log } = await engine.ended(await engine.start(podOf(named('Job', 'submit-digits'))));
      expect(code, log).toBe(0);
      const local = await train(join(CHECKOUT, 'examples/digits/job.yaml'));
      expect(log).toContain(local.weightsSha256);

      const stranger = connectClient(`${coordinator.address}:50051`, { connectDeadlineMs: 2_000 });
      await expect(stranger.list()).rejects.toThrow();
      stranger.close();
      expect((await fetch(`http://${workerOf(0).address}:9464/metrics`)).status).toBe(401);
    },
    DEADLINE_MS,
  );

  test(
    'ends in order',
    async () => {
      for (const { code, log } of await scale(0)) expect(code, log).toBe(0);
      expect((await stop(coordinator, 'Deployment', 'coordinator')).code).toBe(0);
    },
    DEADLINE_MS,
  );
});

/** The overlay with the Job that submits, as it is but for one word: a model this small would be leased whole, to one worker. */
function render(kubectl: Kubectl): readonly Manifest[] {
  const everyStep = [{ op: 'add', path: '/spec/template/spec/containers/0/args/-', value: '--grain=step' }];
  const patch = { target: { kind: 'Deployment', name: 'coordinator' }, patch: stringify(everyStep) };
  return renderWith(kubectl, 'dev-submit', [], [patch]);
}

/** The same with certificates in place of the word that allows plaintext. */
function renderWithCertificates(kubectl: Kubectl): readonly Manifest[] {
  const closed = [{ op: 'remove', path: '/data/ROPETEAM_INSECURE' }];
  return renderWith(
    kubectl,
    'dev-submit',
    ['tls'],
    [{ target: { kind: 'ConfigMap', name: 'settings.*' }, patch: stringify(closed) }],
  );
}

function named(kind: string, name: string): Manifest {
  const found = objects.find((object) => object.kind === kind && object.metadata.name === name);
  if (found === undefined) throw new Error(`no ${kind} ${name} is rendered`);
  return found;
}

/** What the StatefulSet's controller does: all missing pods at once, surplus ones by SIGTERM from the highest. */
async function scale(replicas: number): Promise<readonly { readonly code: number; readonly log: string }[]> {
  const missing = Array.from({ length: replicas }, (_, ordinal) => ordinal).filter((ordinal) => !workers.has(ordinal));
  for (const ordinal of missing)
    workers.set(ordinal, await engine.start(podOf(named('StatefulSet', 'worker'), ordinal)));
  for (const ordinal of missing) await engine.ready(workerOf(ordinal));
  const ended = [];
  for (const ordinal of [...workers.keys()].filter((one) => one >= replicas).toSorted((a, b) => b - a)) {
    ended.push(await stop(workerOf(ordinal), 'StatefulSet', 'worker'));
    workers.delete(ordinal);
  }
  return ended;
}

function workerOf(ordinal: number): RunningPod {
  const pod = workers.get(ordinal);
  if (pod === undefined) throw new Error(`no worker-${ordinal}`);
  return pod;
}

function stop(pod: RunningPod, kind: string, name: string): ReturnType<PodEngine['stop']> {
  return engine.stop(pod, podOf(named(kind, name)).spec.terminationGracePeriodSeconds ?? 0);
}

/** The same on this machine alone, with one worker. */
async function train(job: string): Promise<FinishedEvent> {
  const words = ['train', job, '--kernel', 'wasm', '--threads', '2', '--json', '--out', workspace.runs];
  const { code, stdout, stderr } = await runCommand(words, workspace.variables);
  expect(code, stderr).toBe(0);
  return JSON.parse(stdout.trim().split('\n').at(-1) ?? '') as FinishedEvent;
}

async function jobFile({ text, files }: TestJob): Promise<string> {
  const folder = join(workspace.path, 'job');
  await mkdir(folder);
  for (const [name, path] of Object.entries(files)) await copyFile(path, join(folder, name));
  await writeFile(join(folder, 'job.yaml'), text);
  return join(folder, 'job.yaml');
}

/** Submits from outside, acts once the first steps are done, and resolves when both are over: the act first. */
async function submitAnd(
  { text, files }: TestJob,
  act: () => Promise<void>,
): Promise<{ readonly finished: FinishedEvent; readonly events: readonly RunEvent[] }> {
  const client = connectClient(`${coordinator.address}:50051`);
  try {
    const uploads = Object.entries(files).map(([path, absolutePath]) => ({ path, absolutePath }));
    const { run } = await client.submit({ jobText: text, jobFile: 'job.yaml', files: uploads });
    const events: RunEvent[] = [];
    let acting: Promise<void> | undefined;
    let stepsMeanwhile: number | undefined;
    for await (const event of client.watch(runId(run), 0, AbortSignal.timeout(DEADLINE_MS), 'sampled')) {
      events.push(event);
      if (event.event === 'step_committed') {
        acting ??= act().then(() => {
          stepsMeanwhile = events.findLast((one) => one.event === 'step_committed')?.step;
        });
      }
    }
    const last = events.at(-1);
    if (last?.event !== 'run_finished') throw new Error(`the run ended with ${JSON.stringify(last)}`);
    if (stepsMeanwhile === undefined) throw new Error('the run was over before the pods had come and gone');
    console.error(`scaled, killed and drained by step ${stepsMeanwhile} of ${last.steps} in ${last.seconds} s`);
    await acting;
    return { finished: last, events };
  } finally {
    client.close();
  }
}
