import { inspect } from 'node:util';
import type { SessionErrorCode } from '../core/errors.js';
import type { ResolvedCookieOptions } from '../core/options.js';
import type { RequestSession } from '../core/request-session.js';
import { ViewCookie } from './view-cookie.js';

/** Whose `req.session` it stands for: `@fastify/session` has some methods more. */
export type ViewStyle = 'express' | 'fastify';

/** What `req.session` is: the values of the session as properties, and the members of express-session beside them. */
export type SessionView = Record<string, unknown>;

type Callback = (error?: unknown) => void;
type Members = Record<string, unknown> & { readonly id: string; readonly cookie: ViewCookie };

/** The views of one request's session: a new one after `regenerate` and `destroy`, as express-session has it. */
export class SessionViews {
  readonly #session: RequestSession;
  readonly #attributes: ResolvedCookieOptions;
  readonly #style: ViewStyle;
  #view: ViewHandler | undefined;

  constructor(session: RequestSession, attributes: ResolvedCookieOptions, style: ViewStyle) {
    this.#session = session;
    this.#attributes = attributes;
    this.#style = style;
  }

  /** What `req.session` is at this moment. */
  get current(): SessionView {
    this.#view ??= new ViewHandler(this.#session, this.#attributes, this.#style, (reason) => this.#leave(reason));
    return this.#view.proxy;
  }

  /** The view that was handed out keeps what it shows. */
  #leave(reason: SessionErrorCode): void {
    this.#view?.leave(reason);
    this.#view = undefined;
  }
}

/** What a view shows that the session has gone on without. */
interface Past {
  readonly id: string;
  readonly values: ReadonlyMap<string, unknown>;
  /** Why it cannot be changed any more. */
  readonly reason: SessionErrorCode;
}

class ViewHandler implements ProxyHandler<object> {
  readonly proxy: SessionView;
  readonly #session: RequestSession;
  readonly #members: Members;
  readonly #cookie: ViewCookie;
  readonly #leave: (reason: SessionErrorCode) => void;
  #past: Past | undefined;

  constructor(
    session: RequestSession,
    attributes: ResolvedCookieOptions,
    style: ViewStyle,
    leave: (reason: SessionErrorCode) => void,
  ) {
    this.#session = session;
    this.#leave = leave;
    this.#cookie = new ViewCookie(session, attributes);
    this.#members = style === 'fastify' ? this.#fastifyMembers() : this.#expressMembers();
    this.proxy = new Proxy(new ViewTarget(), this) as unknown as SessionView;
  }

  leave(reason: SessionErrorCode): void {
    if (this.#past || this.#session.failure) return;
    this.#cookie.leave();
    this.#past = { id: this.#session.id, values: new Map(this.#session.entries()), reason };
  }

  get(target: object, key: string | symbol): unknown {
    if (typeof key === 'symbol') return Reflect.get(target, key);
    if (Object.hasOwn(this.#members, key)) return this.#members[key];
    const value: unknown = this.#past ? this.#past.values.get(key) : this.#session.get(key);
    return value === undefined ? Reflect.get(target, key) : value;
  }

  has(target: object, key: string | symbol): boolean {
    if (typeof key === 'symbol') return Reflect.has(target, key);
    return Object.hasOwn(this.#members, key) || this.#hasValue(key) || Reflect.has(target, key);
  }

  set(_target: object, key: string | symbol, value: unknown): boolean {
    this.#throwPast();
    if (key === 'cookie' && typeof value === 'object' && value !== null) this.#cookie.assign(value);
    else this.#session.set(this.#ownKey(key), value);
    return true;
  }

  deleteProperty(_target: object, key: string | symbol): boolean {
    this.#throwPast();
    this.#session.delete(this.#ownKey(key));
    return true;
  }

  ownKeys(): string[] {
    const keys = this.#past ? [...this.#past.values.keys()] : this.#session.keys();
    return ['cookie', ...keys.filter((key) => !Object.hasOwn(this.#members, key))];
  }

  getOwnPropertyDescriptor(target: object, key: string | symbol): PropertyDescriptor | undefined {
    const isOwn = key === 'cookie' || (typeof key === 'string' && this.#isValue(key));
    return isOwn
      ? { value: this.get(target, key), configurable: true, enumerable: true, writable: true }
      : Reflect.getOwnPropertyDescriptor(target, key);
  }

  defineProperty(target: object, key: string | symbol, descriptor: PropertyDescriptor): boolean {
    if (descriptor.get || descriptor.set || !('value' in descriptor)) {
      throw this.#session.refusal('SESSION_VALUE', 'a property of req.session has a value, and no getter or setter');
    }
    return this.set(target, key, descriptor.value);
  }

  preventExtensions(): boolean {
    return false;
  }

  setPrototypeOf(): boolean {
    return false;
  }

  #expressMembers(): Members {
    const view = (): SessionView => this.proxy;
    // Each as a function of its own, since people promisify, bind and pass them on.
    return this.#describe({
      regenerate: (...args: unknown[]) => this.#settle(this.#regenerate(args[0]), args),
      destroy: (...args: unknown[]) =>
        this.#settle(
          this.#end(() => this.#session.destroy(), 'SESSION_GONE'),
          args,
        ),
      reload: (...args: unknown[]) =>
        this.#settle(
          this.#run(() => this.#session.reload()),
          args,
        ),
      save: (...args: unknown[]) =>
        this.#settle(
          this.#run(() => this.#session.save()),
          args,
        ),
      touch: (...args: unknown[]) =>
        this.#settle(
          this.#run(() => this.#session.touch()),
          args,
        ),
      resetMaxAge: () => {
        this.#cookie.reset();
        return view();
      },
    });
  }

  /** `get`, `set` and `data` are what `@fastify/passport` and `@fastify/flash` go by. */
  #fastifyMembers(): Members {
    return Object.defineProperties(this.#expressMembers(), {
      get: { value: (key: string) => this.get({}, key) },
      set: { value: (key: string, value: unknown) => void this.set({}, key, value) },
      data: { value: () => Object.fromEntries(this.#past?.values ?? this.#session.entries()) },
    });
  }

  #describe(methods: Record<string, unknown>): Members {
    const id = () => this.#past?.id ?? this.#session.id;
    return Object.defineProperties(methods, { id: { get: id }, cookie: { get: () => this.#cookie } }) as Members;
  }

  /** @param keep keys that stay, as `@fastify/session` has it */
  #regenerate(keep: unknown): Promise<void> {
    const keys = Array.isArray(keep) ? keep.map(String).filter((key) => !Object.hasOwn(this.#members, key)) : [];
    return this.#end(() => this.#session.restart(keys), 'SESSION_REPLACED');
  }

  /** What comes later is none of this view's business. */
  #end(operation: () => Promise<void>, reason: SessionErrorCode): Promise<void> {
    return this.#run(() => {
      this.#leave(reason);
      return operation();
    });
  }

  async #run(operation: () => Promise<void>): Promise<void> {
    this.#throwPast();
    await operation();
  }

  /** A callback is called, outside of any promise of ours; without one there is a promise, which need not be awaited. */
  #settle(outcome: Promise<void>, args: readonly unknown[]): unknown {
    const callback = args.find((argument): argument is Callback => typeof argument === 'function');
    if (!callback) {
      // The response tells it: see OperationQueue.
      outcome.catch(() => {});
      return outcome;
    }
    outcome.then(
      () => process.nextTick(callback),
      (error: unknown) => process.nextTick(callback, error),
    );
    return this.proxy;
  }

  #throwPast(): void {
    if (!this.#past) return;
    const detail =
      'req.session is another object since regenerate() or destroy(), and this one only shows what was there';
    throw this.#session.refusal(this.#past.reason, detail);
  }

  #hasValue(key: string): boolean {
    return this.#past ? this.#past.values.has(key) : this.#session.has(key);
  }

  #isValue(key: string): boolean {
    return !Object.hasOwn(this.#members, key) && this.#hasValue(key);
  }

  #ownKey(key: string | symbol): string {
    if (typeof key === 'string' && !Object.hasOwn(this.#members, key)) return key;
    throw this.#session.refusal('SESSION_KEY', `req.session has a member "${String(key)}" of its own`);
  }
}

/** Behind the proxy: what `util.inspect` shows, which looks there and not at the proxy. */
class ViewTarget {
  [inspect.custom](): string {
    return 'Session {}';
  }
}
