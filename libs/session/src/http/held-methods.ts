import type { ServerResponse } from 'node:http';
import type { Readable } from 'node:stream';

/** The ways to begin a response, or to go on with it. */
export type Method = 'write' | 'end' | 'writeHead' | 'flushHeaders';

/** The methods of a response by which it is held. */
export type HeldMethods = Readonly<Record<Method | 'emit', (...args: any[]) => any>>;

/** What decides when a response goes on. */
export interface Hold {
  /** It takes the calls before any middleware does that has put methods of its own on the response. */
  readonly isOuter: boolean;
  /** `end` was called, although nothing may have been sent yet. */
  readonly hasEnded: boolean;
  /** The methods that it has taken the place of. */
  readonly original: HeldMethods;
  call(method: Method, args: unknown[]): unknown;
  /** Is told of a stream that is piped into the response, or no longer. */
  piped(event: 'pipe' | 'unpipe', source: Readable): void;
}

const HOLD = Symbol('nestjs-typeorm-session.hold');

interface Holdable {
  [HOLD]?: Hold | undefined;
}

export function setHold(response: ServerResponse, hold: Hold | undefined): void {
  (response as Holdable)[HOLD] = hold;
}

export function holdOf(response: object): Hold | undefined {
  return (response as Holdable)[HOLD];
}

/**
 * Gives a response the methods by which it can be held, before anybody else has touched it. Express changes the prototype
 * next, and from then on each new property makes V8 a hidden class for this one response: see
 * docs/decisions/015-what-a-request-carries.md.
 */
export function prepareResponse(response: ServerResponse): void {
  setHold(response, undefined);
  putMethods(response, PREPARED);
  tellOfEnd(response);
}

/** One after the other, which is much quicker than `Object.assign`. With the old name of `writeHead`, which would go past us. */
export function putMethods(response: ServerResponse, { write, end, writeHead, flushHeaders, emit }: HeldMethods): void {
  response.write = write;
  response.end = end;
  response.writeHead = writeHead;
  (response as { writeHeader?: unknown }).writeHeader = writeHead;
  response.flushHeaders = flushHeaders;
  response.emit = emit;
}

/** Lets a response tell of an `end` that is held. */
export function tellOfEnd(response: ServerResponse): void {
  if (!Object.hasOwn(response, 'writableEnded')) Object.defineProperty(response, 'writableEnded', WRITABLE_ENDED);
}

const WRITABLE_ENDED: PropertyDescriptor = {
  configurable: true,
  get(this: ServerResponse) {
    return (
      (holdOf(this)?.hasEnded ?? false) ||
      (Reflect.get(Object.getPrototypeOf(this) as object, 'writableEnded', this) as boolean)
    );
  },
};

/** Whether a response was prepared, and nobody has put methods of his own in their place since. */
export function isPrepared(response: ServerResponse): boolean {
  const { write, end, writeHead, flushHeaders, emit } = response;
  return (
    end === PREPARED.end &&
    write === PREPARED.write &&
    writeHead === PREPARED.writeHead &&
    flushHeaders === PREPARED.flushHeaders &&
    emit === PREPARED.emit
  );
}

type Call = (response: ServerResponse, method: Method, args: unknown[]) => unknown;
type Emit = (response: ServerResponse, args: [event: string, ...rest: unknown[]]) => boolean;

// Made once for all responses instead of for each: they are on the path of every request.
function heldMethods(call: Call, emit: Emit) {
  return {
    write(this: ServerResponse, ...args: unknown[]) {
      return call(this, 'write', args);
    },
    end(this: ServerResponse, ...args: unknown[]) {
      return call(this, 'end', args);
    },
    writeHead(this: ServerResponse, ...args: unknown[]) {
      return call(this, 'writeHead', args);
    },
    flushHeaders(this: ServerResponse, ...args: unknown[]) {
      call(this, 'flushHeaders', args);
    },
    /** To know what is piped. Two listeners would do as well, and cost every response more than all of this. */
    emit(this: ServerResponse, ...args: [event: string, ...rest: unknown[]]) {
      return emit(this, args);
    },
  };
}

function prototypeOf(response: ServerResponse): HeldMethods {
  return Object.getPrototypeOf(response) as HeldMethods;
}

const emitBeneath: Emit = (response, args) => prototypeOf(response).emit.apply(response, args) as boolean;

/** Node's own methods, or those of the prototype that the response has by now. */
export const BENEATH = heldMethods(
  (response, method, args) => prototypeOf(response)[method].apply(response, args),
  emitBeneath,
);

/** On a response that nobody holds, or that is held before they are reached, they are what they hide. */
export const PREPARED = heldMethods(
  (response, method, args) => {
    const hold = holdOf(response);
    if (hold && !hold.isOuter) return hold.call(method, args);
    return prototypeOf(response)[method].apply(response, args);
  },
  (response, args) => {
    if (isPiping(args[0])) holdOf(response)?.piped(args[0], args[1] as Readable);
    return emitBeneath(response, args);
  },
);

/** For a response that was not prepared, or where a middleware has put its own methods over the prepared ones. */
export const OUTER = heldMethods(
  (response, method, args) => holdOf(response)!.call(method, args),
  (response, args) => {
    const hold = holdOf(response)!;
    if (isPiping(args[0])) hold.piped(args[0], args[1] as Readable);
    return hold.original.emit.apply(response, args) as boolean;
  },
);

function isPiping(event: string): event is 'pipe' | 'unpipe' {
  return event === 'pipe' || event === 'unpipe';
}
