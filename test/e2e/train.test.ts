import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { RunEvent } from '#training';
import { CHECKOUT, type RunningCommand, runCommand, startCommand } from '../support/command.js';

const LINE = 'examples/linear-regression/job.yaml';
const DIGITS = 'examples/digits/job.yaml';
/** More than any test waits for. */
const ENDLESS = ['--set', 'train.epochs=100000', '--json', '--every-step'];

// A command starts three to five processes; a busy machine takes its time.
vi.setConfig({ testTimeout: 120_000 });

let folder = '';
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ropeteam-e2e-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const out = (): readonly string[] => ['--out', join(folder, 'runs')];
/** Temporary files of the command go where the test can see them. */
const temporary = (): Readonly<Record<string, string>> => ({ TMPDIR: folder });

async function expectNothingLeft(command: RunningCommand, timeout = 5000): Promise<void> {
  // A killed process needs a moment to be gone; one that was forgotten stays.
  await vi.waitFor(async () => expect(await command.offspring()).toEqual([]), { timeout, interval: 200 });
}

describe('ropeteam train --json', () => {
  test('is a stream of events from the start to a trained model, and leaves nothing but the run behind', async () => {
    await using command = startCommand(
      ['train', LINE, '--workers', '2', '--json', '--every-step', ...out()],
      temporary(),
    );
    const { code, stdout, stderr } = await command.ended;
    expect(stderr).not.toMatch(/\n {4}at /);
    expect(code).toBe(0);
    const events = stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as RunEvent);
    const [started] = events.filter((event) => event.event === 'run_started');
    const finished = events.at(-1);
    if (started === undefined || finished?.event !== 'run_finished')
      throw new Error(`no start or no end in:\n${stdout}`);
    for (const { event, time, run } of events) {
      expect(event).toMatch(/^[a-z]+(_[a-z]+)+$/);
      expect(new Date(time).toISOString()).toBe(time);
      expect(run).toBe(started.run);
    }
    expect(stdout).not.toMatch(/:null[,}]/);
    const steps = events.filter((event) => event.event === 'step_committed').map(({ step }) => step);
    expect(steps).toEqual(Array.from({ length: finished.steps }, (_, step) => step));
    expect(finished.test?.r2).toBeGreaterThan(0.99);
    expect(await readdir(finished.runPath)).toEqual(
      expect.arrayContaining(['checkpoints', 'events.ndjson', 'job.yaml', 'ledger.ndjson', 'model']),
    );
    expect((await readdir(finished.modelPath)).sort()).toEqual(['model.json', 'model.safetensors']);
    const kept = (await readFile(join(finished.runPath, 'events.ndjson'), 'utf8')).trimEnd().split('\n');
    expect(kept.map((line): unknown => JSON.parse(line))).toEqual(events);
    await expectNothingLeft(command);
    expect(await readdir(folder)).toEqual(['runs']);
  });

  test('Ctrl-C stops the run in order: its model is saved and the exit code is 130', async () => {
    await using command = startCommand(['train', DIGITS, ...ENDLESS, ...out()], temporary());
    await command.event('step_committed', ({ step }) => step >= 5);
    command.process.kill('SIGINT');
    const { code } = await command.ended;
    expect(code).toBe(130);
    const finished = command.events.at(-1);
    expect(finished).toMatchObject({ event: 'run_finished', stoppedBy: 'user' });
    if (finished?.event !== 'run_finished') return;
    expect(await readdir(finished.modelPath)).toContain('model.safetensors');
    await expectNothingLeft(command);
    expect(await readdir(folder)).toEqual(['runs']);
  });

  test('SIGTERM does the same and exits with 143', async () => {
    await using command = startCommand(['train', DIGITS, ...ENDLESS, ...out()], temporary());
    await command.event('step_committed');
    command.process.kill('SIGTERM');
    expect((await command.ended).code).toBe(143);
    expect(command.events.at(-1)).toMatchObject({ event: 'run_finished', stoppedBy: 'user' });
    await expectNothingLeft(command);
  });

  test('a command that is killed takes everything it started with it', async () => {
    await using command = startCommand(['train', DIGITS, '--workers', '2', ...ENDLESS, ...out()], temporary());
    await command.event('step_committed');
    expect((await command.offspring()).length).toBeGreaterThanOrEqual(3);
    command.process.kill('SIGKILL');
    await command.ended;
    // The coordinator saves what it has first, and waits a while for the Redis that went with the command.
    await expectNothingLeft(command, 30_000);
  });

  test('a worker that is killed is replaced, and the weights are those of a calm run', async () => {
    const job = ['train', DIGITS, '--json', '--every-step', '--set', 'train.epochs=4', '--workers', '2', ...out()];
    await using calm = startCommand(job, temporary());
    const expected = await calm.event('run_finished');
    await using command = startCommand(job, temporary());
    const victim = await command.event('worker_joined');
    await command.event('step_committed', ({ step }) => step === 3);
    process.kill(victim.pid, 'SIGKILL');
    const lost = await command.event('worker_lost');
    expect(lost).toMatchObject({ worker: victim.worker, pid: victim.pid });
    const { code, stderr } = await command.ended;
    expect(code).toBe(0);
    expect(stderr).toContain(`${victim.worker} was ended by SIGKILL`);
    expect(command.events.at(-1)).toMatchObject({ workersLost: 1, weightsSha256: expected.weightsSha256 });
    await expectNothingLeft(command);
  });

  test('a coordinator that is killed is started again, and the run ends with the bits it would have had', async () => {
    const job = ['train', DIGITS, '--set', 'train.epochs=40', '--json'];
    await using command = startCommand([...job, '--grain', 'step', '--every-step', ...out()], temporary());
    await command.event('step_committed');
    process.kill(await pidOf('services/coordinator', command), 'SIGKILL');
    const { code, stdout } = await command.ended;
    expect(code).toBe(0);
    const steps = command.events.filter((event) => event.event === 'step_committed').map(({ step }) => step);
    expect(steps).toEqual(Array.from({ length: steps.length }, (_, step) => step));
    expect(command.events.filter(({ event }) => event === 'run_resumed')).toHaveLength(1);
    const calm = await runCommand([...job, '--out', join(folder, 'calm')], temporary());
    const hashes = (text: string): unknown => {
      const { weightsSha256, optimizerSha256 } = JSON.parse(text.trimEnd().split('\n').at(-1) ?? '');
      return { weightsSha256, optimizerSha256 };
    };
    expect(hashes(stdout)).toEqual(hashes(calm.stdout));
    await expectNothingLeft(command);
  });

  test('a reader that goes away ends everything quietly', async () => {
    await using command = startCommand(['train', DIGITS, ...ENDLESS, ...out()], temporary());
    await command.event('step_committed');
    command.process.stdout?.destroy();
    const { stderr } = await command.ended;
    expect(stderr).not.toMatch(/EPIPE|could not be stopped|\n {4}at /);
    await expectNothingLeft(command);
  });
});

describe('ropeteam train', () => {
  test('prints a summary on stdout and talks on stderr, in pipes without colour or redrawing', async () => {
    const { code, stdout, stderr } = await runCommand(['train', LINE, ...out()], temporary());
    expect(code).toBe(0);
    expect(stdout).toMatch(/^✓ linear-regression\S* {2}test r2 0\.99\d* {2}loss/);
    expect(stdout).toMatch(/^ {2}weights {2}sha256 [0-9a-f]{64}$/m);
    expect(stdout).toMatch(/^ {2}next {5}.*train examples\/linear-regression\/job\.yaml --workers 2/m);
    expect(stderr).toMatch(/^epoch 1\/\d+ .* loss /m);
    expect(stdout + stderr).not.toContain('\u001b');
  });

  test('two workers and one train the same weights', async () => {
    const weights = async (workers: string): Promise<string | undefined> => {
      const { stdout } = await runCommand(['train', LINE, '--workers', workers, '--quiet', ...out()], temporary());
      return /sha256 ([0-9a-f]{64})/.exec(stdout)?.[1];
    };
    const one = await weights('1');
    expect(one).toBeDefined();
    expect(await weights('2')).toBe(one);
  });

  test('a job that is wrong starts nothing and leaves no folder', async () => {
    const job = join(folder, 'job.yaml');
    await writeFile(job, (await readFile(join(CHECKOUT, LINE), 'utf8')).replace('epochs:', 'epoch:'));
    const { code, stdout, stderr } = await runCommand(['train', job, ...out()], temporary());
    expect([code, stdout]).toEqual([2, '']);
    expect(stderr).toContain('did you mean "epochs"?');
    expect(await readdir(folder)).toEqual(['job.yaml']);
  });

  test('data that is wrong ends with 2 and says where', async () => {
    const job = join(folder, 'job.yaml');
    const text = await readFile(join(CHECKOUT, LINE), 'utf8');
    await writeFile(job, text);
    const { code, stderr } = await runCommand(['train', job, ...out()], temporary());
    expect(code).toBe(2);
    expect(stderr).toContain('DATA.FILE');
  });

  test('a run id that is taken is refused', async () => {
    const words = ['train', LINE, '--quiet', '--run-id', 'twice', ...out()];
    expect((await runCommand(words, temporary())).code).toBe(0);
    const { code, stderr } = await runCommand(words, temporary());
    expect(code).toBe(2);
    expect(stderr).toContain('RUN.EXISTS');
  });

  test('a runs folder that is a file ends with an error that names it', async () => {
    await writeFile(join(folder, 'runs'), '');
    const { code, stderr } = await runCommand(['train', LINE, ...out()], temporary());
    expect(code).toBe(2);
    expect(stderr).toContain(`error USAGE.ARGUMENT: runs cannot go into ${join(folder, 'runs')}: it is a file`);
  });
});

test('up serves jobs from other commands until it is interrupted', async () => {
  const words = ['up', '--workers', '2', '--port', '0', '--http-port', '0', '--json', ...out()];
  await using cluster = startCommand(words, temporary());
  const facts = JSON.parse(await cluster.line((line) => line.startsWith('{'))) as Record<
    'grpc' | 'statusPage' | 'metrics',
    string
  >;
  const there = { ...temporary(), ROPETEAM_COORDINATOR: facts.grpc };
  for (const url of [facts.statusPage, facts.metrics]) expect((await fetch(url)).status).toBe(200);

  const submitted = await runCommand(['submit', LINE, '--watch', '--quiet', '--run-id', 'first'], there);
  expect(submitted).toMatchObject({ code: 0, stdout: expect.stringContaining('test r2 0.99') });

  const queued = await runCommand(['submit', DIGITS, '--set', 'train.epochs=100000', '--run-id', 'second'], there);
  expect(queued).toMatchObject({ code: 0, stdout: 'second\n' });
  await using watcher = startCommand(['watch', '--json'], there);
  await watcher.event('step_committed');
  expect((await runCommand(['runs'], there)).stdout).toMatch(/^second +training/m);
  expect((await runCommand(['stop', 'second'], there)).code).toBe(0);
  expect((await watcher.ended).code).toBe(130);
  expect(watcher.events.at(-1)).toMatchObject({ event: 'run_finished', stoppedBy: 'user', run: 'second' });
  expect(await runCommand(['stop', 'third'], there)).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('RUN.UNKNOWN'),
  });

  cluster.process.kill('SIGINT');
  expect((await cluster.ended).code).toBe(130);
  await expectNothingLeft(cluster);
  expect(await readdir(folder)).toEqual(['runs']);
});

async function pidOf(script: string, command: RunningCommand): Promise<number> {
  for (const pid of await command.offspring()) {
    if ((await readFile(`/proc/${pid}/cmdline`, 'utf8')).includes(script)) return pid;
  }
  throw new Error(`no process of ${script}`);
}
