/** The Secrets that docs/kubernetes.md has its reader make, made by its own commands: as objects, and as a kubelet mounts them. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseAllDocuments } from 'yaml';
import { CHECKOUT } from './command.js';
import type { Kubectl, Manifest } from './kubectl.js';
import { filesOf } from './workload-pods.js';

const COMMAND = join(CHECKOUT, 'dist/cli/src/main.js');
/** Files that the reader has: what is in them is theirs to know. */
const FROM_ELSEWHERE = {
  'redis-url.txt': 'rediss://ropeteam:a-password@192.0.2.10:6380',
  'credentials.txt': '[default]\naws_access_key_id = an-id\naws_secret_access_key = a-secret\n',
};

export interface DocumentedSecrets extends Disposable {
  readonly objects: readonly Manifest[];
  /** Where a Secret's files are. */
  folderOf(secret: string): string;
}

export function makeDocumentedSecrets(kubectl: Kubectl): DocumentedSecrets {
  const folder = mkdtempSync(join(tmpdir(), 'ropeteam-secrets-'));
  const text = readFileSync(join(CHECKOUT, 'docs/kubernetes.md'), 'utf8');
  for (const [name, content] of Object.entries(FROM_ELSEWHERE)) writeFileSync(join(folder, name), content);
  for (const [, words = ''] of text.matchAll(/^npx ropeteam (certs .*)$/gm))
    execFileSync(process.execPath, [COMMAND, ...words.split(' ')], { cwd: folder });
  const made = [...text.matchAll(/^kubectl (-n ropeteam create secret generic .*)$/gm)].map(([, words = '']) =>
    kubectl.dryRun(words.split(' '), folder),
  );
  const script = execFileSync('sh', [join(CHECKOUT, 'deploy/kubernetes/redis-secret.sh')], { encoding: 'utf8' });
  const objects = [...parseAllDocuments(script).map((document) => document.toJS() as Manifest), ...made];
  const folderOf = (secret: string): string => join(folder, 'mounted', secret);
  for (const object of objects) {
    mkdirSync(folderOf(object.metadata.name), { recursive: true });
    for (const [name, content] of Object.entries(filesOf(object)))
      writeFileSync(join(folderOf(object.metadata.name), name), content, { mode: 0o440 });
  }
  return { objects, folderOf, [Symbol.dispose]: () => rmSync(folder, { recursive: true, force: true }) };
}
