export { ChatChunk, ChatCompletion, ChatFinishReason, ChatLogprobs, ChatRequest, type ToolCall } from './chat.js';
export { FinishReason, Usage } from './common.js';
export { TextCompletion, TextLogprobs, TextRequest } from './text.js';
export { ServeWish, serveChannel } from './wish.js';
