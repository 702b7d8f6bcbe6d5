import { Module } from '@nestjs/common';
import { ApiController } from './api.controller.js';
import { PageController } from './page/page.controller.js';

@Module({ controllers: [ApiController, PageController] })
export class ShopModule {}
