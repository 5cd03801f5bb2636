/** docs/protocol.md: every call, message and field, from the comments of proto/ropeteam/v1/. */
import { readFileSync } from 'node:fs';
import protobuf, { type Field, type Method, type ReflectionObject } from 'protobufjs';
import { code, page, table } from './markdown.js';

const FILES = ['training_service.proto', 'run_service.proto', 'plan.proto'] as const;
/** dist/docs/reference/ is three folders below the checkout. */
const FOLDER = new URL('../../../proto/ropeteam/v1/', import.meta.url);

const INTRODUCTION = `# What is said on the wire

Written by \`node scripts/write-reference.mjs\` from the comments of \`proto/ropeteam/v1/\`; a test holds it to them.

gRPC, package \`ropeteam.v1\`. One port serves both services and the standard \`grpc.health.v1.Health\`. Who may call what is in
[security.md](security.md), what a refused call tells in [errors.md](errors.md), what a message of the queue holds in
[ARCHITECTURE.md](../ARCHITECTURE.md).`;

/** A message, a value, a field or a call that no comment explains, for a test: there is none. */
export function undocumented(): readonly string[] {
  const bare = (thing: ReflectionObject): readonly string[] => (commentOf(thing) === '' ? [nameOf(thing)] : []);
  return FILES.flatMap(thingsOf)
    .flatMap(withAllInside)
    .flatMap((thing) => [...bare(thing), ...bareValues(thing)]);
}

/** The whole page. */
export function protocolPage(): string {
  return page([
    INTRODUCTION,
    ...FILES.flatMap((file) => [`## ${file}`, headOf(file), ...thingsOf(file).flatMap(describe)]),
  ]);
}

function describe(thing: ReflectionObject): readonly string[] {
  if (thing instanceof protobuf.Service) {
    return [`### ${thing.name}`, commentOf(thing), ...thing.methodsArray.flatMap(describeCall)];
  }
  if (thing instanceof protobuf.Enum) {
    const rows = Object.entries(thing.values).map(([name, number]) => [
      code(name),
      String(number),
      valueComment(thing, name),
    ]);
    return [`### ${nameOf(thing)}`, commentOf(thing), table(['Value', 'Number', 'Meaning'], rows)];
  }
  if (thing instanceof protobuf.Type) {
    const rows = thing.fieldsArray.map((field) => [
      code(field.name),
      typeOf(field),
      String(field.id),
      oneLine(commentOf(field)),
    ]);
    return [
      `### ${nameOf(thing)}`,
      commentOf(thing),
      choices(thing),
      table(['Field', 'Type', 'Number', 'Meaning'], rows),
      ...thing.nestedArray.flatMap(describe),
    ];
  }
  return [];
}

function describeCall(call: Method): readonly string[] {
  const side = (type: ReflectionObject | null, stream: boolean | undefined): string =>
    `${stream === true ? 'stream of ' : ''}${type === null ? '' : link(type)}`;
  return [
    `#### ${call.name}`,
    `${side(call.resolvedRequestType, call.requestStream)} → ${side(call.resolvedResponseType, call.responseStream)}`,
    commentOf(call),
  ];
}

/** Which fields exclude each other. An `optional` field lies in a oneof of its own, which the file does not have. */
function choices(type: protobuf.Type): string {
  const written = type.oneofsArray.filter((choice) => !choice.isProto3Optional);
  return written
    .map(
      ({ name, fieldsArray }) =>
        `One of these is set (${code(name)}): ${fieldsArray.map((field) => code(field.name)).join(', ')}.`,
    )
    .join('\n\n');
}

function typeOf(field: Field): string {
  const { resolvedType } = field;
  const type = resolvedType === null ? code(field.type) : link(resolvedType);
  const presence = field.partOf?.isProto3Optional === true ? 'optional ' : '';
  return `${field.repeated ? 'repeated ' : presence}${type}`;
}

function link(thing: ReflectionObject): string {
  const name = nameOf(thing);
  return `[${code(name)}](#${name.toLowerCase().replaceAll('.', '')})`;
}

/** `Optimizer.Sgd` for a message within another. */
function nameOf(thing: ReflectionObject): string {
  return thing.fullName.replace(/^\.ropeteam\.v1\./, '');
}

/** As in the file, its lines joined: a page breaks them where it likes. An empty line parts paragraphs. */
function commentOf({ comment }: ReflectionObject): string {
  return joined(comment ?? '');
}

function valueComment(values: protobuf.Enum, name: string): string {
  return oneLine(joined(values.comments[name] ?? ''));
}

const joined = (text: string): string =>
  text
    .split(/\n\s*\n/)
    .map((paragraph) => paragraph.trim().replaceAll(/\s*\n\s*/g, ' '))
    .join('\n\n');

const oneLine = (text: string): string => text.replaceAll(/\s+/g, ' ');

function bareValues(thing: ReflectionObject): readonly string[] {
  if (!(thing instanceof protobuf.Enum)) return [];
  return Object.keys(thing.values).filter((name) => valueComment(thing, name) === '');
}

/** A thing and all in it: messages, their fields, calls. */
function withAllInside(thing: ReflectionObject): readonly ReflectionObject[] {
  const inside = [
    ...(thing instanceof protobuf.Type ? [...thing.fieldsArray, ...thing.nestedArray] : []),
    ...(thing instanceof protobuf.Service ? thing.methodsArray : []),
  ];
  return [thing, ...inside.flatMap(withAllInside)];
}

type File = (typeof FILES)[number];
const textOf = (file: File): string => readFileSync(new URL(file, FOLDER), 'utf8');

/** Services, messages and enums of a file, in its order. The files name each other's, so they are read together. */
function thingsOf(file: File): readonly ReflectionObject[] {
  const all = spaceOf(FILES);
  all.root.resolveAll();
  return spaceOf([file]).nestedArray.flatMap(({ name }) => all.get(name) ?? []);
}

function spaceOf(files: readonly File[]): protobuf.Namespace {
  const root = new protobuf.Root();
  for (const file of files) protobuf.parse(textOf(file), root, { keepCase: true, alternateCommentMode: true });
  const space = root.lookup('ropeteam.v1');
  if (space instanceof protobuf.Namespace) return space;
  throw new Error('there is no package ropeteam.v1');
}

/** The comment a file begins with; its lists stay lists. */
function headOf(file: File): string {
  const lines = textOf(file).split('\n');
  const end = lines.findIndex((line) => !line.startsWith('//'));
  const said = lines.slice(0, end).map((line) => line.replace(/^\/\/ ?/, ''));
  return said
    .join('\n')
    .replaceAll(/\n {4,}(?=\S)/g, ' ')
    .replaceAll(/^ {2}- /gm, '- ')
    .replaceAll(/:\n- /g, ':\n\n- ');
}
