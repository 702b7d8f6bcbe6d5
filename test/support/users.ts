/** Who can sign in, in tests: the password is the name backwards. */
export interface User {
  readonly id: number;
  readonly name: string;
}

const USERS: readonly User[] = [
  { id: 1, name: 'ann' },
  { id: 2, name: 'bob' },
];

export function findUser(id: unknown): User | undefined {
  return USERS.find((user) => user.id === id);
}

export function checkPassword(name: string, password: string): User | undefined {
  return USERS.find((user) => user.name === name && [...name].reverse().join('') === password);
}
