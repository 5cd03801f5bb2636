/** `ropeteam certs`: a private authority, a folder for each role that `--tls` takes, and tokens for workers. */
import { randomBytes } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { isIP } from 'node:net';
import { dirname, join, resolve } from 'node:path';
import {
  type Authority,
  createAuthority,
  fingerprintOf,
  IDENTITY_FILES,
  issueCertificate,
  JOIN_TOKEN_FILE,
  type TlsIdentity,
} from '#protocol';
import { createJoinToken } from '#storage';
import { TOKEN_ROLES } from '#telemetry';
import { ROLES, type Role, RopeteamError, workerId } from '#training';
import type { Context } from '../context.js';

interface CommonOptions {
  /** Folder of the whole set. */
  readonly dir: string;
  readonly json: boolean;
}

export interface CertsInitOptions extends CommonOptions {
  /** Names and addresses, commas between. */
  readonly host: string;
  readonly days: number;
}

export interface CertsIssueOptions extends CertsInitOptions {
  /** Of a worker. */
  readonly name?: string;
  /** Folder for the new certificate; absent: named after role and worker, in the set's. */
  readonly out?: string;
}

export interface CertsTokenOptions {
  /** Folder of the worker's certificate. */
  readonly worker: string;
  readonly joinTokens: string;
  readonly minutes: number;
  readonly json: boolean;
}

/** Reached from the coordinator's own machine, always. */
const LOCAL_HOSTS = ['localhost', '127.0.0.1', '::1'];

/** Makes the files and returns 0. @throws RopeteamError USAGE.ARGUMENT if the folder is there or a name is none */
export async function certsInit({ dir, host, days, json }: CertsInitOptions, context: Context): Promise<number> {
  const folder = resolve(context.directory, dir);
  const hosts = hostsFrom(host);
  await makeFolder(folder, '--dir', dir);
  const authority = await createAuthority({ days });
  await makeFolder(join(folder, 'authority'), '--dir', dir);
  await write(join(folder, 'authority', 'ca.key'), authority.key);
  await write(join(folder, 'authority', IDENTITY_FILES.authority), authority.certificate);
  for (const role of ROLES) {
    await writeIdentity(
      join(folder, role),
      await issueCertificate(authority, { role, ...hostsOf(role, hosts) }, { days }),
    );
  }
  const tokens = join(folder, 'http-tokens');
  await makeFolder(tokens, '--dir', dir);
  for (const role of TOKEN_ROLES) await write(join(tokens, `${role}.token`), `${randomBytes(32).toString('hex')}\n`);

  const folders = Object.fromEntries(ROLES.map((role) => [role, join(dir, role)]));
  const made = { authority: join(dir, 'authority'), folders, httpTokens: join(dir, 'http-tokens'), hosts, days };
  if (json) context.terminal.result(JSON.stringify(made));
  else context.terminal.result(explained(dir, hosts, days, context.environment.commandName));
  return 0;
}

/** Another certificate of the same authority. Returns 0. @throws RopeteamError AUTH.CERTIFICATE, USAGE.ARGUMENT */
export async function certsIssue(role: Role, options: CertsIssueOptions, context: Context): Promise<number> {
  const { dir, host, days, name, json } = options;
  if (name !== undefined && role !== 'worker') throw wrong('--name', 'is for workers', 'Leave it out.');
  if (name !== undefined) requireWorkerName(name);
  const authority = await readAuthority(join(resolve(context.directory, dir), 'authority'));
  const out = options.out ?? join(dir, name === undefined ? role : `${role}-${name}`);
  const holder = { role, ...hostsOf(role, hostsFrom(host)), ...(name === undefined ? {} : { name }) };
  const identity = await issueCertificate(authority, holder, { days });
  await writeIdentity(resolve(context.directory, out), identity, out);
  const fingerprint = fingerprintOf(identity.certificate);
  if (json) context.terminal.result(JSON.stringify({ folder: out, role, name, days, fingerprint }));
  else
    context.terminal.result(`${out}: a certificate for the role ${role}, valid ${days} days\n  sha256 ${fingerprint}`);
  return 0;
}

/**
 * A token that lets one worker's certificate in, written beside it and, hashed, where the coordinator looks. Returns 0.
 * @throws RopeteamError AUTH.CERTIFICATE, STORAGE.WRITE
 */
export async function certsToken(options: CertsTokenOptions, { directory, terminal }: Context): Promise<number> {
  const { worker, joinTokens, minutes, json } = options;
  const folder = resolve(directory, worker);
  const fingerprint = await fingerprintIn(join(folder, IDENTITY_FILES.certificate));
  const token = createJoinToken(resolve(directory, joinTokens), { fingerprint, minutes });
  const file = join(folder, JOIN_TOKEN_FILE);
  await writeFile(file, `${token}\n`, { mode: 0o600 });
  if (json) terminal.result(JSON.stringify({ file: join(worker, JOIN_TOKEN_FILE), fingerprint, minutes }));
  else terminal.result(`${join(worker, JOIN_TOKEN_FILE)}: lets this certificate in once, within ${minutes} minutes`);
  return 0;
}

async function fingerprintIn(file: string): Promise<string> {
  try {
    return fingerprintOf(await readFile(file, 'utf8'));
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new RopeteamError('AUTH.CERTIFICATE', { file }, `${file} cannot be read: ${why}`, {
      hint: 'Name the folder of a worker’s certificate with --worker.',
      cause,
    });
  }
}

async function readAuthority(folder: string): Promise<Authority> {
  const [certificate, key] = [join(folder, IDENTITY_FILES.authority), join(folder, 'ca.key')];
  try {
    return { certificate: await readFile(certificate, 'utf8'), key: await readFile(key, 'utf8') };
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new RopeteamError('AUTH.CERTIFICATE', { file: folder }, `the authority cannot be read: ${why}`, {
      hint: 'Run this where its key is kept, and name the set with --dir; without one: ropeteam certs init',
      cause,
    });
  }
}

function hostsOf(role: Role, hosts: readonly string[]): { readonly hosts?: readonly string[] } {
  return role === 'coordinator' ? { hosts } : {};
}

function hostsFrom(host: string): readonly string[] {
  const names = host.split(',').map((name) => name.trim());
  const odd = names.find((name) => isIP(name) === 0 && !/^[A-Za-z0-9*]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$/.test(name));
  if (odd === undefined) return [...new Set([...names, ...LOCAL_HOSTS])];
  const hint = 'Write names without a port, for example --host coordinator.example.org,10.0.0.7';
  throw wrong('--host', `"${odd}" is no host name or IP address`, hint);
}

function requireWorkerName(name: string): void {
  try {
    workerId(name);
  } catch (cause) {
    throw wrong(
      '--name',
      cause instanceof Error ? cause.message : String(cause),
      'Use letters, digits, dots and dashes.',
    );
  }
}

async function makeFolder(path: string, argument: string, shown: string): Promise<void> {
  try {
    await mkdir(dirname(path), { recursive: true });
    await mkdir(path, { mode: 0o700 });
  } catch (cause) {
    const exists = cause instanceof Error && 'code' in cause && cause.code === 'EEXIST';
    const why = exists ? 'is there already, and keys are not overwritten' : `cannot be made: ${String(cause)}`;
    throw wrong(argument, `${shown} ${why}`, 'Choose another folder, or move the old one away.');
  }
}

async function writeIdentity(
  folder: string,
  { authority, certificate, key }: TlsIdentity,
  shown = folder,
): Promise<void> {
  await makeFolder(folder, '--out', shown);
  await write(join(folder, IDENTITY_FILES.authority), authority);
  await write(join(folder, IDENTITY_FILES.certificate), certificate);
  await write(join(folder, IDENTITY_FILES.key), key);
}

function write(path: string, text: string): Promise<void> {
  return writeFile(path, text, { mode: 0o600, flag: 'wx' });
}

function wrong(argument: string, why: string, hint: string): RopeteamError {
  return new RopeteamError('USAGE.ARGUMENT', { argument }, `${argument}: ${why}`, { hint });
}

function explained(dir: string, hosts: readonly string[], days: number, command: string): string {
  return [
    `${dir}: an authority and ${ROLES.length} certificates, valid ${days} days; the coordinator is ${hosts.join(', ')}`,
    '',
    `  ${command} coordinator --host 0.0.0.0 --tls ${dir}/coordinator`,
    `  ${command} worker --coordinator ${hosts[0]}:50051 --tls ${dir}/worker`,
    `  ${command} submit job.yaml --coordinator ${hosts[0]}:50051 --tls ${dir}/submitter`,
    '',
    `Give each machine the one folder it needs. Keep ${dir}/authority/ca.key offline: who has it can make more.`,
  ].join('\n');
}
