import {
  applyDecorators,
  createParamDecorator,
  SetMetadata,
  UseGuards,
  type ExecutionContext,
  type PipeTransform,
  type Type,
} from '@nestjs/common';
import type { Session as SessionOfRequest, SessionData, SessionKey } from '../core/session.js';
import { rawRequestOf, requestOf, sessionOf } from './request-sessions.js';
import { SessionGuard } from './session.guard.js';
import { REQUIRE_SESSION, SKIP_SESSION, type RequireSessionOptions } from './session.metadata.js';

type Pipe = PipeTransform | Type<PipeTransform>;

/** The declared type of a method's parameter. */
type ParameterAt<C, M extends keyof C, I extends number> = C[M] extends (...args: infer A) => unknown ? A[I] : never;

/** A parameter decorator that fits only parameters which can take `V`, or `undefined` where the session has no such key. */
export type SessionParameter<V> = <C, M extends keyof C, I extends number>(
  target: C,
  method: M,
  index: [V | undefined] extends [ParameterAt<C, M, I>] ? I : never,
) => void;

export interface SessionDecorator {
  /** The session of the request. */
  (): ParameterDecorator;
  /** One value of the session, through the pipes; `undefined` where the session has none. `T` checks the key. */
  <T extends object = SessionData>(key: SessionKey<T>, ...pipes: Pipe[]): ParameterDecorator;
  /** One value of the session; checks the key and the type of the parameter. */
  <T extends object, K extends SessionKey<T>>(key: K): SessionParameter<T[K]>;
}

/** What {@link createSessionDecorator} makes. */
export interface TypedSessionDecorator<T extends object> {
  (): ParameterDecorator;
  <K extends SessionKey<T>>(key: K): SessionParameter<T[K]>;
  (key: SessionKey<T>, ...pipes: [Pipe, ...Pipe[]]): ParameterDecorator;
}

/** The type of the session that `@Session()` injects: `@Session() session: Session<Shop>`. */
export interface Session<T extends object = SessionData> extends SessionOfRequest<T> {}

/**
 * Injects the session of the request, or one of its values. The controller stays a singleton.
 *
 * Not to be confused with `Session` of `@nestjs/common`, which injects `req.session`.
 */
// The type is written out: the inferred one names types that Nest 11 does not have.
export const Session: SessionDecorator = createParamDecorator((key: string | undefined, context: ExecutionContext) => {
  const session = sessionOf(rawRequestOf(requestOf(context)));
  return key === undefined ? session : (session.get(key) as unknown);
}) as SessionDecorator;

/** `@Session()` that knows an application's keys: `const ShopSession = createSessionDecorator<Shop>()`. */
export function createSessionDecorator<T extends object>(): TypedSessionDecorator<T> {
  return Session as TypedSessionDecorator<T>;
}

/** The guard leaves the route alone: no query, no header, no session. */
export const SkipSession = (): ClassDecorator & MethodDecorator => SetMetadata(SKIP_SESSION, true);

/** Answers 401 `SESSION_REQUIRED` where the request has no session. Brings the guard along. */
export function RequireSession(options: RequireSessionOptions = {}): ClassDecorator & MethodDecorator {
  return applyDecorators(SetMetadata(REQUIRE_SESSION, options), UseGuards(SessionGuard));
}
