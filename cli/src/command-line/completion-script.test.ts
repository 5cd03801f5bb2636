import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command, Option } from 'commander';
import { describe, expect, test } from 'vitest';
import { completionScript, SHELLS, type Shell } from './completion-script.js';

const program = new Command('ropeteam').helpCommand(false);
program
  .command('train')
  .description("one run: the user's own [first]")
  .argument('<job>')
  .addOption(new Option('--kernel <name>', 'what computes').choices(['wasm', 'wasm-fma', 'blas']))
  .option('--out <dir>', 'folder')
  .option('--json', 'events');
program
  .command('bench')
  .description('measures')
  .addArgument(program.createArgument('[what]').choices(['kernel', 'step']));

const certs = program.command('certs').description('who may sign in').helpCommand(false);
certs
  .command('issue')
  .description('one more')
  .addArgument(certs.createArgument('<role>').choices(['worker', 'viewer']))
  .option('--days <n>', 'how long');
certs.command('token').description('let one in');

/** What bash offers at the end of a line of words. */
function offered(...words: readonly string[]): readonly string[] {
  const line = words.map((word) => `'${word}'`).join(' ');
  const script = `${completionScript(program, 'bash')}
COMP_WORDS=(${line}); COMP_CWORD=${words.length - 1}; _ropeteam; printf '%s\\n' "\${COMPREPLY[@]}"`;
  return execFileSync('bash', ['-c', script], { encoding: 'utf8' }).split('\n').filter(Boolean);
}

describe('bash', () => {
  test('offers commands, then options, then the values of an option', () => {
    expect(offered('ropeteam', 't')).toEqual(['train']);
    expect(offered('ropeteam', 'train', '--')).toEqual(['--kernel', '--out', '--json', '--help']);
    expect(offered('ropeteam', 'train', '--kernel', 'wasm')).toEqual(['wasm', 'wasm-fma']);
    expect(offered('ropeteam', 'bench', 's')).toEqual(['step']);
  });

  test('takes --option=value for the same as --option value', () => {
    expect(offered('ropeteam', 'train', '--kernel', '=')).toEqual(['wasm', 'wasm-fma', 'blas']);
    expect(offered('ropeteam', 'train', '--kernel', '=', 'b')).toEqual(['blas']);
  });

  test('offers the commands of a command, and what is theirs', () => {
    expect(offered('ropeteam', 'certs', '')).toEqual(['issue', 'token']);
    expect(offered('ropeteam', 'certs', 'issue', 'w')).toEqual(['worker']);
    expect(offered('ropeteam', 'certs', 'issue', '--')).toEqual(['--days', '--help']);
    expect(offered('ropeteam', 'certs', 'token', '--')).toEqual(['--help']);
  });

  test('offers nothing of its own where a file is wanted: the shell completes names of files there', () => {
    expect(offered('ropeteam', 'train', 'job')).toEqual([]);
    expect(offered('ropeteam', 'train', '--out', 'r')).toEqual([]);
    expect(completionScript(program, 'bash')).toContain('complete -o default');
  });
});

const isThere = (shell: Shell): boolean => spawnSync(shell, ['-c', 'true']).status === 0;

describe.each(SHELLS)('%s', (shell) => {
  test.skipIf(!isThere(shell))('reads its script without a complaint (needs the shell)', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'ropeteam-completion-'));
    try {
      const path = join(folder, 'script');
      await writeFile(path, completionScript(program, shell));
      const checked = spawnSync(shell, ['-n', path], { encoding: 'utf8' });
      expect([checked.status, checked.stderr]).toEqual([0, '']);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });
});
