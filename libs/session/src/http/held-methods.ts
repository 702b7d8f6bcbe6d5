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
const IS_PREPARED = Symbol('nestjs-typeorm-session.isPrepared');

interface Holdable {
  [HOLD]?: Hold | undefined;
  /** Of a prototype that has the prepared methods, and of all that inherit from it. */
  readonly [IS_PREPARED]?: true;
}

export function setHold(response: ServerResponse, hold: Hold | undefined): void {
  (response as Holdable)[HOLD] = hold;
}

export function holdOf(response: object): Hold | undefined {
  return (response as Holdable)[HOLD];
}

/**
 * Gives an application's prototype of responses, as Express has one, the methods by which they can be held. On the responses
 * themselves each would cost V8 a hidden class for this one response: see docs/decisions/015-what-a-request-carries.md.
 */
export function prepareResponses(prototype: object): void {
  if (Object.hasOwn(prototype, IS_PREPARED)) return;
  Object.defineProperty(prototype, IS_PREPARED, { value: true });
  putMethods(prototype as ServerResponse, PREPARED);
  Object.defineProperty(prototype, 'writableEnded', WRITABLE_ENDED);
}

/** Makes room for the hold of a response of which the prepared application is the outermost: it stays with its prototype. */
export function makeRoomForHold(response: ServerResponse): void {
  setHold(response, undefined);
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

/** Lets a response tell of an `end` that is held, as prepared ones do anyway. */
export function tellOfEnd(response: ServerResponse): void {
  if (!Object.hasOwn(response, 'writableEnded')) Object.defineProperty(response, 'writableEnded', WRITABLE_ENDED);
}

const WRITABLE_ENDED: PropertyDescriptor = {
  configurable: true,
  get(this: ServerResponse) {
    return (holdOf(this)?.hasEnded ?? false) || (Reflect.get(prototypeBeneath(this), 'writableEnded', this) as boolean);
  },
};

/**
 * Whether a response has the prepared methods for good, and nobody has put methods of his own over those that begin it or go on
 * with it. Each property that is asked for costs: of the others, who has put his own calls ours in the end.
 */
export function isPrepared(response: ServerResponse): boolean {
  // Without room the application is mounted in another, to which the response may go back with another prototype.
  if (!Object.hasOwn(response, HOLD)) return false;
  const { write, end, writeHead } = PREPARED;
  return response.end === end && response.write === write && response.writeHead === writeHead;
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

/** Above all prototypes that are prepared: an application may be mounted in another. */
function prototypeBeneath(response: ServerResponse): HeldMethods {
  let prototype = Object.getPrototypeOf(response) as HeldMethods & Holdable;
  while (prototype[IS_PREPARED]) prototype = Object.getPrototypeOf(prototype) as HeldMethods & Holdable;
  return prototype;
}

const emitBeneath: Emit = (response, args) => prototypeBeneath(response).emit.apply(response, args) as boolean;

/** What the prepared methods hide: Node's own, as a rule. */
export const BENEATH = heldMethods(
  (response, method, args) => prototypeBeneath(response)[method].apply(response, args),
  emitBeneath,
);

/** On a response that nobody holds, or that is held before they are reached, they are what they hide. */
export const PREPARED = heldMethods(
  (response, method, args) => {
    const hold = holdOf(response);
    if (hold && !hold.isOuter) return hold.call(method, args);
    return prototypeBeneath(response)[method].apply(response, args);
  },
  (response, args) => {
    if (isPiping(args[0])) {
      const hold = holdOf(response);
      if (hold && !hold.isOuter) hold.piped(args[0], args[1] as Readable);
    }
    return emitBeneath(response, args);
  },
);

/** For a response that is not prepared, or where a middleware has put its own methods over the prepared ones. */
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
