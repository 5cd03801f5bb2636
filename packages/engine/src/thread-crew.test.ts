import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { test } from 'vitest';
import { ARGUMENTS, type ControlBlock, createControlBlock, TABLE } from './control-block.js';
import { KernelThreadError } from './engine-errors.js';
import { COUNT_MAIL, COUNT_PIECES, EXIT, THROW, WAIT_FOREVER } from './thread-crew.fixture.js';
import { openThreadCrew, type ThreadCrew } from './thread-crew.js';

const FIXTURE = new URL('./thread-crew.fixture.js', import.meta.url);

async function openFixture(threads: number): Promise<{ readonly crew: ThreadCrew; readonly control: ControlBlock }> {
  const control = createControlBlock(threads, 256);
  const setups = Array.from({ length: threads }, (_, index) => ({ index, control }));
  return { crew: await openThreadCrew(FIXTURE, setups, control), control };
}

test('every piece of every phase is done once, and a phase sees all of the one before', async () => {
  for (const participants of [1, 2, 3]) {
    const { crew, control } = await openFixture(3);
    await using _closed = crew;
    const pieces = 50;
    for (let call = 0; call < 200; call++) {
      control.numbers.fill(0, TABLE);
      control.numbers.set([pieces, 0], ARGUMENTS);
      await crew.run({ command: COUNT_PIECES, participants, phases: 2 });
      const table = [...control.numbers.subarray(TABLE, TABLE + 2 * pieces)];
      const first = Array.from({ length: pieces }, (_, piece) => piece + 1);
      assert.deepEqual(table, [...first, ...first.slice(1), 1]);
      assert.equal(control.numbers[ARGUMENTS + 1], 1, 'one thread finishes the command');
    }
  }
});

test('what a thread throws rejects the call with its cause, and the crew goes on', async () => {
  const { crew, control } = await openFixture(3);
  await using _closed = crew;
  for (const thread of [0, 2]) {
    control.numbers[ARGUMENTS] = thread;
    await assert.rejects(crew.run({ command: THROW, participants: 3, phases: 2 }), (error) => {
      assert.ok(error instanceof KernelThreadError && !error.fatal && error.thread === thread);
      assert.ok(error.cause instanceof RangeError);
      assert.equal(error.cause.message, `thread ${thread} in phase 0`);
      return true;
    });
  }
  control.numbers[ARGUMENTS] = 10;
  await crew.run({ command: COUNT_PIECES, participants: 3, phases: 2 });
});

test('a thread that exits rejects the call at once and every later one, though others wait for it', async () => {
  const { crew, control } = await openFixture(3);
  await using _closed = crew;
  control.numbers[ARGUMENTS] = 1;
  const crashed = (error: unknown): boolean =>
    error instanceof KernelThreadError && error.fatal && error.thread === 1 && /exited with code 7/.test(error.message);
  await assert.rejects(crew.run({ command: EXIT, participants: 3, phases: 2 }), crashed);
  await assert.rejects(crew.run({ command: COUNT_PIECES, participants: 1, phases: 1 }), crashed);
});

test('a thread that cannot start rejects the opening with its cause', async () => {
  const control = createControlBlock(1, 1);
  const missing = new URL('./no-such-thread.js', import.meta.url);
  await assert.rejects(
    openThreadCrew(missing, [{}], control),
    (error) => error instanceof KernelThreadError && error.fatal && /no-such-thread/.test(String(error.cause)),
  );
});

test('mail reaches every thread before its next command, also threads that sat out the last one', async () => {
  const { crew, control } = await openFixture(2);
  await using _closed = crew;
  crew.post('a');
  await crew.run({ command: COUNT_MAIL, participants: 1, phases: 1 });
  assert.deepEqual([...control.numbers.subarray(TABLE, TABLE + 2)], [1, 0]);
  crew.post('b');
  crew.post('c');
  await crew.run({ command: COUNT_MAIL, participants: 2, phases: 1 });
  assert.deepEqual([...control.numbers.subarray(TABLE, TABLE + 2)], [3, 3]);
});

test('closing rejects the call in progress and all later ones', async () => {
  const { crew } = await openFixture(2);
  const call = crew.run({ command: WAIT_FOREVER, participants: 2, phases: 1 });
  const rejected = assert.rejects(call, /closed/);
  await crew[Symbol.asyncDispose]();
  await rejected;
  await assert.rejects(crew.run({ command: COUNT_PIECES, participants: 1, phases: 1 }), /closed/);
  await crew[Symbol.asyncDispose]();
});

/** Runs `body` in a process of its own with a crew of two; the process is killed after 10 s. */
async function inProcess(body: string): Promise<string> {
  const program = `
    import { openThreadCrew } from ${JSON.stringify(new URL('./thread-crew.js', import.meta.url).href)};
    import { createControlBlock } from ${JSON.stringify(new URL('./control-block.js', import.meta.url).href)};
    const control = createControlBlock(2, 256);
    const setups = [{ index: 0, control }, { index: 1, control }];
    const crew = await openThreadCrew(new URL(${JSON.stringify(FIXTURE.href)}), setups, control);
    ${body}`;
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '--eval', program], {
    timeout: 10_000,
  });
  return stdout;
}

test('an idle crew does not keep the process alive', async () => {
  assert.equal(await inProcess(`console.log('end');`), 'end\n');
});

test('a closed crew leaves nothing that keeps the process alive', async () => {
  assert.equal(await inProcess(`await crew[Symbol.asyncDispose](); console.log('closed');`), 'closed\n');
});

test('a pending call keeps the process alive until it is done', async () => {
  const body = `
    control.numbers[0] = 100;
    crew.run({ command: ${COUNT_PIECES}, participants: 2, phases: 2 }).then(() => console.log('done'));`;
  assert.equal(await inProcess(body), 'done\n');
});
