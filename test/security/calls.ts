/** Calls that no client of ours would make: any bytes to any method, with any certificate. */
import { connect } from 'node:http2';
import { fileURLToPath } from 'node:url';
import { status } from '@grpc/grpc-js';
import { loadSync, type MessageTypeDefinition } from '@grpc/proto-loader';
import type { TlsIdentity } from '#protocol';
import { ATTACKER, type Target } from './target.js';

const definitions = loadSync(['ropeteam/v1/training_service.proto', 'ropeteam/v1/run_service.proto'], {
  includeDirs: [fileURLToPath(new URL('../../../proto', import.meta.url))],
  longs: String,
  keepCase: true,
});

/** The bytes of a message of `proto/`. */
export function message(name: string, value: object): Buffer {
  const definition = definitions[`ropeteam.v1.${name}`];
  if (definition === undefined || !('serialize' in definition)) throw new Error(`no message ${name}`);
  return (definition as MessageTypeDefinition<object, object>).serialize(value); // it has `serialize`: no service
}

/** A message as gRPC frames it. */
export function framed(bytes: Uint8Array, { compressed = false, claimed = bytes.length } = {}): Buffer {
  const prefix = Buffer.alloc(5);
  prefix[0] = compressed ? 1 : 0;
  prefix.writeUInt32BE(claimed, 1);
  return Buffer.concat([prefix, bytes]);
}

export interface OddCall {
  /** `TrainingService/Session`, … */
  readonly method: string;
  readonly identity: TlsIdentity;
  readonly body: readonly Uint8Array[];
  readonly headers?: Readonly<Record<string, string>>;
  /** Leaves the call open, to see who ends it. */
  readonly unended?: boolean;
  readonly patienceMs?: number;
}

/** Resolves with the status and the code of the error behind it: `INVALID_ARGUMENT USAGE.ARGUMENT`. */
export function oddCall(
  { host, port }: Target,
  { method, identity, body, headers, unended, patienceMs = 10_000 }: OddCall,
): Promise<string> {
  const { authority: ca, certificate: cert, key } = identity;
  // An option of TCP, which is handed down to it.
  const from = { localAddress: ATTACKER };
  const session = connect(`https://${host}:${port}`, { ca, cert, key, ...from });
  return new Promise<string>((resolve) => {
    const timer = setTimeout(() => resolve('nothing'), patienceMs);
    const ended = (result: string) => {
      clearTimeout(timer);
      resolve(result);
    };
    session.on('error', () => ended('cut')).on('close', () => ended('cut'));
    const path = method.startsWith('/') ? method : `/ropeteam.v1.${method}`;
    const call = session.request({
      ':method': 'POST',
      ':path': path,
      'content-type': 'application/grpc',
      te: 'trailers',
      ...headers,
    });
    const read = (trailers: Readonly<Record<string, unknown>>) => {
      const code = trailers['grpc-status'];
      if (code === undefined) return;
      const envelope = trailers['ropeteam-error-bin'];
      const text = typeof envelope === 'string' ? Buffer.from(envelope, 'base64').toString('utf8') : '';
      const error = /"code":"([A-Z_.]+)"/.exec(text)?.[1];
      ended(`${status[Number(code)]}${error === undefined ? '' : ` ${error}`}`);
    };
    call.on('response', read).on('trailers', read);
    call.on('error', () => ended('cut'));
    call.on('close', () => ended('cut'));
    call.resume();
    for (const part of body) call.write(part);
    if (unended !== true) call.end();
  }).finally(() => session.destroy());
}
