import { EntitySchema } from 'typeorm';

export const NaiveRow = new EntitySchema({
  name: 'NaiveRow',
  tableName: 'naive_sessions',
  columns: { id: { type: 'varchar', length: 36, primary: true }, data: { type: 'simple-json' } },
});
