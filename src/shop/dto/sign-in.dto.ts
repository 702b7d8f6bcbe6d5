import { IsShortText } from '../short-text.js';

export class SignIn {
  @IsShortText()
  name: string;
}
