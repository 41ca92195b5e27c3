/** Who speaks. `developer` is OpenAI's newer word for `system` and is read as it. */
export type Role = 'system' | 'user' | 'assistant' | 'tool';

export interface ChatMessage {
  role: Role;
  /** As it is written: null, or absent, only where an assistant message calls tools. */
  content?: string | null;
  /** The thought before an answer, under the name that the base's template reads. */
  reasoning_content?: string;
  reasoning?: string;
  thinking?: string;
  name?: string;
  /** 0: this assistant message is context and not learned. Default 1. */
  weight?: 0 | 1;
  /** Numbers and the order of keys as they are written. */
  tool_calls?: readonly unknown[];
  tool_call_id?: string;
}

export interface ChatRow {
  format: 'chat';
  messages: ChatMessage[];
  /** Tool definitions, handed to the chat template. */
  tools?: readonly unknown[];
}
export interface PromptRow {
  format: 'prompt_completion';
  prompt: string;
  completion: string;
}
export interface TextRow {
  format: 'text';
  text: string;
}
/** One example of a training file. */
export type Row = ChatRow | PromptRow | TextRow;
export type RowFormat = Row['format'];

/** Characters that the model reads and writes in a row. */
export function rowCharacters(row: Row): number {
  switch (row.format) {
    case 'chat':
      return row.messages.reduce((sum, message) => sum + (message.content?.length ?? 0), 0);
    case 'prompt_completion':
      return row.prompt.length + row.completion.length;
    case 'text':
      return row.text.length;
    default:
      return row satisfies never;
  }
}
