import type { ServerResponse } from 'node:http';

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
  call(method: Method, args: unknown[]): unknown;
  emit(args: unknown[]): unknown;
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

type Call = (response: ServerResponse, method: Method | 'emit', args: unknown[]) => unknown;

// Made once for all responses instead of for each: they are on the path of every request.
function heldMethods(call: Call) {
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
    emit(this: ServerResponse, ...args: unknown[]) {
      return call(this, 'emit', args);
    },
  };
}

/** Node's own methods, or those of the prototype that the response has by now. */
export const BENEATH = heldMethods((response, method, args) =>
  (Object.getPrototypeOf(response) as HeldMethods)[method].apply(response, args),
);

/** On a response that nobody holds, or that is held before they are reached, they are what they hide. */
export const PREPARED = heldMethods((response, method, args) => {
  const hold = holdOf(response);
  return hold && !hold.isOuter ? callHold(hold, method, args) : BENEATH[method].apply(response, args as never);
});

/** For a response that was not prepared, or where a middleware has put its own methods over the prepared ones. */
export const OUTER = heldMethods((response, method, args) => callHold(holdOf(response)!, method, args));

function callHold(hold: Hold, method: Method | 'emit', args: unknown[]): unknown {
  return method === 'emit' ? hold.emit(args) : hold.call(method, args);
}
