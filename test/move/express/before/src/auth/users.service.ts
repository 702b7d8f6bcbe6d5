import { Injectable } from '@nestjs/common';

export interface User {
  id: number;
  name: string;
}

@Injectable()
export class UsersService {
  private readonly users = [
    { id: 1, name: 'ann', password: 'correct horse' },
    { id: 2, name: 'bob', password: 'battery staple' },
  ];

  check(name: string, password: string): User | undefined {
    const user = this.users.find((candidate) => candidate.name === name && candidate.password === password);
    return user && { id: user.id, name: user.name };
  }

  byId(id: number): User | undefined {
    const user = this.users.find((candidate) => candidate.id === id);
    return user && { id: user.id, name: user.name };
  }
}
