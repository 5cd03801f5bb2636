/** Where object storage is and who asks there, in the variables that every S3 tool reads. All throw USAGE.ARGUMENT. */
import { readFileSync } from 'node:fs';
import { RopeteamError } from '#training';
import { isLeftOpen } from './service-settings.js';

export interface ObjectStoreSettings {
  /** URL without a path. */
  readonly endpoint: string;
  readonly region: string;
  /** Absent: nobody in particular, as public buckets allow. Never logged. */
  readonly credentials: { readonly accessKeyId: string; readonly secretAccessKey: string } | undefined;
}

type Variables = Readonly<Record<string, string | undefined>>;

const DEFAULT_REGION = 'us-east-1';

/**
 * `AWS_ENDPOINT_URL_S3` or `AWS_ENDPOINT_URL` (absent: Amazon's of `AWS_REGION`), and credentials from
 * `AWS_SHARED_CREDENTIALS_FILE` (profile `AWS_PROFILE`) or `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`. Read when object
 * storage is first asked for: many machines have these variables for other reasons.
 */
export function objectStoreSettings(variables: Variables, insecure: boolean): ObjectStoreSettings {
  const given = variables.AWS_ENDPOINT_URL_S3 || variables.AWS_ENDPOINT_URL || undefined;
  const region = variables.AWS_REGION || variables.AWS_DEFAULT_REGION || undefined;
  if (given === undefined && region === undefined) {
    throw refused('AWS_ENDPOINT_URL', 'no object storage is set up where the coordinator runs', {
      hint: 'set AWS_ENDPOINT_URL to its address, or AWS_REGION for Amazon S3; docs/data.md has all settings',
    });
  }
  const endpoint = given ?? `https://s3.${region}.amazonaws.com`;
  if (!URL.canParse(endpoint) || !/^https?:$/.test(new URL(endpoint).protocol)) {
    throw refused('AWS_ENDPOINT_URL', 'AWS_ENDPOINT_URL is no address such as https://storage.example.org:9000');
  }
  const { protocol, hostname, username, password } = new URL(endpoint);
  if (username !== '' || password !== '')
    throw refused('AWS_ENDPOINT_URL', 'AWS_ENDPOINT_URL holds a name or password; they belong into a credentials file');
  isLeftOpen({
    argument: 'AWS_ENDPOINT_URL',
    host: hostname.replace(/^\[|\]$/g, ''),
    closed: protocol === 'https:',
    insecure,
    hint: 'Give it an address with https://',
  });
  return { endpoint, region: region ?? DEFAULT_REGION, credentials: credentialsFrom(variables) };
}

function credentialsFrom(variables: Variables): ObjectStoreSettings['credentials'] {
  const file = variables.AWS_SHARED_CREDENTIALS_FILE || undefined;
  const found = file === undefined ? variables : profileIn(file, variables.AWS_PROFILE || 'default');
  const accessKeyId = found.AWS_ACCESS_KEY_ID || undefined;
  const secretAccessKey = found.AWS_SECRET_ACCESS_KEY || undefined;
  if (found.AWS_SESSION_TOKEN)
    throw refused('AWS_SESSION_TOKEN', 'temporary credentials, those with a session token, cannot be used');
  if (accessKeyId === undefined && secretAccessKey === undefined && file === undefined) return undefined;
  if (accessKeyId !== undefined && secretAccessKey !== undefined) return { accessKeyId, secretAccessKey };
  const where = file ?? 'the environment';
  throw refused('AWS_ACCESS_KEY_ID', `${where} has not both of AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY`);
}

/** One profile of the file that Amazon's tools share, with the names of the environment's variables. */
function profileIn(file: string, profile: string): Variables {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw refused('AWS_SHARED_CREDENTIALS_FILE', `AWS_SHARED_CREDENTIALS_FILE cannot be read: ${why}`, { cause });
  }
  const found: Record<string, string> = {};
  let current: string | undefined;
  for (const line of text.split(/\r?\n/)) {
    current = /^\s*\[\s*([^\]]+?)\s*\]/.exec(line)?.[1] ?? current;
    const [, name, value] = /^\s*(aws_\w+)\s*=\s*(\S*)\s*$/.exec(line) ?? [];
    if (current === profile && name !== undefined && value !== undefined) found[name.toUpperCase()] = value;
  }
  if (Object.keys(found).length > 0) return found;
  throw refused('AWS_SHARED_CREDENTIALS_FILE', `${file} has no profile [${profile}]`);
}

function refused(argument: string, message: string, details: { hint?: string; cause?: unknown } = {}): RopeteamError {
  return new RopeteamError('USAGE.ARGUMENT', { argument }, message, details);
}
