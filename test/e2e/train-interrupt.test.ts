/** A second Ctrl-C: when the orderly end does not come, everything is gone at once. */
import { readFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { type RunningCommand, startCommand } from '../support/command.js';
import { expectNothingLeft, openWorkspace } from '../support/workspace.js';

/** More epochs than any test waits for. */
const ENDLESS = ['train', 'examples/digits/job.yaml', '--set', 'train.epochs=100000', '--json', '--workers', '2'];
/** A person's second press comes later than one that a terminal and npm deliver twice. */
const PRESS_EVERY_MS = 150;

test('a second Ctrl-C kills the parts that do not answer, and leaves no process and no temporary file', async () => {
  await using workspace = await openWorkspace();
  await using command = startCommand([...ENDLESS, '--out', workspace.runs], workspace.variables);
  await command.event('step_committed');
  const parts = await servicesOf(command);
  expect(parts).toHaveLength(3);
  // Parts that hang can't end in order: without the second press the command would wait for them.
  for (const pid of parts) process.kill(pid, 'SIGSTOP');
  const presses = setInterval(() => command.process.kill('SIGINT'), PRESS_EVERY_MS);
  try {
    const { code, signal, stderr } = await command.ended;
    expect({ code, signal }).toEqual({ code: 130, signal: null });
    expect(stderr).toContain('press Ctrl-C again to leave at once');
    expect(stderr).not.toMatch(/\n {4}at /);
  } finally {
    clearInterval(presses);
  }
  expect(command.events.map(({ event }) => event)).not.toContain('run_finished');
  await expectNothingLeft(command, workspace);
}, 60_000);

/** Process ids of coordinator and workers. */
async function servicesOf(command: RunningCommand): Promise<readonly number[]> {
  const pids = await command.offspring();
  const lines = await Promise.all(pids.map((pid) => readFile(`/proc/${pid}/cmdline`, 'utf8')));
  return pids.filter((_, index) => lines[index]?.includes('/services/') === true);
}
