/** The .proto files, loaded once: (de)serializers of messages and the paths of methods. */
import { fileURLToPath } from 'node:url';
import { loadSync, type MessageTypeDefinition } from '@grpc/proto-loader';

/** From `dist/packages/protocol/src` up to the root of the checkout or installation. */
const PROTO_ROOT = fileURLToPath(new URL('../../../../proto', import.meta.url));

const definitions = loadSync(['ropeteam/v1/training_service.proto', 'ropeteam/v1/run_service.proto'], {
  includeDirs: [PROTO_ROOT],
  keepCase: false,
  // Text keeps every digit until `fields.ts` has checked that a double holds the number exactly.
  longs: String,
  enums: String,
  defaults: true,
  arrays: true,
  oneofs: true,
});

/** A decoded message: plain data whose fields are still to be checked (see `readMessage`). */
export type PlainMessage = Readonly<Record<string, unknown>>;

export interface MessageCodec {
  encode(message: PlainMessage): Buffer;
  /** Throws an `Error` of the protobuf library on malformed bytes. */
  decode(bytes: Buffer): PlainMessage;
}

function codec(name: string): MessageCodec {
  const definition = definitions[`ropeteam.v1.${name}`];
  if (definition === undefined || !('serialize' in definition)) throw new Error(`proto has no message ${name}`);
  // Typed by proto-loader as object in, object out; the shapes are the .proto file's.
  const type = definition as MessageTypeDefinition<PlainMessage, PlainMessage>;
  return { encode: (message) => type.serialize(message), decode: (bytes) => type.deserialize(bytes) };
}

export const sessionRequest: MessageCodec = codec('SessionRequest');
export const gradientReceipt: MessageCodec = codec('GradientReceipt');
export const leaseReceipt: MessageCodec = codec('LeaseReceipt');
export const sessionResponse: MessageCodec = codec('SessionResponse');
export const fetchShardRequest: MessageCodec = codec('FetchShardRequest');
export const fetchShardResponse: MessageCodec = codec('FetchShardResponse');
export const submitRunRequest: MessageCodec = codec('SubmitRunRequest');
export const submitRunResponse: MessageCodec = codec('SubmitRunResponse');
export const listRunsRequest: MessageCodec = codec('ListRunsRequest');
export const listRunsResponse: MessageCodec = codec('ListRunsResponse');
export const watchRunRequest: MessageCodec = codec('WatchRunRequest');
export const watchRunResponse: MessageCodec = codec('WatchRunResponse');
export const stopRunRequest: MessageCodec = codec('StopRunRequest');
export const stopRunResponse: MessageCodec = codec('StopRunResponse');
export const resumeRunRequest: MessageCodec = codec('ResumeRunRequest');
export const resumeRunResponse: MessageCodec = codec('ResumeRunResponse');

/**
 * A method as gRPC sees it: bytes in, bytes out. Messages are encoded before they are handed to gRPC and decoded after
 * they were received, so a malformed one gets our answer instead of a bare INTERNAL, and a frame that is encoded once
 * goes to every worker unchanged.
 */
export interface ByteMethod {
  readonly path: string;
  readonly requestStream: boolean;
  readonly responseStream: boolean;
  readonly requestSerialize: (bytes: Uint8Array) => Buffer;
  readonly requestDeserialize: (bytes: Buffer) => Buffer;
  readonly responseSerialize: (bytes: Uint8Array) => Buffer;
  readonly responseDeserialize: (bytes: Buffer) => Buffer;
}

/** The bytes themselves, as the Buffer gRPC wants; no copy. */
function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function method(service: string, name: string): ByteMethod {
  const definition = definitions[`ropeteam.v1.${service}`];
  // A service is a table of methods; a message would have `format`.
  const methods = (definition ?? {}) as Record<
    string,
    { path: string; requestStream: boolean; responseStream: boolean }
  >;
  const found = methods[name];
  if (found === undefined) throw new Error(`proto has no method ${service}.${name}`);
  const { path, requestStream, responseStream } = found;
  return {
    path,
    requestStream,
    responseStream,
    requestSerialize: asBuffer,
    requestDeserialize: (bytes) => bytes,
    responseSerialize: asBuffer,
    responseDeserialize: (bytes) => bytes,
  };
}

export const TRAINING_SERVICE = 'ropeteam.v1.TrainingService';
export const RUN_SERVICE = 'ropeteam.v1.RunService';

export const trainingMethods = {
  session: method('TrainingService', 'Session'),
  fetchShard: method('TrainingService', 'FetchShard'),
} as const;

export const runMethods = {
  submitRun: method('RunService', 'SubmitRun'),
  listRuns: method('RunService', 'ListRuns'),
  watchRun: method('RunService', 'WatchRun'),
  stopRun: method('RunService', 'StopRun'),
  resumeRun: method('RunService', 'ResumeRun'),
} as const;
