import 'reflect-metadata';
import { SessionEntity } from 'nestjs-typeorm-session';
import { DataSource } from 'typeorm';
import { databaseOptions } from './src/database.js';

// The application finds its entities through Nest modules (`autoLoadEntities`), which the TypeORM CLI does not load.
export default new DataSource({ ...databaseOptions(), entities: [SessionEntity] });
