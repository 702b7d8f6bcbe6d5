import type {
  ElementOf,
  LoginOptions,
  SaveOptions,
  Session,
  SessionData,
  SessionKey,
  UpdateFunction,
} from '../core/session.js';

/** A session that passes everything on to the one of the current request. */
export abstract class SessionFacade<T extends object = SessionData> implements Session<T> {
  protected abstract current(): Session<T>;

  get isNew(): boolean {
    return this.current().isNew;
  }
  get id(): string {
    return this.current().id;
  }
  get userId(): string | undefined {
    return this.current().userId;
  }
  get expiresAt(): Date | undefined {
    return this.current().expiresAt;
  }
  get<K extends SessionKey<T>>(key: K): T[K] | undefined;
  get<K extends SessionKey<T>>(key: K, fallback: Exclude<T[K], undefined>): Exclude<T[K], undefined>;
  get<K extends SessionKey<T>>(key: K, fallback?: Exclude<T[K], undefined>): T[K] | undefined {
    return fallback === undefined ? this.current().get(key) : this.current().get(key, fallback);
  }
  set<K extends SessionKey<T>>(key: K, value: T[K]): void {
    this.current().set(key, value);
  }
  has(key: SessionKey<T>): boolean {
    return this.current().has(key);
  }
  delete(key: SessionKey<T>): void {
    this.current().delete(key);
  }
  clear(): void {
    this.current().clear();
  }
  pull<K extends SessionKey<T>>(key: K): T[K] | undefined {
    return this.current().pull(key);
  }
  keys(): SessionKey<T>[] {
    return this.current().keys();
  }
  entries(): [SessionKey<T>, T[SessionKey<T>]][] {
    return this.current().entries();
  }
  flash(kind: string, message: unknown): void;
  flash(kind: string): unknown[];
  flash(kind: string, message?: unknown): unknown[] | void {
    return message === undefined ? this.current().flash(kind) : this.current().flash(kind, message);
  }
  save(options?: SaveOptions): Promise<void> {
    return this.current().save(options);
  }
  touch(): Promise<void> {
    return this.current().touch();
  }
  regenerate(): Promise<void> {
    return this.current().regenerate();
  }
  login(userId: string, options?: LoginOptions<SessionKey<T>>): Promise<void> {
    return this.current().login(userId, options);
  }
  destroy(): Promise<void> {
    return this.current().destroy();
  }
  increment(key: SessionKey<T>, by?: number): Promise<number> {
    return this.current().increment(key, by);
  }
  append<K extends SessionKey<T>>(key: K, ...items: ElementOf<T[K]>[]): Promise<number> {
    return this.current().append(key, ...items);
  }
  setIfAbsent<K extends SessionKey<T>>(key: K, value: T[K]): Promise<boolean> {
    return this.current().setIfAbsent(key, value);
  }
  take<K extends SessionKey<T>>(key: K): Promise<T[K] | undefined> {
    return this.current().take(key);
  }
  update<K extends SessionKey<T>>(key: K, fn: UpdateFunction<T[K]>): Promise<T[K] | undefined> {
    return this.current().update(key, fn);
  }
}
