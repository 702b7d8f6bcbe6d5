import { randomUUID } from 'node:crypto';

const createId = () => randomUUID().replaceAll('-', '');

/** The methods of the library's session, on a document that belongs to this request alone until it is saved. */
export class NaiveSession {
  #repository;
  #data;
  #isChanged = false;
  id;

  constructor(repository, row) {
    this.#repository = repository;
    this.#data = row?.data ?? {};
    this.id = row?.id;
  }

  entries() {
    return Object.entries(this.#data);
  }

  set(key, value) {
    this.#data[key] = value;
    this.#isChanged = true;
  }

  increment(key) {
    this.set(key, (this.#data[key] ?? 0) + 1);
    return this.#data[key];
  }

  append(key, item) {
    return this.update(key, (items = []) => [...items, item]).length;
  }

  update(key, change) {
    this.set(key, change(this.#data[key]));
    return this.#data[key];
  }

  setIfAbsent(key, value) {
    const isAbsent = !(key in this.#data);
    if (isAbsent) this.set(key, value);
    return isAbsent;
  }

  take(key) {
    const value = this.#data[key];
    if (value === undefined) return undefined;
    delete this.#data[key];
    this.#isChanged = true;
    return value;
  }

  async destroy() {
    if (this.id !== undefined) await this.#repository.delete(this.id);
    this.#data = {};
  }

  async regenerate() {
    if (this.id !== undefined) await this.#repository.delete(this.id);
    this.id = undefined;
    this.#isChanged = true;
  }

  /** @returns {Promise<boolean>} whether the browser has to be told a new id */
  async save() {
    if (!this.#isChanged) return false;
    const isNew = this.id === undefined;
    this.id ??= createId();
    await this.#repository.save({ id: this.id, data: this.#data });
    return isNew;
  }
}
