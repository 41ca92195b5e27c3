export { ChatChunk, ChatCompletion, ChatLogprobs, ChatRequest } from './chat.js';
export { FinishReason, Usage } from './common.js';
export { TextCompletion, TextLogprobs, TextRequest } from './text.js';
